"""Log-probabilities of an output layer's targets in chunks of rows, against torch's log_softmax."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn import OutputLayer
from seqnlp.nn.engines import softmax_loss
from seqnlp.nn.engines.log_probabilities import log_probabilities
from tests.nn.gated import assert_equal
from tests.nn.test_output import TOLERANCE, compiled, draw, path

__all__ = ["path"]


def expect(leaves: Sequence[Tensor], targets: Tensor, counts: Tensor) -> list[Tensor]:
    """Both results, and the gradients of their sum by the counts [2, N], in float64."""
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    logs = F.linear(*exact).log_softmax(1)
    both = [logs.gather(1, targets.unsqueeze(1)).squeeze(1), logs.mean(1)]
    return [*both, *torch.autograd.grad(both, exact, list(counts))]


def find(leaves: Sequence[Tensor], targets: Tensor, counts: Tensor) -> list[Tensor]:
    bias = leaves[2] if len(leaves) > 2 else None
    both = log_probabilities(leaves[0], leaves[1], bias, targets)
    return [*both, *torch.autograd.grad(both, leaves, list(counts.to(both[0].dtype)))]


def draw_counts(rows: int) -> Tensor:
    """As they come from a mixture: of either sign, and some of them zero."""
    counts = torch.randn(2, rows, dtype=torch.float64)
    counts[:, ::3] = 0
    return counts


@given(st.data())
@settings(max_examples=40)
@compiled
def test_equals_log_softmax_at_any_size(data: st.DataObject) -> None:
    sizes = st.integers(1, 40) | st.sampled_from([96, 97, 530])
    rows, classes, size = data.draw(st.tuples(sizes, sizes, sizes))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    leaves, targets = draw(rows, classes, size, dtype=dtype, bias=data.draw(st.booleans()))
    with torch.no_grad():
        leaves[1] /= size**0.5
    counts = draw_counts(rows)
    found, expected = find(leaves, targets, counts), expect(leaves, targets, counts)
    assert_equal(found, expected, 2 * TOLERANCE[dtype] * max(rows, classes, size) ** 0.5)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_chunks_are_put_together(
    path: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax_loss, "_LOGITS", 49 * 131)
    for rows in (1, 48, 49, 50, 98, 201):
        leaves, targets = draw(rows, 131, 17, dtype=dtype)
        with torch.no_grad():
            leaves[1] *= 0.3
        counts = draw_counts(rows)
        found, expected = find(leaves, targets, counts), expect(leaves, targets, counts)
        assert_equal(found, expected, 20 * TOLERANCE[dtype])


@compiled
def test_threads_change_not_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax_loss, "_LOGITS", 50 * 131)
    leaves, targets = draw(120, 131, 17, dtype=torch.float32)
    counts = draw_counts(120)
    one = find(leaves, targets, counts)
    monkeypatch.setattr(softmax_loss, "_NUMBERS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for expected, found in zip(one, find(leaves, targets, counts), strict=True):
        assert torch.equal(found, expected)


def test_a_target_that_is_next_to_impossible(path: str) -> None:
    weight = torch.tensor([[1.0], [-1.0], [0.999]], dtype=torch.float32).requires_grad_()
    x = torch.tensor([[1e4], [-1e4]], dtype=torch.float32).requires_grad_()
    leaves, targets, counts = [x, weight], torch.tensor([1, 2]), torch.ones(2, 2)
    found, expected = find(leaves, targets, counts), expect(leaves, targets, counts.double())
    assert float(expected[0].detach().min()) < -1e4
    assert_equal(found, expected, 1e-6)


def test_a_class_that_is_shut_out(path: str) -> None:
    leaves, targets = draw(3, 70, 4)
    with torch.no_grad():
        leaves[2][7] = -math.inf
    targets[:] = 1
    counts = torch.stack([torch.ones(3), torch.zeros(3)]).double()
    found, expected = find(leaves, targets, counts), expect(leaves, targets, counts)
    assert_equal([found[0], *found[2:]], [expected[0], *expected[2:]], 1e-13)


def test_only_wanted_gradients_are_computed(path: str) -> None:
    counts = draw_counts(5)
    for wanted in ((0,), (1,), (2,)):
        leaves, targets = draw(5, 9, 4)
        expected = expect(leaves, targets, counts)
        for index, leaf in enumerate(leaves):
            leaf.requires_grad_(index in wanted)
        x, weight, bias = leaves
        both = log_probabilities(x, weight, bias, targets)
        found = torch.autograd.grad(both, [leaves[i] for i in wanted], list(counts))
        assert_equal(found, [expected[2 + i] for i in wanted], 1e-13)


def test_no_rows(path: str) -> None:
    leaves, targets = draw(0, 9, 4)
    found = find(leaves, targets, torch.zeros(2, 0))
    assert [float(each.detach().abs().sum()) for each in found] == [0.0] * 5
    assert [each.shape for each in found[2:]] == [leaf.shape for leaf in leaves]


def test_second_derivatives_are_refused_but_by_transforms(path: str) -> None:
    leaves, targets = draw(5, 9, 4)
    found, _ = log_probabilities(leaves[0], leaves[1], leaves[2], targets)
    with pytest.raises(RuntimeError, match="can be differentiated once, not with create_graph"):
        torch.autograd.grad(found.sum(), leaves[:1], create_graph=True)
    x, weight, bias = (leaf.detach() for leaf in leaves)

    def total(x: Tensor) -> Tensor:
        return log_probabilities(x, weight, bias, targets)[0].sum()

    def plain(x: Tensor) -> Tensor:
        return -F.cross_entropy(F.linear(x, weight, bias), targets, reduction="sum")

    twice, expected = (
        torch.func.grad(lambda x, f=each: torch.func.grad(f)(x).square().sum())(x)
        for each in (total, plain)
    )
    torch.testing.assert_close(twice, expected)


def test_a_layer_of_the_first_tokens_alone() -> None:
    words = nn.Parameter(torch.randn(9, 4))
    layer, x, targets = OutputLayer(4, 9, weight=words, classes=6), torch.randn(5, 4), torch.tensor([0, 5, 3, 1, 2])  # fmt: skip
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias.normal_()
    logits = F.linear(x, words[:6], layer.bias)
    torch.testing.assert_close(layer(x), logits)
    expected = F.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(layer.loss(x, targets), expected)
    found, means = layer.log_probabilities(x, targets)
    torch.testing.assert_close(-found.sum(), expected)
    torch.testing.assert_close(means, logits.log_softmax(1).mean(1))
    (gradient,) = torch.autograd.grad(-found.sum(), [words])
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, [words])[0])
    assert not gradient[6:].any()
    assert repr(layer) == "OutputLayer(4, 6)"
    assert OutputLayer(4, 9, classes=6).weight.shape == (6, 4)
    with pytest.raises(InputError, match=r"^targets must be in 0\.\.5, but that of row 1 is 6$"):
        layer.log_probabilities(x, targets + 1)
    for wrong in (0, 10):
        with pytest.raises(InputError, match=rf"^classes must be in 1\.\.9, not {wrong}$"):
            OutputLayer(4, 9, classes=wrong)


PEAK = """
import resource, torch
from seqnlp.nn.engines.log_probabilities import log_probabilities
def run(rows):
    x = torch.randn(rows, 8, requires_grad=True)
    log_probabilities(x, weight, None, torch.randint(30_000, (rows,)))[0].sum().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
weight = torch.randn(30_000, 8, requires_grad=True)
few, many = run(500), run(6000)
print((many - few) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units")
@pytest.mark.parametrize("compiler", [None, "none"])
def test_memory_does_not_grow_with_the_logits(compiler: str | None) -> None:
    environment = {**os.environ} | ({} if compiler is None else {"SEQNLP_COMPILER": compiler})
    found = subprocess.run(
        [sys.executable, "-c", PEAK], env=environment, capture_output=True, text=True, check=True
    )
    # The logits of 5500 more rows would be 630 megabytes.
    assert int(found.stdout) < 30
