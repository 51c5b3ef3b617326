"""What is in a corpus: sizes, labels, lengths, words, and texts that occur more than once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.languages import SIDES, count_words
from seqnlp.data.split import SUMMARIZED, first_examples
from seqnlp.types import Example, Field

Ints = NDArray[np.int64]

WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long the texts of a field are, over the rows of a split."""

    mean: float
    median: float
    p95: float
    max: int


@dataclass(frozen=True, kw_only=True)
class TextLengths:
    """The same texts by characters and by words between white space.

    vocabulary: distinct runs of letters and digits, in lower case. unseen: the share of such runs
    that train has not; None in train.
    """

    characters: Lengths
    words: Lengths
    vocabulary: int
    unseen: float | None


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """How many words of the target there are for one of the source, or of the summary for one of
    the document, over the rows of a split where neither is blank: mean, the bounds of the middle
    90 %, least and most.
    """

    mean: float
    p5: float
    p95: float
    min: float
    max: float


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """rows: how many. labels: label to rows, most frequent first; empty where the task has none.
    lengths: text field to its lengths. ratios: of texts that go in pairs. examples: the first rows.
    """

    rows: int
    labels: Mapping[str, int]
    lengths: Mapping[str, TextLengths]
    ratios: Ratios | None
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Texts that occur twice.

    first, second: the splits; the same name for repeats within one. rows: how many rows of
    `second` have a text of `first`, or of an earlier row where the two are one. conflicting:
    those among them whose label, translation or summary none of the earlier ones has.
    """

    first: str
    second: str
    rows: int
    conflicting: int


@dataclass(frozen=True, kw_only=True)
class CorpusSummary:
    """splits: by name. duplicates: of every split and pair of splits that has any, by the first
    text field, white space at the ends aside. pair: the fields of texts that go in pairs: source
    and target, or document and summary.
    """

    name: str
    description: str
    license: str
    splits: Mapping[str, SplitSummary]
    duplicates: tuple[Duplicates, ...]
    notes: tuple[str, ...]
    pair: tuple[str, str] | None = None


def describe(corpus: Corpus, *, fields: Sequence[Field], examples: int = 3) -> CorpusSummary:
    """Read every split, in memory of some 50 bytes a row and 100 a distinct word.

    Args:
        fields: the columns that the task reads.
        examples: how many rows of each split to show.
    """
    texts = [field.name for field in fields if field.name != "label"]
    # The words of train, by field, that those of the others are compared with.
    order = sorted(corpus.splits, key=lambda name: name != "train")
    known: dict[str, set[str]] = {}
    summaries = {
        name: _summarize(
            corpus.splits[name],
            [text for text in texts if text in corpus.splits[name].fields],
            examples,
            known,
        )
        for name in order
    }
    return CorpusSummary(
        name=corpus.name,
        description=corpus.description,
        license=corpus.license,
        splits={name: summaries[name] for name in corpus.splits},
        duplicates=_duplicates(corpus, texts[0]) if texts else (),
        notes=corpus.notes,
        pair=next((pair for split in corpus.splits.values() if (pair := _pair(split))), None),
    )


def _pair(split: Split) -> tuple[str, str] | None:
    return next((pair for pair in (SIDES, SUMMARIZED) if set(pair) <= set(split.fields)), None)


def _summarize(
    split: Split, texts: Sequence[str], examples: int, known: dict[str, set[str]]
) -> SplitSummary:
    labels: dict[str, int] = {}
    if "label" in split.fields:
        names, codes = split.codes("label")
        counts = np.bincount(codes, minlength=len(names))
        order = np.argsort(-counts, kind="stable")
        labels = {names[i]: int(counts[i]) for i in order}
    return SplitSummary(
        rows=len(split),
        labels=labels,
        lengths={field: _lengths(split, field, known) for field in texts},
        ratios=_ratios(split, pair) if (pair := _pair(split)) else None,
        examples=tuple(first_examples(split, examples)),
    )


def _lengths(split: Split, field: str, known: dict[str, set[str]]) -> TextLengths:
    """Lengths and words; those of train are put into `known`."""
    sizes = np.zeros((len(split), 2), dtype=np.int64)
    vocabulary: set[str] = set()
    trained = None if split.name == "train" else known.get(field)
    new = total = 0
    for row, text in enumerate(split.column(field)):
        # Values of other kinds than texts are measured as they are written.
        whole = " ".join(map(str, text)) if isinstance(text, list) else str(text)
        sizes[row] = len(whole), len(whole.split())
        words = WORD.findall(whole.lower())
        vocabulary.update(words)
        if trained is not None:
            new += sum(word not in trained for word in words)
            total += len(words)
    if split.name == "train":
        known[field] = vocabulary
    return TextLengths(
        characters=_figures(sizes[:, 0]),
        words=_figures(sizes[:, 1]),
        vocabulary=len(vocabulary),
        unseen=None if trained is None else new / max(1, total),
    )


def _ratios(split: Split, pair: tuple[str, str]) -> Ratios | None:
    pairs = zip(*(split.column(side) for side in pair), strict=True)
    counts = ((count_words(source), count_words(target)) for source, target in pairs)
    found = np.array([there / here for here, there in counts if here and there])
    if not len(found):
        return None
    p5, p95 = np.percentile(found, (5, 95))
    return Ratios(
        mean=float(found.mean()),
        p5=float(p5),
        p95=float(p95),
        min=float(found.min()),
        max=float(found.max()),
    )


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
    rows: dict[str, tuple[Ints, Ints]] = {}
    seen: set[tuple[str, str]] = set()
    for name, split in corpus.splits.items():
        # One split may be there under two names.
        if field in split.fields and (split.name, split.fingerprint) not in seen:
            pair = _pair(split)
            answers = _hashes(split, pair[1]) if pair else _label_numbers(split, numbers)
            rows[name] = (_hashes(split, field), answers)
            seen.add((split.name, split.fingerprint))
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
