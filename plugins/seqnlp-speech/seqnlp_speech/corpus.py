"""Speech corpora: a manifest says which sound is which text, and who speaks."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqnlp.data import Corpus, CorpusRequest, Source, Split, assemble, open_corpus, stored_split
from seqnlp.errors import InputError, suggest
from seqnlp.types import Field
from seqnlp_speech.making import MANIFEST

SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
SPLIT = Field(name="split", aliases=("split", "set", "part"), required=False)
FEWEST_SPEAKERS = 3
"""Of fewer, none is held out."""


def open_speech(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Recordings with transcripts, listed in a manifest: speech:manifest.tsv, or its folder

    A manifest is TSV, CSV or JSON lines with the columns audio (a path from where the manifest is),
    transcript, and, if known, speaker and split. Instead of a manifest there may be a folder with
    one for each split: train.tsv, validation.tsv, test.tsv. Where validation or test is missing and
    speakers are known, whole speakers are cut off train.

    Raises:
        InputError: nothing there, a task that reads no sound, or a split that is none.
    """
    if "audio" not in {field.name for field in request.fields}:
        names = ", ".join(field.name for field in request.fields)
        raise InputError(f"speech: has sound and transcripts; the task reads {names}")
    if not argument:
        raise InputError("speech: names no manifest; expected speech:manifest.tsv, or its folder")
    path = Path(argument)
    if not path.exists():
        raise InputError(
            f"{path}: no such manifest; `seqnlp-speech make digits --output FOLDER` makes one"
        )
    if (path / MANIFEST).is_file():
        path = path / MANIFEST
    found = open_corpus(
        str(path.absolute()),
        fields=[*request.fields, SPLIT],
        columns=request.columns,
        validation_share=0.0,
    )
    notes = [note for note in found.notes if note != "no test split"]
    splits = dict(found.splits)
    if set(splits) == {"train"}:
        splits = _by_column(splits["train"])
    for name, share in (("test", request.test_share), ("validation", request.validation_share)):
        if name not in splits and share and "train" in splits:
            notes += _hold_out(splits, name, share, request.seed)
    home = path if path.is_dir() else path.parent
    return assemble(
        found.name,
        {name: _at_home(split, name, home) for name, split in splits.items()},
        request=request,
        description="Recorded or synthetic speech with transcripts.",
        notes=notes,
    )


def locate(audio: str, origin: str) -> Path:
    """The file of a row, whose path is from where its manifest is."""
    path, home = Path(audio), Path(origin)
    return path if path.is_absolute() else (home if home.is_dir() else home.parent) / path


def _by_column(split: Split) -> dict[str, Split]:
    """The splits that a column of the manifest names; all is train where there is none."""
    if SPLIT.name not in split.fields:
        return {"train": split}
    names, codes = split.codes(SPLIT.name)
    for code, name in enumerate(names):
        if name.strip().lower() not in SPLITS:
            row = int(np.flatnonzero(codes == code)[0])
            raise InputError(
                f"{split.where(row)}: no split is called {name!r}; {suggest(name, SPLITS)}"
            )
    which = np.array([SPLITS[name.strip().lower()] for name in names])[codes]
    return {
        name: split.select(which == name).renamed(name)
        for name in ("train", "validation", "test")
        if (which == name).any()
    }


def _hold_out(splits: dict[str, Split], name: str, share: float, seed: int) -> list[str]:
    """Cut whole speakers off train, at least one, until they have about the share of the rows."""
    train = splits["train"]
    if "speaker" not in train.fields:
        return []
    speakers, codes = train.codes("speaker")
    if len(speakers) < FEWEST_SPEAKERS:
        return []
    sizes = np.bincount(codes, minlength=len(speakers))
    order: NDArray[np.int64] = np.random.default_rng(seed).permutation(len(speakers))
    before = np.cumsum(sizes[order]) - sizes[order]
    chosen = order[:-1][before[:-1] < share * len(train)]
    rows = np.isin(codes, chosen)
    splits[name] = train.select(rows).renamed(name)
    splits["train"] = train.select(~rows)
    return [
        f"no {name} split: {len(chosen)} of {len(speakers)} speakers "
        f"({rows.sum():,} of {len(train):,} utterances) cut off train with seed {seed}"
    ]


def _at_home(split: Split, name: str, home: Path) -> Split:
    """The rows with the paths of their files, which lead there from anywhere."""
    fields = tuple(field for field in split.fields if field != SPLIT.name)
    key: Mapping[str, object] = {
        "speech": split.fingerprint, "home": str(home), "split": name, "fields": fields,
    }  # fmt: skip

    def rows() -> Generator[tuple[str, list[Any]], None, None]:
        for number, row in enumerate(split):
            where = split.where(number).removeprefix(split.origin)
            values = {**row, "audio": str(home / row["audio"])}
            yield where, [values[field] for field in fields]

    return stored_split(
        name, key=key, source=lambda: Source(fields=fields, rows=rows()), origin=split.origin
    )
