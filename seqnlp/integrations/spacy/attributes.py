"""What the answers to a document are in the terms of spaCy."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spacy.tokens import Doc
from spacy.tokens.underscore import Underscore

if TYPE_CHECKING:
    from seqnlp.tasks.base import Task
    from seqnlp.types import Prediction

_ATTRIBUTES = {"label": "seqnlp_label", "target": "translation", "summary": "summary"}
"""What a task calls its answers, and the attribute `doc._.NAME` that they are."""


def default_attribute(task: Task | type[Task]) -> str:
    """The attribute that the answers of a task are, unless another is named."""
    from seqnlp.tasks.annotating import answer_name

    name = answer_name(task)
    return _ATTRIBUTES.get(name, f"seqnlp_{name}")


def can_be_read(name: str) -> bool:
    """Whether `doc._.NAME` is the attribute of that name, and no word or method of another use."""
    return name.isidentifier() and not keyword.iskeyword(name) and not hasattr(Underscore, name)


def find_spans(doc: Doc, sentences: Sequence[str]) -> list[Any]:
    """The spans of sentences that were taken from a document, in its order."""
    spans, begin = [], 0
    for sentence in sentences:
        # Their white space was made single spaces.
        pattern = r"\s+".join(map(re.escape, sentence.split()))
        if (found := re.compile(pattern).search(doc.text, begin)) is not None:
            begin = found.end()
            spans.append(doc.char_span(*found.span(), label="quoted", alignment_mode="expand"))
    return spans


def find_sources(doc: Doc, answer: Prediction) -> list[list[str | int | None]] | None:
    """Each token of a written text with the index of the token of the document it looks at.

    The pairs are lists, which is what the bytes of a document bring back.
    """
    from seqnlp.text.vocabulary import EOS

    best = answer.hypotheses[0] if answer.hypotheses else None
    if best is None or best.attention is None:
        return None
    words = (token.i for token in doc if not token.is_space)
    # A text that was read in parts has an end after each.
    places = [None if name == EOS else next(words, None) for name in answer.source_tokens]
    looks = best.attention[: len(best.tokens)].argmax(1)
    return [[token, places[look]] for token, look in zip(best.tokens, looks, strict=True)]
