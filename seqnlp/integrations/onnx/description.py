"""What stands beside exported graphs: all that a runner needs to make their inputs, as JSON."""

from __future__ import annotations

from typing import Any

from seqnlp.errors import InputError
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.text.pipeline import TokenPipeline

FORMAT = 1
"""Of seqnlp.json; raised when an older runner would misread it."""
NORMALIZERS = frozenset(
    {"lowercase", "uncapitalize", "nfc", "nfkc", "strip_accents", "collapse_whitespace",
     "mask_digits"}
)  # fmt: skip
"""What the runner can do to a text."""
TOKENIZERS = frozenset(
    {"whitespace", "char", "regex", "bpe", "unigram", "wordpiece", "spacy", "nltk"}
)
"""How it can split one."""


def describe_pipeline(pipeline: TokenPipeline) -> dict[str, Any]:
    """A fitted pipeline as JSON values.

    Raises:
        InputError: a part of it that the runner does not have.
    """
    vocabulary, hasher = pipeline.vocabulary, pipeline.hasher
    assert vocabulary is not None
    _check("normalizer", pipeline.normalizers, NORMALIZERS)
    _check("tokenizer", [pipeline.tokenizer.family], TOKENIZERS)
    sizes = ("buckets", "min_size", "max_size")
    return {
        "normalizers": list(pipeline.normalizers),
        "tokenizer": {"family": pipeline.tokenizer.family, "state": pipeline.tokenizer.state()},
        "specials": list(vocabulary.specials),
        "vocabulary": list(vocabulary.tokens),
        "ngrams": None if hasher is None else {name: getattr(hasher, name) for name in sizes},
    }


def describe_texts(task: Any) -> dict[str, Any]:
    """The pipelines of a task that reads texts, and what becomes of long ones."""
    limits = task.settings.text
    return {
        "pipelines": {name: describe_pipeline(each) for name, each in task.pipelines.items()},
        "max_tokens": limits.max_tokens,
        "long_documents": limits.long_documents,
    }


def describe_classifier(task: SentimentTask) -> dict[str, Any]:
    """What a runner needs to know of a classifier beside its graphs."""
    evidence = task.evidence
    return {
        "task": task.settings.task,
        "kind": "classifier",
        "labels": list(task.labels),
        **describe_texts(task),
        "evidence": None if evidence is None else {"normalized": evidence.normalized},
    }


def classifier_tables(task: SentimentTask) -> dict[str, Any]:
    """The arrays of numpy that a runner needs beside the graphs of a classifier.

    Those of the evidence, by their names after `evidence_`, and the states before the first token
    of a text, by those after `first_`.
    """
    from seqnlp.integrations.onnx.classifier import can_stream, first_states

    tables: dict[str, Any] = {}
    if (evidence := task.evidence) is not None:
        names = ("keys", "weights", "bias", *(["squares"] if evidence.normalized else []))
        tables |= {f"evidence_{name}": getattr(evidence, name).cpu().numpy() for name in names}
    if can_stream(task):
        tables |= {f"first_{name}": state for name, state in first_states(task).items()}
    return tables


def _check(kind: str, names: Any, known: frozenset[str]) -> None:
    for name in names:
        if name not in known:
            raise InputError(
                f"the {kind} {name!r} cannot be exported: seqnlp-runtime has only "
                f"{', '.join(sorted(known))}"
            )
