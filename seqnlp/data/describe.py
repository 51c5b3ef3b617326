"""What is in a corpus: sizes, labels, lengths, and texts that occur more than once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.split import first_examples
from seqnlp.types import Example, Field

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long the texts of a field are, over the rows of a split."""

    mean: float
    median: float
    p95: float
    max: int


@dataclass(frozen=True, kw_only=True)
class TextLengths:
    """The same texts by characters and by words between white space."""

    characters: Lengths
    words: Lengths


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """rows: how many. labels: label to rows, most frequent first; empty where the task has none.
    lengths: text field to its lengths. examples: the first rows.
    """

    rows: int
    labels: Mapping[str, int]
    lengths: Mapping[str, TextLengths]
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Texts that occur twice.

    first, second: the splits; the same name for repeats within one. rows: how many rows of
    `second` have a text of `first`, or of an earlier row where the two are one. conflicting:
    those among them whose label none of the earlier ones has.
    """

    first: str
    second: str
    rows: int
    conflicting: int


@dataclass(frozen=True, kw_only=True)
class CorpusSummary:
    """splits: by name. duplicates: of every split and pair of splits that has any, by the first
    text field, white space at the ends aside.
    """

    name: str
    description: str
    license: str
    splits: Mapping[str, SplitSummary]
    duplicates: tuple[Duplicates, ...]
    notes: tuple[str, ...]


def describe(corpus: Corpus, *, fields: Sequence[Field], examples: int = 3) -> CorpusSummary:
    """Read every split once, in memory of some 50 bytes a row.

    Args:
        fields: the columns that the task reads.
        examples: how many rows of each split to show.
    """
    texts = [field.name for field in fields if field.name != "label"]
    return CorpusSummary(
        name=corpus.name,
        description=corpus.description,
        license=corpus.license,
        splits={
            name: _summarize(split, [text for text in texts if text in split.fields], examples)
            for name, split in corpus.splits.items()
        },
        duplicates=_duplicates(corpus, texts[0]) if texts else (),
        notes=corpus.notes,
    )


def _summarize(split: Split, texts: Sequence[str], examples: int) -> SplitSummary:
    labels: dict[str, int] = {}
    if "label" in split.fields:
        names, codes = split.codes("label")
        counts = np.bincount(codes, minlength=len(names))
        order = np.argsort(-counts, kind="stable")
        labels = {names[i]: int(counts[i]) for i in order}
    return SplitSummary(
        rows=len(split),
        labels=labels,
        lengths={field: _lengths(split, field) for field in texts},
        examples=tuple(first_examples(split, examples)),
    )


def _lengths(split: Split, field: str) -> TextLengths:
    sizes = np.zeros((len(split), 2), dtype=np.int64)
    for row, text in enumerate(split.column(field)):
        whole = " ".join(text) if isinstance(text, list) else text
        sizes[row] = len(whole), len(whole.split())
    return TextLengths(characters=_figures(sizes[:, 0]), words=_figures(sizes[:, 1]))


def _figures(sizes: Ints) -> Lengths:
    if not len(sizes):
        return Lengths(mean=0.0, median=0.0, p95=0.0, max=0)
    return Lengths(
        mean=float(sizes.mean()),
        median=float(np.median(sizes)),
        p95=float(np.percentile(sizes, 95)),
        max=int(sizes.max()),
    )


def _duplicates(corpus: Corpus, field: str) -> tuple[Duplicates, ...]:
    numbers: dict[str, int] = {}
    rows = {
        name: (_hashes(split, field), _label_numbers(split, numbers))
        for name, split in corpus.splits.items()
        if field in split.fields
    }
    found = [_repeats(name, *rows[name]) for name in rows]
    found += [_shared(one, other, *rows[one], *rows[other]) for one, other in combinations(rows, 2)]
    return tuple(duplicates for duplicates in found if duplicates.rows)


def _hashes(split: Split, field: str) -> Ints:
    """64 bits of a hash a text; two texts of a million agree by chance once in 10^7 corpora."""
    digests = b"".join(
        hashlib.blake2b(str(text).strip().encode(), digest_size=8).digest()
        for text in split.column(field)
    )
    return np.frombuffer(digests, dtype=np.int64)


def _label_numbers(split: Split, numbers: dict[str, int]) -> Ints:
    """Labels by numbers that are the same in all splits."""
    if "label" not in split.fields:
        return np.zeros(len(split), dtype=np.int64)
    names, codes = split.codes("label")
    places = [numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(places, dtype=np.int64)[codes]


def _repeats(name: str, texts: Ints, labels: Ints) -> Duplicates:
    order = np.argsort(texts, kind="stable")
    again = np.zeros(len(texts), dtype=np.bool_)
    again[order[1:]] = texts[order[1:]] == texts[order[:-1]]
    first = np.unique(np.stack([texts, labels]), axis=1, return_index=True)[1]
    # A row that is the first of its text and label, but not of its text, brings a new label.
    fresh = np.zeros(len(texts), dtype=np.bool_)
    fresh[first] = True
    return Duplicates(
        first=name, second=name, rows=int(again.sum()), conflicting=int((again & fresh).sum())
    )


def _shared(
    one: str, other: str, texts: Ints, labels: Ints, other_texts: Ints, other_labels: Ints
) -> Duplicates:
    again = np.isin(other_texts, texts)
    known = set(zip(texts.tolist(), labels.tolist(), strict=True))
    rows = zip(other_texts[again].tolist(), other_labels[again].tolist(), strict=True)
    conflicting = sum(row not in known for row in rows)
    return Duplicates(first=one, second=other, rows=int(again.sum()), conflicting=conflicting)
