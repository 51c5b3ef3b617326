"""Attention against its formulas, written out row by row, and against torch's multi-head one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.nn import (
    AdditiveAttention,
    Attention,
    DotAttention,
    GeneralAttention,
    MultiHeadAttention,
)
from seqnlp.types import Encoded

B, S, D, Q = 4, 5, 6, 3
LENGTHS = [5, 2, 1, 0]


def encoded(size: int = D) -> Encoded:
    torch.manual_seed(1)
    mask = torch.arange(S) < torch.tensor(LENGTHS)[:, None]
    states = torch.randn(B, S, size).double() * mask.unsqueeze(2)
    return Encoded(states=states, mask=mask, summary=states[:, 0])


def additive_score(a: Attention, q: Tensor, m: Tensor) -> Tensor:
    assert isinstance(a, AdditiveAttention)
    hidden = a.query_projection.weight @ q + a.query_projection.bias + a.key_projection.weight @ m
    return a.vector @ torch.tanh(hidden)


CASES: dict[str, tuple[Callable[[], Attention], Callable[[Attention, Tensor, Tensor], Tensor]]] = {
    "additive": (lambda: AdditiveAttention(Q, D), additive_score),
    "additive_sized": (lambda: AdditiveAttention(Q, D, size=7), additive_score),
    "dot": (lambda: DotAttention(D, D), lambda a, q, m: q @ m),
    "scaled_dot": (lambda: DotAttention(D, D, scaled=True), lambda a, q, m: q @ m / D**0.5),
    "general": (lambda: GeneralAttention(Q, D), lambda a, q, m: q @ a.key_projection.weight @ m),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_and_context_follow_the_formula(case: str) -> None:
    make, score = CASES[case]
    torch.manual_seed(0)
    attention, memory = make().double(), encoded()
    query = torch.randn(B, attention.query_size).double()
    attended = attention(query, attention.prepare(memory))
    for row, length in enumerate(LENGTHS):
        real = memory.states[row, :length]
        expected = torch.zeros(S).double()
        if length:
            scores = torch.stack([score(attention, query[row], m) for m in real])
            expected[:length] = scores.exp() / scores.exp().sum()
        torch.testing.assert_close(attended.weights[row], expected, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(
            attended.context[row], expected[:length] @ real, rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_multi_head_equals_torch(heads: int) -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(D, D, heads=heads).double()
    theirs = nn.MultiheadAttention(D, heads, batch_first=True).double()
    parts = (ours.query_projection, ours.key_projection, ours.value_projection)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.weight.copy_(ours.output_projection.weight)
        theirs.out_proj.bias.copy_(ours.output_projection.bias.normal_())
    memory = encoded()
    query = torch.randn(B, D).double().requires_grad_()
    attended = ours(query, ours.prepare(memory))
    rows = slice(0, 3)  # torch gives NaN for the row that has nothing to attend to
    context, weights = theirs(
        query[rows].unsqueeze(1), memory.states[rows], memory.states[rows],
        key_padding_mask=~memory.mask[rows],
    )  # fmt: skip
    torch.testing.assert_close(attended.context[rows], context[:, 0], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(attended.weights[rows], weights[:, 0], rtol=1e-12, atol=1e-14)
    (mine,) = torch.autograd.grad(attended.context[rows].square().sum(), query)
    (other,) = torch.autograd.grad(context.square().sum(), query)
    torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-13)


EVERY: dict[str, Callable[[], Attention]] = {
    **{name: make for name, (make, _) in CASES.items()},
    "multi_head": lambda: MultiHeadAttention(Q, D, heads=2),
}


@pytest.mark.parametrize("case", EVERY)
def test_hidden_positions_have_no_weight_and_an_empty_row_no_context(case: str) -> None:
    torch.manual_seed(2)
    attention, memory = EVERY[case]().double(), encoded()
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    states = torch.where(memory.mask.unsqueeze(2), memory.states, 1e3).requires_grad_()
    dirty = Encoded(states=states, mask=memory.mask, summary=memory.summary)
    query = torch.randn(B, attention.query_size).double().requires_grad_()
    attended = attention(query, attention.prepare(dirty))
    clean = attention(query, attention.prepare(memory))
    assert (attended.weights[~memory.mask] == 0).all()
    assert (attended.context[3] == 0).all()
    torch.testing.assert_close(attended.weights.sum(1), torch.tensor([1.0, 1, 1, 0]).double())
    torch.testing.assert_close(attended.context, clean.context, rtol=1e-12, atol=1e-12)
    for gradient in torch.autograd.grad(
        attended.context.square().sum(), [states, query, *attention.parameters()], allow_unused=True
    ):
        assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize("case", EVERY)
def test_one_memory_serves_many_queries(case: str) -> None:
    torch.manual_seed(3)
    attention, memory = EVERY[case]().double(), encoded()
    prepared = attention.prepare(memory)
    queries = [torch.randn(B, attention.query_size).double() for _ in range(2)]
    first = attention(queries[0], prepared).context
    attention(queries[1], prepared)
    assert torch.equal(attention(queries[0], prepared).context, first)
    assert not [v for v in vars(attention).values() if isinstance(v, Tensor)]


@pytest.mark.parametrize("case", EVERY)
def test_gradients_are_numerically_right(case: str) -> None:
    torch.manual_seed(4)
    attention, memory = EVERY[case]().double(), encoded()

    def run(query: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        part = Encoded(states=states, mask=memory.mask[:2], summary=states[:, 0])
        attended = attention(query, attention.prepare(part))
        return attended.context, attended.weights

    query = torch.randn(2, attention.query_size).double().requires_grad_()
    assert torch.autograd.gradcheck(run, (query, memory.states[:2].clone().requires_grad_()))


def test_a_memory_without_positions_gives_zeros() -> None:
    attention = GeneralAttention(Q, D)
    empty = Encoded(
        states=torch.zeros(2, 0, D), mask=torch.zeros(2, 0, dtype=torch.bool),
        summary=torch.zeros(2, D),
    )  # fmt: skip
    attended = attention(torch.randn(2, Q), attention.prepare(empty))
    assert torch.equal(attended.context, torch.zeros(2, D))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DotAttention(3, 6),
            "dot attention needs queries of the memory's size, but they have 3 and 6 features; "
            "use 'general', which maps one to the other",
        ),
        (
            lambda: MultiHeadAttention(3, 6, heads=4),
            "heads must divide the 6 memory features, not 4",
        ),
        (
            lambda: MultiHeadAttention(3, 6, heads=0),
            "heads must divide the 6 memory features, not 0",
        ),
        (lambda: AdditiveAttention(3, 6, size=0), "size must be at least 1, not 0"),
    ],
)
def test_wrong_sizes_are_named(make: Callable[[], Attention], message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message


def test_each_is_registered() -> None:
    expected = {
        "additive": AdditiveAttention,
        "dot": DotAttention,
        "general": GeneralAttention,
        "multi_head": MultiHeadAttention,
    }
    assert {name: registry.attentions.get(name) for name in expected} == expected
