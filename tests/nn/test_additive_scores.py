"""The kernel of additive scores against torch: values, gradients, and where it steps back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqnlp.nn import AdditiveAttention, ConcatAttention, LocationAttention, ScoredAttention
from seqnlp.nn.attention import additive as attentions
from seqnlp.nn.engines import additive, build
from seqnlp.types import Encoded

pytestmark = pytest.mark.skipif(build.toolchain() is None, reason="no kernel can be compiled")


@pytest.fixture(autouse=True, scope="module")
def _small_ones_too() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(additive, "_NUMBERS", 0)
        yield


def formula(queries: Tensor, keys: Tensor, vector: Tensor, mask: Tensor) -> Tensor:
    hidden = torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))
    return (hidden @ vector) * mask.unsqueeze(1)


def draw(
    batch: int, count: int, positions: int, size: int, dtype: torch.dtype = torch.float64
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Queries, keys and vector, and a mask."""
    torch.manual_seed(batch + count + positions + size)
    shapes = [(batch, count, size), (batch, positions, size), (size,)]
    queries, keys, vector = (torch.randn(s, dtype=dtype).requires_grad_() for s in shapes)
    return (queries, keys, vector), torch.rand(batch, positions) < 0.7


@given(st.data())
@settings(max_examples=60)
def test_values_and_gradients_are_torchs(data: st.DataObject) -> None:
    batch, count, positions = data.draw(st.tuples(*[st.integers(0, 5)] * 3))
    size = data.draw(st.integers(1, 40) | st.just(515))
    dtype, rtol = data.draw(st.sampled_from([(torch.float32, 2e-6), (torch.float64, 1e-14)]))
    leaves, mask = draw(batch, count, positions, size, dtype)
    results = []
    for function in (formula, additive.additive_scores):
        scores = function(*leaves, mask)
        assert scores is not None
        g = torch.randn(scores.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
        results.append([scores, *torch.autograd.grad(scores, leaves, g)])
    for expected, found in zip(*results, strict=True):
        assert found.shape == expected.shape
        most = float(expected.detach().abs().max()) if expected.numel() else 0.0
        allowed = 10 * rtol * max(1.0, most, size**0.5)
        torch.testing.assert_close(found, expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_share_rows(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additive, "_NUMBERS_A_THREAD", 1)
    leaves, mask = draw(4, 3, 5, 7)
    expected = torch.autograd.grad(formula(*leaves, mask).square().sum(), leaves)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        scores = additive.additive_scores(*leaves, mask)
        assert scores is not None
        found = torch.autograd.grad(scores.square().sum(), leaves)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_gradients_of_gradients() -> None:
    leaves, mask = draw(2, 2, 3, 4)

    def run(queries: Tensor, keys: Tensor, vector: Tensor) -> Tensor:
        scores = additive.additive_scores(queries, keys, vector, mask)
        assert scores is not None
        return scores

    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


def test_gradients_of_gradients_of_turned_tensors() -> None:
    leaves, mask = draw(2, 2, 3, 4)

    def run(queries: Tensor, keys: Tensor, vector: Tensor) -> Tensor:
        scores = additive.additive_scores(
            queries.transpose(0, 1), keys.transpose(1, 2), vector[:3], mask[:, :1].expand(2, 4)
        )
        assert scores is not None
        return scores

    queries, keys, vector = (leaf.detach() for leaf in leaves)
    turned = queries[..., :3].clone(), keys.clone(), vector
    assert torch.autograd.gradgradcheck(run, [leaf.requires_grad_() for leaf in turned])


def test_what_stands_on_hidden_positions_is_not_read() -> None:
    leaves, mask = draw(3, 2, 5, 9)
    clean = additive.additive_scores(*leaves, mask)
    queries, keys, vector = leaves
    dirty = keys.detach().masked_fill(~mask.unsqueeze(2), float("nan")).requires_grad_()
    found = additive.additive_scores(queries, dirty, vector, mask)
    assert clean is not None
    assert found is not None
    assert torch.equal(found, clean)
    gradients = torch.autograd.grad(found.sum(), [queries, dirty, vector])
    assert all(each.isfinite().all() for each in gradients)
    assert not gradients[1][~mask].any()


def test_strided_tensors_are_read_rightly() -> None:
    leaves, mask = draw(3, 4, 5, 6)
    queries, keys, vector = (leaf.detach() for leaf in leaves)
    wide = torch.stack([vector, -vector], 1)
    found = additive.additive_scores(
        queries.transpose(0, 1).contiguous().transpose(0, 1),
        keys.flip(2).flip(2),
        wide[:, 0],
        mask.t().contiguous().t(),
    )
    assert found is not None
    torch.testing.assert_close(found, formula(queries, keys, vector, mask), rtol=1e-13, atol=1e-13)


def test_where_it_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves, mask = draw(2, 2, 3, 4, torch.float32)
    with torch.no_grad():
        queries, keys, vector = leaves
        halves = queries.bfloat16(), keys.bfloat16(), vector.bfloat16()
        assert additive.additive_scores(*halves, mask) is None
        assert additive.additive_scores(queries.double(), keys, vector, mask) is None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert additive.additive_scores(*leaves, mask) is None
        monkeypatch.setattr(additive, "_NUMBERS", 2 * 2 * 3 * 4 + 1)
        assert additive.additive_scores(*leaves, mask) is None
        monkeypatch.setattr(additive, "_NUMBERS", 2 * 2 * 3 * 4)
        assert additive.additive_scores(*leaves, mask) is not None
        monkeypatch.setattr(build, "load", lambda source: None)
        assert additive.additive_scores(*leaves, mask) is None


@pytest.mark.parametrize(
    ("attention", "uses"),
    [
        (AdditiveAttention(3, 4), True),
        (ConcatAttention(3, 4, size=6), True),
        (AdditiveAttention(3, 4, coverage=True), False),
        (LocationAttention(3, 4), False),
    ],
)
def test_attentions_without_a_past_use_it(
    attention: ScoredAttention, uses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    attention = attention.double()
    mask = torch.tensor([[True, True, False], [False, False, False]])
    states = torch.randn(2, 3, 4, dtype=torch.float64) * mask.unsqueeze(2)
    memory = attention.prepare(Encoded(states=states, mask=mask, summary=states[:, 0]))
    queries = torch.randn(2, 5, 3, dtype=torch.float64)
    past = torch.rand(2, 5, 3, dtype=torch.float64)
    calls = []

    def watch(queries: Tensor, keys: Tensor, vector: Tensor, mask: Tensor) -> Tensor | None:
        calls.append(queries)
        return additive.additive_scores(queries, keys, vector, mask)

    monkeypatch.setattr(attentions, "additive_scores", watch)
    found = attention.attend(queries, memory, past)
    assert bool(calls) == uses
    monkeypatch.setattr(attentions, "additive_scores", lambda *given: None)
    expected = attention.attend(queries, memory, past)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(found.context, expected.context, rtol=1e-13, atol=1e-14)
