"""The greatest columns of rows, by the kernel and by torch, against `topk`."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqnlp.nn.engines import build, greatest
from seqnlp.nn.engines.compiler import VARIABLE
from seqnlp.nn.engines.greatest import most_probable, top

SIZES = st.one_of(st.integers(1, 200), st.integers(500, 3000))
KINDS = st.sampled_from(["scattered", "equal", "few", "large"])


@pytest.fixture(params=["kernel", "torch"], scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setenv(VARIABLE, "none")
        elif not any(map(shutil.which, ("c++", "g++", "clang++"))):
            pytest.skip("needs a compiler")
        build.forget()
        yield request.param
    build.forget()


def _values(rows: int, size: int, kind: str, seed: int) -> Tensor:
    values = torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * 3
    if kind == "equal":
        return values.round()
    if kind == "few":
        values[:, 1:][values[:, 1:] < 7] = -math.inf
    return values * 1000 if kind == "large" else values


@settings(max_examples=60)
@given(
    size=SIZES,
    count=st.integers(1, 12),
    kind=KINDS,
    seed=st.integers(0, 99),
)
def test_the_greatest_columns_are_those_of_topk(
    size: int, count: int, kind: str, seed: int
) -> None:
    values = _values(3, size, kind, seed)
    count = min(count, size)
    found, columns = top(values, count)
    assert torch.equal(found, values.topk(count, 1).values)
    assert torch.equal(values.gather(1, columns), found)
    assert all(len(set(row)) == count for row in columns.tolist())


@settings(max_examples=60)
@given(
    rows=st.integers(1, 70),
    size=SIZES,
    count=st.integers(1, 70),
    forbidden=st.lists(st.integers(0, 4), max_size=4),
    kind=KINDS,
    seed=st.integers(0, 99),
)
def test_the_most_probable_columns_are_those_of_topk(
    way: str, rows: int, size: int, count: int, forbidden: list[int], kind: str, seed: int
) -> None:
    logits = _values(rows, size, kind, seed)
    out = torch.tensor([column for column in forbidden if column < size], dtype=torch.long)
    count = min(count, size)
    expected = torch.log_softmax(logits.double(), 1).index_fill(1, out, -math.inf)
    with torch.no_grad():
        found, columns = most_probable(logits.clone(), count, out)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected.topk(count, 1).values, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found, expected.gather(1, columns), rtol=1e-5, atol=1e-5)
        assert all(len(set(row)) == count for row in columns.tolist())
        ready = expected.float()
        found, columns = most_probable(ready.clone(), count, out, normalized=True)
    assert torch.equal(found, ready.topk(count, 1).values.double())
    assert torch.equal(found, ready.gather(1, columns).double())


def test_the_kernel_runs_on_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, none = torch.randn(100, 700), torch.tensor([], dtype=torch.long)
    with torch.no_grad():
        alone = most_probable(logits, 5, none)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        monkeypatch.setattr(greatest, "_WORTH_A_THREAD", 1)
        together = most_probable(logits, 5, none)
    assert torch.equal(alone[0], together[0])
    assert torch.equal(alone[1], together[1])


def test_rows_of_nan_have_columns_that_exist(way: str) -> None:
    with torch.no_grad():
        values, columns = most_probable(torch.full((2, 100), math.nan), 3, torch.tensor([0]))
    assert not values.isfinite().any()
    assert ((columns >= 0) & (columns < 100)).all()
