"""Corpora by one name: bundled, found on SEQNLP_DATA, a path, or from a registered family.

A package adds a corpus, or a family of them (`family:argument`), by an entry point in the group
`seqnlp.corpora` that names a function

    def open_mine(argument: str | None, *, request: CorpusRequest) -> Corpus

whose first docstring line is what `seqnlp list corpora` shows. `argument` is what follows the
colon. It makes its splits (`Split.from_examples` for small ones, `stored_split` to stream rows to
disk), with the field names of `request.fields`, and returns `assemble(...)`, which leaves blank
texts out of train and cuts a missing validation split off it, as everywhere else.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from seqnlp import registry
from seqnlp.data.columns import check_columns
from seqnlp.data.languages import Languages, name_by_language
from seqnlp.data.places import find_corpus, found_names, search_path
from seqnlp.data.request import MAX_RATIO, CorpusRequest
from seqnlp.data.split import SUMMARIZED, Ints, Split, concatenate
from seqnlp.discovery import not_installed
from seqnlp.errors import InputError, suggest
from seqnlp.types import Field

__all__ = ["Corpus", "CorpusRequest", "Split", "assemble", "open_corpus"]


MEMORY = "memory"
"""What settings call a corpus whose examples were given by a program."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Splits of examples and what is to be said about them.

    splits: train, validation, test, as far as they exist. notes: what the user should know, such
    as that validation was cut off train. languages: codes of source and target of a parallel
    corpus, as far as they are known.
    """

    name: str
    splits: Mapping[str, Split]
    license: str = "not stated"
    description: str = ""
    notes: tuple[str, ...] = ()
    languages: Languages = (None, None)

    @property
    def fingerprint(self) -> str:
        """Changes when any row does."""
        parts = [f"{name} {split.fingerprint}" for name, split in sorted(self.splits.items())]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def split(self, name: str) -> Split:
        """One split.

        Raises:
            InputError: there is none of that name; the message has the others.
        """
        if name not in self.splits:
            raise InputError(
                f"corpus {self.name!r} has no {name} split; {suggest(name, self.splits)}"
            )
        return self.splits[name]

    def with_all_in_train(self) -> Corpus:
        """The same corpus with its validation rows in train too."""
        parts = [self.split("train"), self.split("validation")]
        whole = concatenate("train", parts, origin=parts[0].origin)
        return replace(self, splits=MappingProxyType({**self.splits, "train": whole}))


def open_corpus(
    name: str,
    *,
    fields: Sequence[Field],
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
    validation_share: float = 0.1,
    test_share: float = 0.0,
    languages: Languages = (None, None),
    max_ratio: float | None = MAX_RATIO,
) -> Corpus:
    """Open a corpus.

    Args:
        name: in this order of precedence: `family:argument` of a registered family
            (`hf:owner/name`, `nltk:movie_reviews`); a registered corpus (`reviews`); an existing
            path, which a "/" makes plain; a folder or file on the search path SEQNLP_DATA.
        fields: the columns that the task reads.
        columns: field name to column name, where it is not among the field's aliases.
        seed: of the cut that makes a missing validation split.
        validation_share: the share of train that it takes; 0 leaves validation out.
        test_share: the share of train that a missing test split takes before; 0 leaves it out.
        languages: codes of source and target, of a task that reads pairs; they name files
            (`train.de`), columns and keys. One may be None where a corpus has just two.
        max_ratio: training pairs whose one side has more than so many times the words of the
            other are left out; None keeps all.

    Raises:
        InputError: nothing has that name (the message says where it was looked for), or the rows
            cannot be read (by file and line).
    """
    # The readers of paths build on this module, and no other kind of corpus needs them.
    from seqnlp.data.readers import open_path

    request = CorpusRequest(
        fields=name_by_language(fields, languages),
        columns=dict(columns or {}),
        seed=seed,
        validation_share=validation_share,
        test_share=test_share,
        languages=languages,
        max_ratio=max_ratio,
    )
    check_columns(request.columns, request.fields)
    family, colon, argument = name.partition(":")
    if family in registry.corpora.names():
        open_registered = registry.corpora.get(family)
        corpus: Corpus = open_registered(argument if colon else None, request=request)
        return corpus
    # What stands before a colon is a family, though it be gone; but one letter may be a drive.
    lost = bool(colon) and re.fullmatch(r"\w[\w-]+", family) and not Path(name).exists()
    if not lost and ("/" in name or os.sep in name or Path(name).exists()):
        return open_path(Path(name), request=request)
    if found := find_corpus(name):
        return open_path(found, name=name, request=request)
    raise _not_found(family if lost else name)


def assemble(
    name: str,
    splits: Mapping[str, Split],
    *,
    request: CorpusRequest,
    license: str = "not stated",
    description: str = "",
    notes: Sequence[str] = (),
    languages: Languages | None = None,
) -> Corpus:
    """A corpus of these splits: blank texts left out of train, validation cut off where missing.

    Rows with a blank text stay in the other splits, so that scores are comparable, and so do pairs
    of extreme lengths; pairs that lack a side stay nowhere. A note says how many and where, and how
    many documents are shorter than their summaries, or have no references where others do.

    Args:
        languages: those that were found, where they are not those of the request.

    Raises:
        InputError: train has no rows that anything is learned from, or too few to cut test or
            validation off it.
    """
    said = list(notes)
    made: dict[str, Split] = {}
    for split_name in sorted(splits, key=_rank):
        split = splits[split_name]
        # One split under two names needs no notes twice.
        known = any(splits[other] is split for other in made)
        made[split_name], told = _sift(split, split_name, request=request)
        said += [] if known else told
        if split_name == "train" and len(split) and not len(made["train"]):
            raise InputError(_nothing_left(split, told, request))
    for missing, share in (("test", request.test_share), ("validation", request.validation_share)):
        if "train" in made and missing not in made and share > 0:
            whole = made["train"]
            made["train"], made[missing] = _cut(whole, missing, share, request.seed, said)
            said.append(
                f"no {missing} split: {len(made[missing]):,} of {len(whole):,} examples "
                f"({100 * share:g} %) cut off train with seed {request.seed}"
            )
    if not any(split_name.startswith("test") for split_name in made):
        said.append("no test split")
    return Corpus(
        name=name,
        splits=MappingProxyType({name: made[name] for name in sorted(made, key=_rank)}),
        license=license,
        description=description,
        notes=tuple(said),
        languages=languages or request.languages,
    )


def _rank(split: str) -> int:
    return {"train": 0, "validation": 1, "test": 2}.get(split, 3)


def _sift(split: Split, name: str, *, request: CorpusRequest) -> tuple[Split, list[str]]:
    """The split without the rows that nothing is learned from, and what to say of them."""
    said = []
    train = name == "train"
    stays = np.ones(len(split), dtype=np.bool_)
    found = [("with an empty text", split.blank, train)]
    if request.parallel:
        ratios = split.ratios
        found = [("without a text in both languages", ratios < 0, True),
                 ("with an empty side", split.blank & (ratios >= 0), train)]  # fmt: skip
        if (most := request.max_ratio) is not None:
            what = f"with one side over {most:g} times as long as the other"
            found.append((what, ratios > most, train))
    elif set(SUMMARIZED) <= set(split.fields):
        found = [(f"with an empty {field}", split.blank_in(field), train) for field in SUMMARIZED]
        found.append(("with a document shorter than its summary", split.short, False))
    for field in request.fields:
        if field.several and field.name in split.fields:
            found.append((f"without {field.name}", split.counts(field.name) == 0, False))
    for what, rows, leave in found:
        chosen = np.flatnonzero(rows)
        if len(chosen):
            said.append(
                f"{name}: {_rows(len(chosen))} {what} {'skipped' if leave else 'kept'}, "
                f"the first at {split.where(int(chosen[0]))}"
            )
        if leave:
            stays &= ~rows
    return (split if stays.all() else split.select(stays)), said


def _nothing_left(split: Split, told: Sequence[str], request: CorpusRequest) -> str:
    why = [note.removeprefix("train: ") for note in told if " skipped" in note]
    most, hint = request.max_ratio, ""
    if request.parallel and most is not None and (split.ratios > most).any():
        hint = "; corpus.max_ratio = 0 keeps pairs of any lengths"
    return f"{split.origin}: nothing is left to learn from: {', '.join(why)}{hint}"


def _cut(
    train: Split, name: str, share: float, seed: int, told: Sequence[str]
) -> tuple[Split, Split]:
    """Train and the split of that name; the same rows for the same seed, every label in train.

    Args:
        told: what has been said of the corpus.
    """
    order: Ints = np.random.default_rng(seed).permutation(len(train))
    if "label" in train.fields:
        _, codes = train.codes("label")
        # The last row of every label in the drawn order stays in train.
        _, last = np.unique(codes[order][::-1], return_index=True)
        order = np.delete(order, len(order) - 1 - last)
    count = min(max(1, round(len(train) * share)), len(order))
    if not count or count == len(train):
        why = [note for note in told if note.startswith("train: ") and " skipped" in note]
        raise InputError(
            f"{train.origin}: {_rows(len(train))}, too few to cut a {name} split off; "
            + "; ".join([f"add a {name} file", *why])
        )
    chosen = np.zeros(len(train), dtype=np.bool_)
    chosen[order[:count]] = True
    cut = train.select(np.flatnonzero(chosen)).renamed(name)
    return train.select(np.flatnonzero(~chosen)), cut


def _not_found(name: str) -> InputError:
    if name == MEMORY:
        return InputError(
            "the model was trained on examples in memory, which no file has; name a corpus: "
            "--corpus, or corpus.name"
        )
    known = {*registry.corpora.names(), *found_names()}
    places = os.pathsep.join(map(str, search_path())) or "not set"
    remedy = not_installed(name, "corpora")
    return InputError(
        f"no corpus is named {name!r}; {suggest(name, known)}; looked among the registered "
        f"corpora, in the current folder and on SEQNLP_DATA ({places})"
        f"{f'; {remedy}' if remedy else ''}"
    )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
