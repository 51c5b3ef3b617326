"""Mixtures of what is generated and what is copied, against loops over single tokens."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqnlp.nn.pointer import Pointer, Sources, copied, coverage_loss, mix
from seqnlp.types import Copies, lengths_to_mask

V = 5


def draw(data: st.DataObject) -> tuple[Copies, Tensor, Tensor, Tensor]:
    """Sources of several rows, with K hypotheses each: log g and the like, logits, weights."""
    rows, positions, slots, count = (data.draw(st.integers(*each)) for each in ((1, 3), (1, 6), (0, 3), (1, 3)))  # fmt: skip
    ids = data.draw(
        st.lists(st.lists(st.sampled_from([0, *range(2, V + slots)]), min_size=positions, max_size=positions), min_size=rows, max_size=rows)
    )  # fmt: skip
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    copies = Copies(ids=torch.tensor(ids), slots=torch.randint(9, (rows, slots)))
    gates = torch.randn(rows * count, dtype=torch.float64)
    logits = torch.randn(rows * count, V, dtype=torch.float64)
    weights = torch.softmax(torch.randn(rows * count, positions, dtype=torch.float64), 1)
    return copies, gates, logits, weights


def plain(copies: Copies, gates: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
    """See, Liu and Manning 2017, equation 9, a token at a time."""
    (rows, slots), total = copies.slots.shape, len(gates)
    found = torch.zeros(total, V + slots, dtype=torch.float64)
    for n in range(total):
        g = 1 / (1 + math.exp(-float(gates[n])))
        found[n, :V] = g * torch.softmax(logits[n], 0)
        for s, token in enumerate(copies.ids[n // (total // rows)].tolist()):
            found[n, token] += (1 - g) * weights[n, s]
    return found


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_mixture_is_that_of_a_loop_over_tokens(data: st.DataObject) -> None:
    copies, gates, logits, weights = draw(data)
    expected = plain(copies, gates, logits, weights)
    sources = Sources.of(copies)
    shares = F.logsigmoid(gates), F.logsigmoid(-gates)
    found = sources.log_probabilities(shares, logits, weights)
    torch.testing.assert_close(found.exp(), expected)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(len(gates)).double())
    # A goal's own probability is the same without any array of the vocabulary's size.
    each = len(gates) // len(copies.ids)
    ids = copies.ids.repeat_interleave(each, 0)
    goals = torch.randint(2, V + sources.slots, (len(gates),))
    goals = torch.where(torch.isinf(found.gather(1, goals[:, None])[:, 0]), 2, goals)
    attention = copied(weights.unsqueeze(1), ids, goals.unsqueeze(1)).sum(2).squeeze(1)
    logs = logits.log_softmax(1)
    generated = torch.where(
        goals < V, logs.gather(1, goals.clamp_max(V - 1)[:, None])[:, 0], -torch.inf
    )
    mixed = mix(shares, generated, attention)
    torch.testing.assert_close(mixed, found.gather(1, goals[:, None])[:, 0])


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_slots_are_read_by_their_ids_and_rows_are_chosen(data: st.DataObject) -> None:
    copies, gates, logits, weights = draw(data)
    sources, each = Sources.of(copies), len(gates) // len(copies.ids)
    ids = torch.randint(V + sources.slots, (len(gates),))
    expected = [
        token if token < V else int(copies.slots[n // each, token - V])
        for n, token in enumerate(ids.tolist())
    ]
    assert sources.read(ids, V).tolist() == expected
    chosen = torch.tensor([len(copies.ids) - 1])
    rows = slice(len(gates) - each, None)
    shares = F.logsigmoid(gates), F.logsigmoid(-gates)
    whole = sources.log_probabilities(shares, logits, weights)[rows]
    few = sources.select(chosen)
    own = shares[0][rows], shares[1][rows]
    torch.testing.assert_close(few.log_probabilities(own, logits[rows], weights[rows]), whole)
    assert few.read(ids[rows], V).tolist() == expected[rows]


def test_first_positions() -> None:
    ids = torch.tensor([[7, 3, 7, 0, 3, 0], [0, 0, 0, 9, 9, 1]])
    first = Sources.of(Copies(ids=ids, slots=torch.zeros(2, 0, dtype=torch.int64))).first
    assert first.tolist() == [[0, 1, 0, 3, 1, 3], [0, 0, 0, 3, 3, 5]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_is_lost_at_the_ends_of_the_numbers(dtype: torch.dtype) -> None:
    """A sure gate, a token next to impossible, a weight of nothing: all finite, as are gradients."""
    gates = torch.tensor([200.0, -200.0, 200.0, -200.0, 0.0, 0.0], dtype=dtype).requires_grad_()
    # Of those that cannot be generated, one has no attention at all.
    generated = torch.tensor([-1.0, -1e4, -torch.inf, -torch.inf, -torch.inf, -3.0], dtype=dtype).requires_grad_()  # fmt: skip
    weights = torch.tensor([0.0, 0.5, 0.5, 1e-30, 0.0, 0.0], dtype=dtype).requires_grad_()
    found = mix((F.logsigmoid(gates), F.logsigmoid(-gates)), generated, weights)
    least = math.log(torch.finfo(dtype).tiny)
    expected = [-1.0, math.log(0.5), -200 + math.log(0.5), math.log(1e-30), math.log(0.5) + least, math.log(0.5) - 3]  # fmt: skip
    torch.testing.assert_close(found, torch.tensor(expected, dtype=dtype), rtol=1e-6, atol=1e-6)
    for gradient in torch.autograd.grad(found.sum(), [gates, weights]):
        assert gradient.isfinite().all()


def test_gradients_of_the_mixture_are_numerically_right() -> None:
    torch.manual_seed(0)
    ids = torch.tensor([[5, 3, 5, 0], [2, 2, 6, 6]])
    goals = torch.tensor([[5, 3, 4], [6, 2, 2]])

    def run(gates: Tensor, generated: Tensor, scores: Tensor) -> Tensor:
        attention = copied(torch.softmax(scores, 2), ids, goals).sum(2)
        unable = generated.masked_fill(goals >= V, -torch.inf)
        return mix((F.logsigmoid(gates), F.logsigmoid(-gates)), unable, attention)

    leaves = [torch.randn(*shape, dtype=torch.float64).requires_grad_() for shape in ((2, 3), (2, 3), (2, 3, 4))]  # fmt: skip
    assert torch.autograd.gradcheck(run, leaves)


def test_the_gate_by_its_formula() -> None:
    torch.manual_seed(0)
    pointer = Pointer(3, 2)
    outputs, inputs = torch.randn(4, 5, 3), torch.randn(4, 5, 2)
    log_g, log_copied = pointer(outputs, inputs)
    weight, bias = pointer.gate.weight[0], pointer.gate.bias[0]
    g = torch.sigmoid(outputs @ weight[:3] + inputs @ weight[3:] + bias)
    torch.testing.assert_close(log_g.exp(), g)
    torch.testing.assert_close(log_copied.exp(), 1 - g)


def test_coverage_is_that_of_a_loop_over_steps() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([4, 1, 3, 0])
    weights = torch.softmax(torch.randn(4, 4, 5, dtype=torch.float64), 2).requires_grad_()
    found = coverage_loss(weights, lengths_to_mask(lengths, 4))
    expected = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(lengths.tolist()):
        seen = torch.zeros(5, dtype=torch.float64)
        for t in range(length):
            expected = expected + torch.minimum(weights[row, t], seen).sum()
            seen = seen + weights[row, t]
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, [weights])
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, [weights])[0])


def test_who_looks_nowhere_twice_pays_nothing() -> None:
    real = torch.ones(1, 3, dtype=torch.bool)
    assert coverage_loss(torch.eye(3).unsqueeze(0), real) == 0
    again = torch.tensor([[[1.0, 0, 0]] * 3])
    assert coverage_loss(again, real) == 2
