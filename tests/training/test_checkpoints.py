"""Checkpoints as files, and the generators of random numbers in them."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.training.checkpoints import Checkpoints, DamagedCheckpointError, pack, unpack
from seqnlp.training.randomness import random_state, set_random_state

TENSORS = st.builds(
    lambda shape, dtype, seed: torch.from_numpy(
        np.asarray(np.random.default_rng(seed).normal(size=shape) * 100, dtype=dtype)
    ),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]),
    st.integers(0, 99),
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text()
VALUES = st.recursive(
    PLAIN.filter(lambda value: not str(value).startswith("tensor:")) | TENSORS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_state_comes_back_as_it_was(state: dict[str, Any]) -> None:
    assert same(unpack(pack(state)), state)


def test_views_and_shared_memory_come_back_whole() -> None:
    whole = torch.arange(12.0).view(3, 4)
    state = {"whole": whole, "again": whole, "row": whole[1], "turned": whole.T}
    assert len(pack(state)) < len(pack({name: each.clone() for name, each in state.items()}))
    assert same(unpack(pack(state)), state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {1: 2}}, "the key 1 of a state is no string"),
        ({"a": "tensor:3"}, "a text of a state begins with 'tensor:': 'tensor:3'"),
        ({"a": {1, 2}}, "a state holds a set; expected JSON values and tensors"),
        ({"a": np.float32(1)}, "a state holds a float32; expected JSON values and tensors"),
    ],
)
def test_what_cannot_be_kept_is_refused(state: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        pack(state)
    assert str(caught.value) == message


@given(st.binary(max_size=200))
def test_other_bytes_are_no_checkpoint(data: bytes) -> None:
    with pytest.raises(DamagedCheckpointError):
        unpack(data)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_every_changed_byte_is_noticed(place: int, change: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        notes: list[str] = []
        store = Checkpoints(Path(folder), notes.append)
        store.save(3, {"x": torch.arange(10.0)}, keep=2)
        (path,) = Path(folder).iterdir()
        data = bytearray(path.read_bytes())
        data[place % len(data)] ^= change
        path.write_bytes(data)
        assert store.load() is None
        (note,) = notes
        assert note.startswith(f"{path} is damaged (")


def test_an_unreadable_checkpoint_is_told(tmp_path: Path) -> None:
    notes: list[str] = []
    store = Checkpoints(tmp_path, notes.append)
    (tmp_path / "step-000000001.checkpoint").mkdir()
    assert store.load() is None
    assert "Is a directory" in notes[0]


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes: list[str] = []
    store = Checkpoints(tmp_path / "file" / "x", notes.append)
    store.save(3, {}, keep=1)
    store.finish({})
    path = tmp_path / "file" / "x"
    assert notes == [
        f"no checkpoint at step 3: cannot write {path}: Not a directory; training goes on",
        f"no checkpoint of the trained weights: cannot write {path}: Not a directory",
    ]


def test_generators_go_on_where_they_were() -> None:
    for _ in range(3):
        random.gauss(0, 1)
        np.random.normal(size=3)
        torch.randn(5)

    def draw() -> list[Any]:
        return [
            random.random(), random.gauss(0, 1), np.random.normal(), np.random.randint(10**9),
            *torch.randn(3).tolist(), int(torch.randint(10**9, ())),
        ]  # fmt: skip

    before = unpack(pack(random_state()))
    drawn = draw()
    assert draw() != drawn
    set_random_state(before)
    assert draw() == drawn
