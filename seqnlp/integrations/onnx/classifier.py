"""The graphs of a classifier: of whole texts, and where its encoders can stream, of pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqnlp.errors import InputError
from seqnlp.integrations.onnx.recording import to_onnx
from seqnlp.nn.encoder import EncoderState
from seqnlp.nn.pooling import LastPooling
from seqnlp.tasks.classifier import Classifier, mean_log_probabilities
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.types import Encoded, lengths_to_mask

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

TEXT = ("ids", "lengths")
GRAMS = ("grams", "gram_positions")
EVIDENCE = "evidence"
LOGS = "log_probabilities"
NEXT = "next_"
"""What the name of a state begins with where it is put out."""


@dataclass(frozen=True, kw_only=True)
class _Input:
    """An input of a graph: its name, an example, and its axes of any length."""

    name: str
    example: Tensor
    axes: Mapping[int, str]


def classifier_graphs(task: SentimentTask) -> dict[str, onnx.ModelProto]:
    """The graphs of a classifier by their names.

    `classifier` maps ids int64 [B, T] and lengths int64 [B], each at least 1, to log_probabilities
    float [B, K], of the mean probabilities of the members. With n-grams, grams int64 [N] are those
    of the tokens that the vocabulary does not have, and gram_positions int64 [N] where each such
    token stands, b * T + t: what known tokens have of them is in their own vectors. With evidence,
    evidence float [B, K].

    `stream`, of encoders that read in one direction, takes what comes next of each text, and
    behind it states, of which it puts out those after it by the same names after `next_`. What
    they are before the first token `first_states` says. A pooling that sees all states of a text
    has them among these: `past_0` float [B, P, D], and so on, with `past_mask` bool [B, P].

    Raises:
        MissingPackageError: a package of the extra `onnx` is not installed.
        InputError: a part of the network that cannot be recorded for any length.
    """
    graphs = {"classifier": _record(task, _WholeTexts(task), [])}
    if can_stream(task):
        streamed = _Pieces(task)
        graphs["stream"] = _record(task, streamed, list(streamed.inputs()))
    return graphs


def can_stream(task: SentimentTask) -> bool:
    """Whether every encoder can read on from where it stopped."""
    try:
        for member in _members(task):
            member.encoder.initial_state(1)
    except InputError:
        return False
    return True


def text_module(task: SentimentTask) -> _ClassifierModule:
    """What the graph of whole texts is recorded from."""
    return _WholeTexts(task)


def first_states(task: SentimentTask) -> dict[str, NDArray[Any]]:
    """The states of one text before its first token, by their names: the first axis is 1 long."""
    states = _Pieces(task).first(1)
    return {name: state.detach().cpu().numpy() for name, state in states.items()}


def _record(task: SentimentTask, module: _ClassifierModule, states: list[_Input]) -> Any:
    inputs = [*module.text_inputs(), *states]
    names = [each.name for each in inputs]
    settings = task.settings.model
    return to_onnx(
        module,
        [each.example for each in inputs],
        [each.axes for each in inputs],
        names,
        [LOGS, *(NEXT + each.name for each in states)],
        what=f"the encoder {settings.encoder!r} with the cell {settings.cell!r}",
    )


class _ClassifierModule(nn.Module):
    """What both graphs share: token vectors, of which the known ones are looked up alone."""

    def __init__(self, task: SentimentTask) -> None:
        super().__init__()
        self.members = task.members
        self.has_grams = task.pipeline.hasher is not None
        self.has_evidence = task.evidence is not None
        self.classes = len(task.labels)
        for number, table in enumerate(_tables(task)):
            self.register_buffer(f"table_{number}", table)

    def text_inputs(self) -> Iterator[_Input]:
        """Two texts of up to three tokens, with all that is known of them."""
        yield _Input(
            name="ids", example=torch.tensor([[2, 3, 2], [3, 0, 0]]), axes={0: "batch", 1: "time"}
        )
        yield _Input(name="lengths", example=torch.tensor([3, 1]), axes={0: "batch"})
        if self.has_grams:
            for name in GRAMS:
                yield _Input(name=name, example=torch.arange(4), axes={0: "grams"})
        if self.has_evidence:
            yield _Input(name=EVIDENCE, example=torch.zeros(2, self.classes), axes={0: "batch"})

    def split(self, inputs: Sequence[Tensor]) -> tuple[dict[str, Tensor], Sequence[Tensor]]:
        """The inputs of the texts by name, and the others."""
        names = [*TEXT, *(GRAMS if self.has_grams else ()), *([EVIDENCE] * self.has_evidence)]
        return dict(zip(names, inputs, strict=False)), inputs[len(names) :]

    def embed(self, number: int, text: Mapping[str, Tensor]) -> Tensor:
        """The vectors of a member, float [B, T, D]."""
        ids = text["ids"]
        vectors = functional.embedding(ids, getattr(self, f"table_{number}"))
        if not self.has_grams:
            return vectors
        embedding = _members(self)[number].embedding
        assert embedding.ngrams is not None
        grams, positions = text["grams"], text["gram_positions"]
        added = functional.embedding(grams, embedding.ngrams)
        flat = vectors.flatten(0, 1)
        if embedding.ngram_pooling == "mean":
            ones = torch.ones_like(positions, dtype=flat.dtype)
            counts = torch.zeros_like(flat[:, 0]).index_add(0, positions, ones)
            added = added / counts.index_select(0, positions).unsqueeze(1)
        return flat.index_add(0, positions, added).view(*ids.shape, -1)


class _WholeTexts(_ClassifierModule):
    def forward(self, *inputs: Tensor) -> Tensor:
        text, _ = self.split(inputs)
        return mean_log_probabilities(
            [
                member.classify(
                    member.encoder(self.embed(number, text), text["lengths"]), text.get(EVIDENCE)
                )
                for number, member in enumerate(_members(self))
            ]
        )


class _Pieces(_ClassifierModule):
    """States in, states out; complex numbers as pairs."""

    def __init__(self, task: SentimentTask) -> None:
        super().__init__(task)
        poolings = [layer for member in _members(self) for layer in member.poolings]
        self.looks_back = not all(type(layer) is LastPooling for layer in poolings)

    def first(self, rows: int) -> dict[str, Tensor]:
        """The states before the first token, by name."""
        found: dict[str, Tensor] = {}
        for number, member in enumerate(_members(self)):
            found |= _flatten(number, member.encoder.initial_state(rows))
        if self.looks_back:
            for number, member in enumerate(_members(self)):
                size = member.encoder.output_size
                found[f"past_{number}"] = self.table_0.new_zeros(rows, 0, size)  # type: ignore[operator]
            found["past_mask"] = torch.zeros(rows, 0, dtype=torch.bool)
        return found

    def inputs(self) -> Iterator[_Input]:
        """Those of the states."""
        for name, state in self.first(2).items():
            if name.startswith("past"):
                seen = state.new_zeros(2, 5, *state.shape[2:])
                yield _Input(name=name, example=seen, axes={0: "batch", 1: "past"})
            else:
                yield _Input(name=name, example=state.clone(), axes={0: "batch"})

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        text, given = self.split(inputs)
        states = dict(zip(self.first(1), given, strict=True))
        lengths = text["lengths"]
        mask = lengths_to_mask(lengths, text["ids"].shape[1])
        logits: list[Tensor] = []
        after: dict[str, Tensor] = {}
        past: dict[str, Tensor] = {}
        if self.looks_back:
            mask = torch.cat([states["past_mask"], mask], dim=1)
        for number, member in enumerate(_members(self)):
            before = _unflatten(number, member.encoder.initial_state(1), states)
            encoded, state = member.encoder.advance(self.embed(number, text), lengths, before)
            if self.looks_back:
                seen = torch.cat([states[f"past_{number}"], encoded.states], dim=1)
                past[f"past_{number}"] = seen
                encoded = Encoded(states=seen, mask=mask, summary=encoded.summary)
            after |= _flatten(number, state)
            logits.append(member.classify(encoded, text.get(EVIDENCE)))
        if self.looks_back:
            past["past_mask"] = mask
        return mean_log_probabilities(logits), *after.values(), *past.values()


def _members(owner: SentimentTask | _ClassifierModule) -> list[Classifier]:
    return cast("list[Classifier]", list(owner.members))


def _tables(task: SentimentTask) -> Iterator[Tensor]:
    """The vectors of all ids, [V, D] of each member, with what their n-grams add to them."""
    vocabulary = task.pipeline.vocabulary
    assert vocabulary is not None
    for member in _members(task):
        embedding = member.embedding
        table = embedding.words.detach().clone()
        if embedding.ngrams is not None:
            ids, grams, offsets = map(torch.from_numpy, task.pipeline.features(vocabulary.tokens))
            mode = embedding.ngram_pooling
            pooled = functional.embedding_bag(grams, embedding.ngrams.detach(), offsets, mode=mode)
            table[ids] += pooled
        table[embedding.padding_id] = 0.0
        yield table


def _flatten(number: int, state: EncoderState) -> dict[str, Tensor]:
    """The leaves of a member's state by name."""
    found = {
        f"state_{number}_{layer}_{place}": (torch.view_as_real(leaf) if leaf.is_complex() else leaf)
        for layer, leaves in enumerate(state.layers)
        for place, leaf in enumerate(leaves)
    }
    return {**found, f"summary_{number}": state.summary}


def _unflatten(number: int, like: EncoderState, states: Mapping[str, Tensor]) -> EncoderState:
    layers = tuple(
        tuple(
            torch.view_as_complex(states[f"state_{number}_{layer}_{place}"])
            if leaf.is_complex()
            else states[f"state_{number}_{layer}_{place}"]
            for place, leaf in enumerate(leaves)
        )
        for layer, leaves in enumerate(like.layers)
    )
    return replace(like, layers=layers, summary=states[f"summary_{number}"])
