"""Pooling against each row on its own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqnlp.errors import SettingsError, UnknownNameError
from seqnlp.nn import AttentionPooling, LastPooling, MaxPooling, MeanPooling, Pooling
from seqnlp.types import Encoded

LENGTHS = [5, 2, 1, 0]
D = 4


def encoded(padding: float = 0.0) -> Encoded:
    torch.manual_seed(0)
    mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    states = (torch.randn(4, 5, D) - 3).masked_fill(~mask.unsqueeze(2), padding).requires_grad_()
    return Encoded(states=states, mask=mask, summary=torch.randn(4, D))


@pytest.mark.parametrize("padding", [0.0, 50.0])
@pytest.mark.parametrize(
    ("pooling", "reduce"),
    [(MeanPooling(D), lambda x: x.mean(0)), (MaxPooling(D), lambda x: x.max(0).values)],
)
def test_mean_and_maximum_see_real_states_only(
    pooling: Pooling, reduce: object, padding: float
) -> None:
    batch = encoded(padding)
    pooled = pooling(batch)
    for row, length in enumerate(LENGTHS):
        wanted = reduce(batch.states[row, :length]) if length else torch.zeros(D)  # type: ignore[operator]
        torch.testing.assert_close(pooled[row], wanted)
    (gradient,) = torch.autograd.grad(pooled.sum(), batch.states)
    assert (gradient[~batch.mask] == 0).all()
    torch.testing.assert_close(gradient.sum(1), torch.tensor([[1.0], [1], [1], [0]]).expand(4, D))


def test_last_is_the_summary() -> None:
    batch = encoded()
    assert LastPooling(D)(batch) is batch.summary


def test_attention_pools_by_the_weights_it_reports() -> None:
    batch, pooling = encoded(), AttentionPooling(D, attention="dot")
    scores = batch.states @ pooling.query
    for row, length in enumerate(LENGTHS[:3]):
        weights = torch.softmax(scores[row, :length], 0)
        torch.testing.assert_close(pooling(batch)[row], weights @ batch.states[row, :length])
        torch.testing.assert_close(pooling.attend(batch).weights[row, :length], weights)
    assert (pooling(batch)[3] == 0).all()
    pooling(batch).square().sum().backward()
    assert isinstance(pooling.query.grad, Tensor)
    assert pooling.query.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["additive", "dot", "general", "multi_head"])
def test_any_attention_can_pool(name: str) -> None:
    pooling = AttentionPooling(D, attention=name)
    assert pooling.output_size == D
    first, second = pooling(encoded()), pooling(encoded(padding=9.0))
    torch.testing.assert_close(first, second)
    assert first[:3].abs().min() > 0


def test_options_reach_the_attention_and_mistakes_are_named() -> None:
    pooling = AttentionPooling(D, attention="additive", attention_options={"size": 9})
    assert pooling.attention.vector.shape == (9,)
    with pytest.raises(
        SettingsError, match=r"^head.attention_options: no key 'sized'; did you mean"
    ):
        AttentionPooling(D, attention_options={"sized": 9})
    with pytest.raises(
        UnknownNameError, match=r"^no attention is named 'dots'; did you mean 'dot'"
    ):
        AttentionPooling(D, attention="dots")


def test_no_states_at_all_pool_to_zeros() -> None:
    empty = Encoded(
        states=torch.zeros(2, 0, D), mask=torch.zeros(2, 0, dtype=torch.bool),
        summary=torch.zeros(2, D),
    )  # fmt: skip
    for pooling in (MeanPooling(D), MaxPooling(D), AttentionPooling(D)):
        assert torch.equal(pooling(empty), torch.zeros(2, D))
