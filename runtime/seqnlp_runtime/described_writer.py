"""What a folder says of a model that writes, each value as it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from seqnlp_runtime.decoding import Decoding, UsualLength
from seqnlp_runtime.demands import Target
from seqnlp_runtime.described import count, entry, number, strings
from seqnlp_runtime.errors import FolderError, RunnerError
from seqnlp_runtime.folder import Folder, Graph
from seqnlp_runtime.normalize import NORMALIZERS
from seqnlp_runtime.pipeline import Pipeline
from seqnlp_runtime.truecase import Truecaser

EOS, BOS = "<eos>", "<bos>"
_LEAST, _MOST = 1e-6, 1e6
"""Of numbers that are multiplied with lengths."""


@dataclass(frozen=True, kw_only=True)
class WriterDescription:
    """What a description says beside the graphs.

    pipeline: of sources. target: what can be written. max_tokens: the most of a text in a row;
    chunks: whether a longer one becomes several rows, or is cut. reads_pieces: whether sources are
    split into less than words. weighs: whether a step tells where it looks. decoding: the options
    of the search. length_ratio: that outputs are longer than their sources. capital: whether they
    begin with one.
    """

    task: str
    pipeline: Pipeline
    target: Target
    max_tokens: int
    chunks: bool
    reads_pieces: bool
    weighs: bool
    decoding: Mapping[str, Any]
    length_ratio: float
    usual_length: UsualLength | None
    truecaser: Truecaser | None
    capital: bool

    @classmethod
    def read(cls, folder: Folder) -> Self:
        """Of a folder of kind "writer".

        Raises:
            FolderError: it is damaged.
        """
        pipelines, described = folder.pipelines, folder.description
        with folder.describing():
            fields = strings(described, "fields")
            if len(fields) != 2 or not set(fields) <= pipelines.keys():
                raise FolderError(f"damaged: fields: expected two of {', '.join(pipelines)}")
            source, target = (pipelines[name] for name in fields)
            _check_specials(source, [EOS])
            _check_specials(target, [BOS, EOS])
            return cls(
                task=entry(described, "task", str),
                pipeline=source,
                target=Target(
                    pipeline=target,
                    outputs=_outputs(described, target),
                    copies=entry(described, "copies", bool),
                    unknown=entry(described, "writes_unknown", bool),
                ),
                max_tokens=count(described, "max_tokens"),
                chunks=entry(described, "long_documents", str) == "chunk",
                reads_pieces=entry(described, "reads_pieces", bool),
                weighs=entry(described, "weights", bool),
                decoding=_decoding(entry(described, "decoding", dict)),
                length_ratio=number(described, "length_ratio", _LEAST, _MOST),
                usual_length=_usual_length(described.get("usual_length")),
                truecaser=_truecaser(described.get("truecase")),
                capital=entry(described, "sentence_case", bool),
            )

    def check(self, folder: Folder, encoder: Graph, step: Graph) -> None:
        """See that the graphs read and give what the description says.

        Raises:
            FolderError: they do not.
        """
        begun, states = encoder.outputs, [n for n in encoder.outputs if n.startswith("state_")]
        copies = ["copy_ids", "first", "slots"] if self.target.copies else []
        weights = ["weights"] if self.weighs else []
        after = ["log_probabilities", *weights, *(f"next_{name}" for name in states)]
        with folder.describing():
            _check_names("the encoder reads", encoder.inputs, ["ids", "lengths"])
            _check_names("the step reads", step.inputs, ["ids", *copies, *begun])
            _check_names("the step gives", step.outputs, after)


def _check_names(what: str, found: Sequence[str], expected: Sequence[str]) -> None:
    if sorted(found) != sorted(expected):
        raise FolderError(
            f"damaged: {what} {', '.join(found)}; expected by what is described "
            f"{', '.join(expected)}"
        )


def _check_specials(pipeline: Pipeline, more: Sequence[str]) -> None:
    expected = ["<pad>", "<unk>", *more]
    if not set(expected) <= set(pipeline.specials):
        raise FolderError(
            f"damaged: specials: expected {', '.join(expected)} among "
            f"{', '.join(pipeline.specials)}"
        )


def _outputs(described: Any, pipeline: Pipeline) -> int:
    found, least = count(described, "outputs"), len(pipeline.specials)
    most = least + len(pipeline.vocabulary)
    if not least <= found <= most:
        raise FolderError(f"damaged: outputs: expected {least} to {most}, found {found}")
    return found


def _decoding(options: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        # Models that choose by risk can be asked for answers without.
        Decoding.of({**options, "mbr": False, "neighbors": 0})
    except RunnerError as error:
        raise FolderError(f"damaged: {error}") from error
    return options


def _usual_length(described: Any) -> UsualLength | None:
    if described is None:
        return None
    return UsualLength(
        intercept=number(described, "intercept", -_MOST, _MOST),
        slope=number(described, "slope", -_MOST, _MOST),
        spread=number(described, "spread", _LEAST, _MOST),
    )


def _truecaser(described: Any) -> Truecaser | None:
    if described is None:
        return None
    for name in strings(described, "normalizers"):
        if name not in NORMALIZERS:
            raise FolderError(f"damaged: truecase: no normalizer is named {name!r}")
    for key in ("usual", "trusted"):
        strings(described, key)
    entry(described, "capital", bool)
    return Truecaser(described)
