"""Attention against its formulas, written out row by row, and against torch's multi-head one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.nn import (
    AdditiveAttention,
    Attention,
    AttentionPooling,
    ConcatAttention,
    DotAttention,
    GeneralAttention,
    LocationAttention,
    MultiHeadAttention,
)
from seqnlp.nn.attention import additive, history
from seqnlp.types import Attended, Encoded, Memory

B, S, D, Q, N = 4, 5, 6, 3, 3
LENGTHS = [5, 2, 1, 0]


def encoded(size: int = D) -> Encoded:
    torch.manual_seed(1)
    mask = torch.arange(S) < torch.tensor(LENGTHS)[:, None]
    states = torch.randn(B, S, size).double() * mask.unsqueeze(2)
    return Encoded(states=states, mask=mask, summary=states[:, 0])


Score = Callable[[Attention, Tensor, Tensor, Tensor, int], Tensor]
"""Of an attention, one query, one state of the memory, the past [S] and the position."""


def additive_score(a: Attention, q: Tensor, m: Tensor, past: Tensor, position: int) -> Tensor:
    assert isinstance(a, AdditiveAttention)
    hidden = a.query_projection.weight @ q + a.query_projection.bias + a.key_projection.weight @ m
    if a.coverage is not None:
        hidden = hidden + a.coverage * past[position]
    return a.vector @ torch.tanh(hidden)


def concat_score(a: Attention, q: Tensor, m: Tensor, past: Tensor, position: int) -> Tensor:
    assert isinstance(a, ConcatAttention)
    return a.vector @ torch.tanh(a.projection.weight @ torch.cat([q, m]))


def location_score(a: Attention, q: Tensor, m: Tensor, past: Tensor, position: int) -> Tensor:
    assert isinstance(a, LocationAttention)
    filters = a.filters.weight[:, 0]
    reach = filters.shape[1] // 2
    seen = [past[j] if 0 <= j < len(past) else past.new_zeros(()) for j in
            range(position - reach, position + reach + 1)]  # fmt: skip
    hidden = a.query_projection.weight @ q + a.query_projection.bias + a.key_projection.weight @ m
    hidden = hidden + a.location_projection.weight @ (filters @ torch.stack(seen))
    return a.vector @ torch.tanh(hidden)


CASES: dict[str, tuple[Callable[[], Attention], Score]] = {
    "additive": (lambda: AdditiveAttention(Q, D), additive_score),
    "additive_sized": (lambda: AdditiveAttention(Q, D, size=7), additive_score),
    "coverage": (lambda: AdditiveAttention(Q, D, size=7, coverage=True), additive_score),
    "concat": (lambda: ConcatAttention(Q, D, size=7), concat_score),
    "location": (lambda: LocationAttention(Q, D, size=7, filters=2, width=3), location_score),
    "wide_location": (lambda: LocationAttention(Q, D, filters=4, width=13), location_score),
    "dot": (lambda: DotAttention(D, D), lambda a, q, m, past, j: q @ m),
    "scaled_dot": (lambda: DotAttention(D, D, scaled=True), lambda a, q, m, past, j: q @ m / D**0.5),
    "general": (
        lambda: GeneralAttention(Q, D),
        lambda a, q, m, past, j: q @ a.get_parameter("key_projection.weight") @ m,
    ),
}  # fmt: skip


def expected_weights(
    attention: Attention, score: Score, query: Tensor, real: Tensor, past: Tensor
) -> Tensor:
    """Of one query over the real states of one row, padded by zeros."""
    weights = torch.zeros(S).double()
    if len(real):
        scores = torch.stack([score(attention, query, m, past, j) for j, m in enumerate(real)])
        weights[: len(real)] = scores.exp() / scores.exp().sum()
    return weights


@pytest.mark.parametrize("case", CASES)
def test_weights_and_context_follow_the_formula(case: str) -> None:
    make, score = CASES[case]
    torch.manual_seed(0)
    attention, memory = make().double(), encoded()
    query = torch.randn(B, attention.query_size).double()
    attended = attention(query, attention.prepare(memory))
    for row, length in enumerate(LENGTHS):
        real = memory.states[row, :length]
        expected = expected_weights(attention, score, query[row], real, torch.zeros(S).double())
        torch.testing.assert_close(attended.weights[row], expected, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(
            attended.context[row], expected[:length] @ real, rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("case", CASES)
def test_each_of_many_queries_follows_the_formula_with_its_own_past(case: str) -> None:
    make, score = CASES[case]
    torch.manual_seed(0)
    attention, memory = make().double(), encoded()
    queries = torch.randn(B, N, attention.query_size).double()
    past = torch.rand(B, N, S).double() * memory.mask.unsqueeze(1)
    attended = attention.attend(queries, attention.prepare(memory), past)
    for row, length in enumerate(LENGTHS):
        real = memory.states[row, :length]
        for n in range(N):
            expected = expected_weights(attention, score, queries[row, n], real, past[row, n])
            torch.testing.assert_close(attended.weights[row, n], expected, rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(
                attended.context[row, n], expected[:length] @ real, rtol=1e-12, atol=1e-14
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
        assert ours.output_projection is not None
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


def test_multi_head_of_another_size_follows_the_formula() -> None:
    torch.manual_seed(0)
    attention, memory = MultiHeadAttention(Q, D, heads=2, size=8, output=False).double(), encoded()
    queries = torch.randn(B, N, Q).double()
    attended = attention.attend(queries, attention.prepare(memory))
    assert attention.context_size == 8
    q, k, v = (
        layer(given).unflatten(2, (2, 4))
        for layer, given in (
            (attention.query_projection, queries),
            (attention.key_projection, memory.states),
            (attention.value_projection, memory.states),
        )
    )
    for row, length in enumerate(LENGTHS):
        for n in range(N):
            expected = torch.zeros(2, S).double()
            if length:
                scores = torch.einsum("hd,shd->hs", q[row, n], k[row, :length]) / 2
                expected[:, :length] = scores.exp() / scores.exp().sum(1, keepdim=True)
            context = torch.einsum("hs,shd->hd", expected, v[row]).flatten()
            torch.testing.assert_close(attended.context[row, n], context, rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(
                attended.weights[row, n], expected.mean(0), rtol=1e-12, atol=1e-14
            )


EVERY: dict[str, Callable[[], Attention]] = {
    **{name: make for name, (make, _) in CASES.items()},
    "multi_head": lambda: MultiHeadAttention(Q, D, heads=2),
    "multi_head_sized": lambda: MultiHeadAttention(Q, D, heads=2, size=4, output=False),
}


@pytest.mark.parametrize("case", EVERY)
def test_many_queries_are_as_one_after_the_other(case: str) -> None:
    torch.manual_seed(5)
    attention, memory = EVERY[case]().double(), encoded()
    queries = torch.randn(B, N, attention.query_size).double().requires_grad_()
    prepared = attention.prepare(memory)
    found = attention.attend(queries, prepared)
    one_by_one = [attention(query, prepared) for query in queries.unbind(1)]
    expected = Attended(
        context=torch.stack([each.context for each in one_by_one], 1),
        weights=torch.stack([each.weights for each in one_by_one], 1),
    )
    assert found.context.shape == (B, N, attention.context_size)
    for name in ("context", "weights"):
        one, other = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
        wanted = [queries, *attention.parameters()]
        gradients = [
            torch.autograd.grad(each.square().sum(), wanted, retain_graph=True,
                                materialize_grads=True)
            for each in (one, other)
        ]  # fmt: skip
        for mine, theirs in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("case", ["additive", "coverage", "concat", "location"])
def test_blocks_of_queries_change_nothing(
    case: str, learns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(6)
    attention, memory = EVERY[case]().double(), encoded()
    prepared = attention.prepare(memory)
    queries = torch.randn(B, N, Q).double().requires_grad_(learns)
    past = torch.rand(B, N, S).double().requires_grad_(learns)
    seen: list[int] = []
    score: Callable[..., Tensor] = attention._score  # type: ignore[assignment]

    def watch(block: Tensor, *rest: Tensor) -> Tensor:
        seen.append(block.shape[1])
        scores: Tensor = score(block, *rest)
        return scores

    monkeypatch.setattr(attention, "_score", watch)
    monkeypatch.setattr(additive, "additive_scores", lambda *given: None)
    results = []
    for block in (1 << 23, 2 * prepared.keys.numel()):
        monkeypatch.setattr(additive, "_BLOCK", block)
        with torch.set_grad_enabled(learns):
            found = attention.attend(queries, attention.prepare(memory), past)
        results.append([found.context, found.weights])
        if learns:
            wanted = [queries, past, *attention.parameters()]
            results[-1] += torch.autograd.grad(
                found.context.square().sum(), wanted, materialize_grads=True
            )
    # In backward the blocks are computed again.
    assert seen[:3] == [3, 2, 1]
    assert sorted(seen[3:]) == ([1, 2] if learns else [])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", EVERY)
def test_what_a_step_leaves_for_the_next(case: str) -> None:
    torch.manual_seed(7)
    attention, memory = EVERY[case]().double(), encoded()
    prepared = attention.prepare(memory)
    queries = torch.randn(B, N, attention.query_size).double()
    past = torch.zeros(B, S).double()
    found = history.attend_in_turn(attention, queries, prepared, past)
    for n in range(N):
        given = None if attention.history == "none" else past.unsqueeze(1)
        expected = attention.attend(queries[:, n : n + 1], prepared, given)
        torch.testing.assert_close(found.weights[:, n], expected.weights[:, 0])
        torch.testing.assert_close(found.context[:, n], expected.context[:, 0])
        weights = expected.weights[:, 0]
        past = past + weights if attention.history == "sum" else weights
    changes = not torch.equal(found.weights, attention.attend(queries, prepared).weights)
    assert changes == (attention.history != "none") == (case in _WITH_HISTORY)


_WITH_HISTORY = {"coverage", "location", "wide_location"}


class Nearest(Attention):
    """What a package might bring: one query at a time."""

    def prepare(self, memory: Encoded) -> Memory:
        return Memory(keys=memory.states, values=memory.states, mask=memory.mask)

    def forward(self, query: Tensor, memory: Memory) -> Attended:
        distances = torch.cdist(query.unsqueeze(1), memory.keys).squeeze(1)
        weights = torch.softmax(-distances.masked_fill(~memory.mask, 1e9), 1) * memory.mask
        return Attended(context=torch.einsum("bs,bsd->bd", weights, memory.values), weights=weights)


def test_an_attention_of_one_query_takes_many() -> None:
    torch.manual_seed(8)
    attention, memory = Nearest(D, D), encoded()
    prepared = attention.prepare(memory)
    queries = torch.randn(B, N, D).double()
    found = attention.attend(queries, prepared)
    for n in range(N):
        expected = attention(queries[:, n], prepared)
        torch.testing.assert_close(found.context[:, n], expected.context)
        torch.testing.assert_close(found.weights[:, n], expected.weights)
    none = attention.attend(queries[:, :0], prepared)
    assert none.context.shape == (B, 0, D)
    assert none.weights.shape == (B, 0, S)
    attention.history = "sum"
    with pytest.raises(InputError) as caught:
        attention.attend(queries, prepared)
    assert str(caught.value) == (
        "Nearest reads a history ('sum'), so Nearest.attend must be its own"
    )


@dataclass(frozen=True, kw_only=True)
class MarkedMemory(Memory):
    marks: Tensor


def test_rows_of_a_memory() -> None:
    memory = MarkedMemory(
        keys=torch.arange(24.0).view(4, 3, 2), values=torch.arange(12.0).view(4, 3, 1),
        mask=torch.rand(4, 3) < 0.5, marks=torch.arange(4),
    )  # fmt: skip
    chosen = memory.select(torch.tensor([2, 0, 2]))
    assert isinstance(chosen, MarkedMemory)
    assert chosen.marks.tolist() == [2, 0, 2]
    first = memory.first(2)
    assert first.marks.tolist() == [0, 1]
    assert first.keys.data_ptr() == memory.keys.data_ptr()
    for name in ("keys", "values", "mask"):
        whole = getattr(memory, name)
        assert torch.equal(getattr(chosen, name), torch.stack([whole[2], whole[0], whole[2]]))
        assert torch.equal(getattr(first, name), whole[:2])


def test_pooling_takes_the_size_of_the_context() -> None:
    options = {"size": 8, "heads": 2}
    pooling = AttentionPooling(D, attention="multi_head", attention_options=options).double()
    assert pooling.output_size == 8
    assert pooling(encoded()).shape == (B, 8)


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


@pytest.mark.parametrize("case", EVERY)
def test_gradients_of_many_queries_and_their_past_are_numerically_right(case: str) -> None:
    torch.manual_seed(4)
    attention, memory = EVERY[case]().double(), encoded()
    prepared = attention.prepare(memory).first(2)

    def run(queries: Tensor, past: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        part = Encoded(states=memory.states[:2], mask=memory.mask[:2], summary=memory.summary[:2])
        attended = attention.attend(queries, attention.prepare(part), past)
        return attended.context, attended.weights

    queries = torch.randn(2, 2, attention.query_size).double().requires_grad_()
    past = torch.rand(2, 2, prepared.mask.shape[1]).double().requires_grad_()
    assert torch.autograd.gradcheck(run, (queries, past, *attention.parameters()))


@pytest.mark.parametrize("case", EVERY)
def test_a_memory_without_positions_gives_zeros(case: str) -> None:
    attention = EVERY[case]()
    empty = Encoded(
        states=torch.zeros(2, 0, D), mask=torch.zeros(2, 0, dtype=torch.bool),
        summary=torch.zeros(2, D),
    )  # fmt: skip
    attended = attention.attend(
        torch.randn(2, N, attention.query_size), attention.prepare(empty), torch.zeros(2, N, 0)
    )
    assert torch.equal(attended.context, torch.zeros(2, N, attention.context_size))
    assert attended.weights.shape == (2, N, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DotAttention(3, 6),
            "dot attention needs queries of the memory's size, but they have 3 and 6 features; "
            "use 'general', which maps one to the other, or give a decoder as many: "
            "head.decoder_hidden_size = 6",
        ),
        (
            lambda: MultiHeadAttention(3, 6, heads=4),
            "heads must divide the 6 memory features, not 4",
        ),
        (
            lambda: MultiHeadAttention(3, 6, heads=0),
            "heads must divide the 6 memory features, not 0",
        ),
        (
            lambda: MultiHeadAttention(3, 6, heads=3, size=8),
            "heads must divide the 8 features of size, not 3",
        ),
        (lambda: MultiHeadAttention(3, 6, size=0), "size must be at least 1, not 0"),
        (lambda: AdditiveAttention(3, 6, size=0), "size must be at least 1, not 0"),
        (lambda: ConcatAttention(3, 6, size=-1), "size must be at least 1, not -1"),
        (lambda: LocationAttention(3, 6, size=0), "size must be at least 1, not 0"),
        (lambda: LocationAttention(3, 6, filters=0), "filters must be at least 1, not 0"),
        (
            lambda: LocationAttention(3, 6, width=4),
            "width must be an odd number, so that a filter has a middle, not 4",
        ),
    ],
)
def test_wrong_sizes_are_named(make: Callable[[], Attention], message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message


def test_each_is_registered() -> None:
    expected = {
        "additive": AdditiveAttention,
        "concat": ConcatAttention,
        "location": LocationAttention,
        "dot": DotAttention,
        "general": GeneralAttention,
        "multi_head": MultiHeadAttention,
    }
    assert {name: registry.attentions.get(name) for name in expected} == expected
