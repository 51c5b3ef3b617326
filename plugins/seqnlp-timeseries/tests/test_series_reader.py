"""CSV files as people have them, and what is said where they cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from seqnlp_timeseries.corpus import BUNDLED, parts_of
from seqnlp_timeseries.fields import FIELDS
from seqnlp_timeseries.reader import read_series
from seqnlp_timeseries.synthetic import make
from seqnlp_timeseries.timeline import Step, Timeline

from seqnlp.data import open_corpus
from seqnlp.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "sales.csv"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str, **columns: str) -> str:
    with pytest.raises(InputError) as caught:
        read_series(write(folder, text), columns, name="sales.csv")
    return str(caught.value)


def test_the_bundled_file_is_what_the_script_makes() -> None:
    assert BUNDLED.read_text() == make()


def test_a_long_file_is_sorted_by_time_and_gaps_are_missing_values(tmp_path: Path) -> None:
    text = "id,date,value\na,2024-01-03,3\na,2024-01-01,1\nb,2024-01-01,7\na,2024-01-04,\n"
    series, notes = read_series(write(tmp_path, text), name="sales.csv")
    assert [each.name for each in series] == ["a", "b"]
    np.testing.assert_array_equal(series[0].values, [1, np.nan, 3, np.nan])
    assert str(series[0].timeline) == "2024-01-01T00:00:00/1d"
    assert series[0].origin == "sales.csv:3"
    (note,) = notes
    assert note == (
        "2 of 5 values are missing, 1 of them steps without a row, the first empty cell in "
        "sales.csv:5"
    )


def test_the_columns_of_a_wide_file_are_series_and_what_is_guessed_is_said(tmp_path: Path) -> None:
    text = "when;north;south;remark\n2024-01;1,5;2;fine\n2024-02;NA;3;\n2024-03;4;5;wet\n"
    series, notes = read_series(write(tmp_path, text), name="sales.csv")
    assert [each.name for each in series] == ["north", "south"]
    np.testing.assert_array_equal(series[0].values, [1.5, np.nan, 4])
    assert series[0].timeline.step == Step(count=1, unit="mo")
    assert notes[:3] == (
        "time is read from 'when'",
        "values are read from 'north', 'south', each a series",
        "columns not read: remark",
    )


def test_columns_are_named_by_the_user(tmp_path: Path) -> None:
    text = "a,b,c\n1,10,x\n2,20,y\n"
    series, _ = read_series(write(tmp_path, text), {"value": "a,b"})
    assert [each.name for each in series] == ["a", "b"]
    series, _ = read_series(write(tmp_path, text), {"value": "b", "time": "a"})
    np.testing.assert_array_equal(series[0].values, [10, 20])


def test_a_file_without_a_header_is_read_by_what_is_in_it(tmp_path: Path) -> None:
    series, notes = read_series(write(tmp_path, "2024-01-01,5\n2024-01-08,6\n2024-01-15,7\n"))
    np.testing.assert_array_equal(series[0].values, [5, 6, 7])
    assert str(series[0].timeline.step) == "1w"
    assert notes[0] == "no header: columns are told by what is in them"


def test_numbers_alone_are_a_series(tmp_path: Path) -> None:
    series, notes = read_series(write(tmp_path, "sales\n5\n6\n7\n"))
    np.testing.assert_array_equal(series[0].values, [5, 6, 7])
    assert series[0].timeline.start is None
    assert notes == ("no time column: rows are taken as equal steps",)


def test_times_without_a_step_are_rows(tmp_path: Path) -> None:
    text = "date,value\n2024-01-01,5\n2024-01-02,6\n2024-01-04,7\n2024-01-04T10:00,8\n"
    series, notes = read_series(write(tmp_path, text))
    np.testing.assert_array_equal(series[0].values, [5, 6, 7, 8])
    assert "the times are not equally spaced: rows are taken as equal steps" in notes


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (["2024-01-31", "2024-02-29", "2024-03-31", "2024-05-31"], "1mo"),
        (["2024Q1", "2024Q2", "2024Q4"], "3mo"),
        (["2021", "2022", "2023"], "12mo"),
        (["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"], "1b"),
        (["2024-01-01T00:00Z", "2024-01-01T03:00Z", "2024-01-01T06:00Z"], "3h"),
        (["2024-01-01T00:00", "2024-01-01T00:15", "2024-01-01T01:00"], "15min"),
        (["2024-01-01", "2024-01-08", "2024-01-22"], "1w"),
    ],
)
def test_steps_are_inferred_and_every_time_is_found_again(
    tmp_path: Path, times: list[str], step: str
) -> None:
    rows = "".join(f"{time},{place}\n" for place, time in enumerate(times))
    (series,), _ = read_series(write(tmp_path, "date,value\n" + rows))
    assert str(series.timeline.step) == step
    numbers = np.arange(len(series.values))
    moments = series.timeline.times(numbers)
    np.testing.assert_array_equal(series.timeline.numbers(moments), numbers)
    assert Timeline.parse(str(series.timeline)) == series.timeline
    known = series.values[~np.isnan(series.values)]
    np.testing.assert_array_equal(known, np.arange(len(times)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "sales.csv: empty; expected a CSV file with a header"),
        ("date,value\n", "sales.csv: no rows below the header"),
        ("date,value\n2024-01-01,5\n2024-01-02\n", "sales.csv:3: 1 cells; expected 2"),
        ("date,value\n2024-01-01,5\n2024-01-02,many\n",
         "sales.csv:3: value: 'many' is no number; expected one such as 12.5, or nothing where the value is missing"),
        ("date,value\n2024-01-01,5\n2024-01-02,inf\n", "sales.csv:3: value: 'inf' is no number; expected one such as 12.5, or nothing where the value is missing"),
        ("date,value\n31.01.2024,5\n",
         "sales.csv:2: date: '31.01.2024' is no time; expected an ISO time such as 2024-01-31 or 2024-01-31 08:00"),
        ("date,value\n2024-01-01,5\n2024-01-01,6\n",
         "sales.csv:3: two rows are at 2024-01-01, the other in line 2; if they are of two series, name the column that tells them apart: --columns series=COLUMN"),
        ("date,value,anomaly\n2024-01-01,5,perhaps\n", "sales.csv:2: anomaly: 'perhaps'; expected 1 or 0, true or false"),
        ("date,remark\n2024-01-01,fine\n", "sales.csv: no column of numbers among date, remark; name it with --columns value=COLUMN"),
        ("date,value\n2024-01-01,5\n2024-01-02,5\n2924-01-03,5\n",
         "sales.csv:4: 2924-01-03 is 328,719 steps of 1d after 2024-01-02; is one of them mistyped?"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_by_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    assert refusal(tmp_path, text) == message


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    found = refusal(tmp_path, "date,sales\n2024-01-01,5\n", value="sale")
    assert (
        found == "sales.csv: no column 'sale' for value; did you mean 'sales'? known: date, sales"
    )


def test_bytes_that_are_no_text_are_found(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(b"date,value\n2024-01-01,\xff\n")
    with pytest.raises(InputError, match=r"sales\.csv:2: not valid UTF-8"):
        read_series(path)
    with pytest.raises(InputError, match="No such file"):
        read_series(tmp_path / "nothing.csv")


def open_series_corpus(name: str, **shares: float):  # type: ignore[no-untyped-def]
    return open_corpus(name, fields=FIELDS, **shares)


def test_splits_are_cut_at_one_moment_and_have_the_past_to_read(tmp_path: Path) -> None:
    rows = [f"a,2024-01-{day:02},{day}" for day in range(1, 31)]
    rows += [f"b,2024-01-{day:02},{day}" for day in range(11, 31)]
    path = write(tmp_path, "id,date,value\n" + "\n".join(rows))
    corpus = open_series_corpus(f"series:{path}", test_share=0.2, validation_share=0.25)
    ends = {"train": 18, "validation": 24, "test": 30}
    firsts = {"train": 0, "validation": 18, "test": 24}
    for name, split in corpus.splits.items():
        a, b = parts_of(split)
        assert (len(a.series.values), a.first) == (ends[name], firsts[name])
        assert (len(b.series.values), b.first) == (ends[name] - 10, max(0, firsts[name] - 10))
        assert a.series.values[-1] == b.series.values[-1] == ends[name]
    assert corpus.notes[-2:] == (
        "validation: the 6 steps from 2024-01-19",
        "test: the 6 steps from 2024-01-25",
    )


def test_changing_the_future_changes_no_training_row(tmp_path: Path) -> None:
    def splits(future: float):  # type: ignore[no-untyped-def]
        values = [*range(82), *[future] * 18]
        path = write(tmp_path, "value\n" + "\n".join(map(str, values)))
        return open_series_corpus(f"series:{path}", test_share=0.1, validation_share=0.1).splits

    before, after = splits(1.0), splits(-9.0)
    assert before["train"].fingerprint == after["train"].fingerprint
    np.testing.assert_array_equal(
        parts_of(before["train"])[0].series.values, parts_of(after["train"])[0].series.values
    )
    assert before["test"].fingerprint != after["test"].fingerprint


def test_another_corpus_is_one_split(tmp_path: Path) -> None:
    path = write(tmp_path, "value\n1\n2\n3\n")
    corpus = open_series_corpus(f"series:{path}", validation_share=0.0)
    assert list(corpus.splits) == ["test"]
    assert parts_of(corpus.split("test"))[0].first == 0


def test_corpora_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"series:none\.csv: no such file; expected series:FILE"):
        open_series_corpus("series:none.csv")
    with pytest.raises(InputError, match="a folder; name a file"):
        open_series_corpus(f"series:{tmp_path}")
    path = write(tmp_path, "value\n1\n2\n3\n")
    with pytest.raises(InputError, match="the longest series has 3 values, too few to cut"):
        open_series_corpus(f"series:{path}", test_share=0.2)
    from seqnlp.types import Field

    text = (Field(name="text"), Field(name="label"))
    with pytest.raises(
        InputError,
        match=r"has numbers, for --task forecast or anomaly; this task reads text and label",
    ):
        open_corpus("series", fields=text)


def test_a_file_that_was_read_as_texts_is_told_how_to_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "value\n" + "5\n" * 40)
    split = open_corpus(str(path), fields=FIELDS).split("train")
    with pytest.raises(InputError, match=r"no series; write --corpus series:FILE\.csv"):
        parts_of(split)


def test_a_column_of_remarks_names_no_series(tmp_path: Path) -> None:
    remarks = ["", "wet", "", "wet"]
    rows = [f"2024-01-0{day + 1},{day},{word}" for day, word in enumerate(remarks)]
    series, notes = read_series(write(tmp_path, "date,value,remark\n" + "\n".join(rows) + "\n"))
    assert len(series) == 1
    assert notes == ("columns not read: remark",)


def test_a_column_without_a_usual_name_tells_series_apart_where_times_repeat(
    tmp_path: Path,
) -> None:
    rows = [f"2024-01-0{day},{day},{town}" for town in ("Ulm", "Bonn") for day in (1, 2, 3)]
    series, notes = read_series(write(tmp_path, "date,value,town\n" + "\n".join(rows) + "\n"))
    assert [each.name for each in series] == ["Ulm", "Bonn"]
    assert notes == ("series are named by 'town'",)
