"""The corpora `series` (bundled) and `series:FILE.csv`, cut by time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from seqnlp.data import Corpus, CorpusRequest, Split
from seqnlp.errors import InputError
from seqnlp_timeseries.fields import FIELDS
from seqnlp_timeseries.reader import Series, read_series
from seqnlp_timeseries.timeline import Timeline, text_of

BUNDLED = Path(__file__).parent / "data" / "series.csv"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A row of a split: a series up to the end of the split.

    first: the values before it are the past, which may be read and is never a target.
    """

    series: Series
    first: int

    @property
    def name(self) -> str:
        """What the series is called."""
        return self.series.name


def open_series(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Numeric series: a CSV file (series:sales.csv), or the bundled ones of a made town.

    All series are cut at the same moments: the first part is train, then validation, then test. A
    split has each series from its beginning, since what came before may be read.

    Raises:
        InputError: the file cannot be read (by line), or is too short to be cut.
    """
    names = [field.name for field in request.fields if field.required]
    if names != ["value"]:
        raise InputError(
            f"the corpus 'series' has numbers, for --task forecast or anomaly; this task reads "
            f"{' and '.join(names)}"
        )
    if argument is None:
        series, notes = read_series(BUNDLED, request.columns, name="series")
        return cut(
            "series", series, request=request, license="MIT",
            description="Ten made series of a town, every three hours for 150 days: trend, daily "
            "and weekly season, level shifts, noise, labeled anomalies.",
        )  # fmt: skip
    path = Path(argument)
    if not argument or not path.is_file():
        what = "no such file" if not path.is_dir() else "a folder; name a file"
        raise InputError(f"series:{argument}: {what}; expected series:FILE.csv")
    series, notes = read_series(path, request.columns)
    return cut(f"series:{argument}", series, request=request, notes=notes, origin=str(path))


def cut(
    name: str,
    series: Sequence[Series],
    *,
    request: CorpusRequest,
    notes: Sequence[str] = (),
    license: str = "not stated",
    description: str = "",
    origin: str | None = None,
) -> Corpus:
    """A corpus of series, cut by time into the shares of the request.

    Where nothing is to be cut off, all of it is one split, test.

    Raises:
        InputError: too few values.
    """
    from_, said = origin or name, list(notes)
    offsets = _offsets(series)
    end = max(offset + len(each.values) for offset, each in zip(offsets, series, strict=True))
    if request.validation_share == 0 and request.test_share == 0:
        splits = {"test": _split("test", series, offsets, 0, end, from_)}
        return Corpus(name=name, splits=splits, license=license, description=description,
                      notes=tuple(said))  # fmt: skip
    shares = {"test": request.test_share, "validation": request.validation_share}
    # Shares of what is left, as everywhere: test is cut off first.
    sizes, left = {}, end
    for split, share in shares.items():
        sizes[split] = max(1, round(left * share)) if share > 0 else 0
        left -= sizes[split]
    if left < 4 or min(len(each.values) for each in series) < 2:
        raise InputError(
            f"{from_}: the longest series has {end} values, too few to cut validation and test "
            "off; expected at least 20"
        )
    borders = {"train": left, "validation": left + sizes["validation"], "test": end}
    made, before = {}, 0
    for split, border in borders.items():
        if border > before:
            made[split] = _split(split, series, offsets, before, border, from_)
            if split != "train":
                said.append(
                    f"{split}: the {border - before:,} steps {_since(series, offsets, before)}"
                )
        before = border
    return Corpus(
        name=name,
        splits=MappingProxyType(made),
        license=license,
        description=description,
        notes=tuple(said),
    )


def parts_of(split: Split) -> list[Part]:
    """The series of a split.

    Raises:
        InputError: the split is of another kind of corpus.
    """
    if not {"series", "time", "value", "first"} <= set(split.fields):
        raise InputError(
            f"{split.origin}: no series; write --corpus series:FILE.csv to have a file read as such"
        )
    labels = split.column("anomaly") if "anomaly" in split.fields else [None] * len(split)
    columns = [split.column(field) for field in ("series", "time", "value", "first")]
    return [
        Part(
            series=Series(
                name=name,
                values=np.array(values, dtype=np.float64),
                timeline=Timeline.parse(time),
                labels=None if marks is None else np.array(marks, dtype=np.bool_),
                origin=split.where(row),
            ),
            first=first,
        )
        for row, (name, time, values, first, marks) in enumerate(zip(*columns, labels, strict=True))
    ]


def _offsets(series: Sequence[Series]) -> list[int]:
    """By how many steps each series begins later than the first: one moment cuts them all."""
    starts = [each.timeline.start for each in series]
    known = [start for start in starts if start is not None]
    if not known or len(known) < len(starts):
        return [0] * len(series)
    earliest = Timeline(start=min(known), step=series[0].timeline.step)
    return [int(earliest.numbers(np.array([start]))[0]) for start in starts]


def _since(series: Sequence[Series], offsets: Sequence[int], border: int) -> str:
    timeline, offset = series[0].timeline, offsets[0]
    if timeline.start is None:
        return f"from row {border + 1}"
    return f"from {text_of(timeline.times(np.array([border - offset]))[0])}"


def _split(
    name: str, series: Sequence[Series], offsets: Sequence[int], begin: int, end: int, origin: str
) -> Split:
    """The series up to `end`, of which those that have nothing from `begin` on are left out."""
    rows: list[Mapping[str, object]] = []
    for each, offset in zip(series, offsets, strict=True):
        first, last = max(0, begin - offset), min(len(each.values), end - offset)
        if last <= first or np.isnan(each.values[first:last]).all():
            continue
        rows.append(
            {
                "series": each.name,
                "time": str(each.timeline),
                "value": each.values[:last],
                "first": first,
                "anomaly": None if each.labels is None else each.labels[:last],
                "_where": each.origin.removeprefix(origin),
            }
        )
    if not rows:
        raise InputError(f"{origin}: no series has values in {name}; expected longer ones")
    kinds = {"series": pa.string(), "time": pa.string(), "value": pa.list_(pa.float64()),
             "first": pa.int64(), "anomaly": pa.list_(pa.bool_()),
             "_where": pa.string()}  # fmt: skip
    if rows[0]["anomaly"] is None:
        del kinds["anomaly"]
    table = pa.table(
        {key: pa.array([row[key] for row in rows], kind) for key, kind in kinds.items()}
    )
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row["series"], row["time"], row["first"])).encode())
        digest.update(np.asarray(row["value"]).tobytes())
        digest.update(np.asarray(row["anomaly"]).tobytes() if "anomaly" in kinds else b"")
    return Split(name, table, origin=origin, fingerprint=digest.hexdigest()[:32])


__all__ = ["FIELDS", "Part", "cut", "open_series", "parts_of"]
