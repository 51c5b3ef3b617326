from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.data.split import Split, concatenate
from seqnlp.errors import InputError


def chunked(sizes: list[int]) -> Split:
    """Rows numbered through, in chunks of these sizes."""
    whole = pa.table({"text": [f"t{i}" for i in range(sum(sizes))], "_where": [
        f":{i + 2}" for i in range(sum(sizes))]})  # fmt: skip
    begins = np.cumsum([0, *sizes[:-1]])
    parts = [whole.slice(begin, size) for begin, size in zip(begins, sizes, strict=True)]
    return Split("train", pa.concat_tables(parts), origin="a.tsv", fingerprint="f")


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.data())
def test_selections_agree_however_rows_are_read(sizes: list[int], data: st.DataObject) -> None:
    split = chunked(sizes)
    rows = [f"t{i}" for i in range(len(split))]
    for _ in range(2):  # a selection, and a selection of it
        indices = data.draw(
            st.lists(st.integers(0, len(rows) - 1), max_size=8) if rows else st.just([])
        )
        split, rows = split.select(indices), [rows[i] for i in indices]
        assert list(split.column("text")) == rows
        assert [split[i]["text"] for i in range(len(split))] == rows
        assert [row["text"] for row in split] == rows
        assert [split.where(i) for i in range(len(split))] == [
            f"a.tsv:{int(row[1:]) + 2}" for row in rows
        ]


@given(st.slices(7))
def test_slices_are_those_of_a_list(part: slice) -> None:
    split = chunked([3, 0, 4])
    assert [row["text"] for row in split[part]] == [f"t{i}" for i in range(7)][part]


def test_rows_out_of_range() -> None:
    split = chunked([3, 2])
    assert split[-1] == {"text": "t4"}
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"row {index} of 5"):
            split[index]


def test_a_selection_has_a_fingerprint_of_its_own() -> None:
    split = chunked([3, 2])
    prints = {split.fingerprint, split.select([0, 1]).fingerprint, split.select([1, 0]).fingerprint}
    assert len(prints) == 3
    assert split.select([1, 0]).fingerprint == chunked([5]).select([1, 0]).fingerprint


def test_rows_in_memory() -> None:
    rows = [{"text": "fine", "label": 1}, {"text": " ", "label": 0}, {"text": "", "label": 1}]
    split = Split.from_examples("train", rows)
    assert list(split) == [{"text": row["text"], "label": str(row["label"])} for row in rows]
    assert split.blank.tolist() == [False, True, True]
    names, codes = split.codes("label")
    assert (names, codes.tolist()) == (("1", "0"), [0, 1, 0])
    assert split.where(1) == "memory, row 2"
    assert split.fingerprint != Split.from_examples("train", rows[:2]).fingerprint


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(InputError) as error:
        chunked([1]).column("txt")
    assert str(error.value) == (
        "a.tsv: the train split has no field 'txt'; did you mean 'text'? known: text"
    )


def test_shards_make_one_split() -> None:
    one, other = chunked([2]), chunked([3])
    split = concatenate("train", [one, other], origin="folder")
    assert list(split.column("text")) == ["t0", "t1", "t0", "t1", "t2"]
    assert split.where(2) == "folder:2"
