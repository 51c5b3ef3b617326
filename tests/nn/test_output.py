"""The output layer and its loss in chunks of rows against torch's cross-entropy."""

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
from seqnlp.nn.engines import build, softmax_loss
from tests.nn.gated import assert_equal

TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13}
compiled = pytest.mark.skipif(build.toolchain() is None, reason="no kernel can be compiled")


@pytest.fixture(params=["compiled", "torch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to compute it."""
    if request.param == "torch":
        monkeypatch.setattr(build, "load", lambda source: None)
    elif build.toolchain() is None:
        pytest.skip("no kernel can be compiled")
    return str(request.param)


def draw(
    rows: int, classes: int, size: int, *, dtype: torch.dtype = torch.float64, bias: bool = True
) -> tuple[list[Tensor], Tensor]:
    """x, weight and, if asked for, bias, which take gradients; and targets."""
    torch.manual_seed(rows + 10 * classes)
    shapes = [(rows, size), (classes, size), *([(classes,)] if bias else [])]
    leaves = [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]
    return leaves, torch.randint(classes, (rows,))


def expect(leaves: Sequence[Tensor], targets: Tensor, smoothing: float) -> list[Tensor]:
    """torch's loss, and its gradients, in float64."""
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    loss = F.cross_entropy(F.linear(*exact), targets, label_smoothing=smoothing, reduction="sum")
    return [loss, *torch.autograd.grad(loss * 0.3, exact)]


def find(leaves: Sequence[Tensor], targets: Tensor, smoothing: float) -> list[Tensor]:
    bias = leaves[2] if len(leaves) > 2 else None
    loss = softmax_loss.softmax_loss(leaves[0], leaves[1], bias, targets, smoothing=smoothing)
    return [loss, *torch.autograd.grad(loss * 0.3, leaves)]


@given(st.data())
@settings(max_examples=60)
@compiled
def test_equals_cross_entropy_at_any_size(data: st.DataObject) -> None:
    sizes = st.integers(1, 40) | st.sampled_from([96, 97, 530])
    rows, classes, size = data.draw(st.tuples(sizes, sizes, sizes))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    leaves, targets = draw(rows, classes, size, dtype=dtype, bias=data.draw(st.booleans()))
    with torch.no_grad():
        leaves[1] /= size**0.5
    smoothing = data.draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    found, expected = find(leaves, targets, smoothing), expect(leaves, targets, smoothing)
    assert_equal(found, expected, TOLERANCE[dtype] * max(rows, classes, size) ** 0.5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_chunks_add_up(
    path: str, dtype: torch.dtype, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax_loss, "_LOGITS", 49 * 131)
    for rows in (1, 48, 49, 50, 98, 201):
        leaves, targets = draw(rows, 131, 17, dtype=dtype)
        with torch.no_grad():
            leaves[1] *= 0.3
        found, expected = find(leaves, targets, smoothing), expect(leaves, targets, smoothing)
        assert_equal(found, expected, 10 * TOLERANCE[dtype])


@compiled
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_change_not_a_bit(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax_loss, "_LOGITS", 50 * 131)
    leaves, targets = draw(120, 131, 17, dtype=torch.float32)
    one = find(leaves, targets, 0.1)
    monkeypatch.setattr(softmax_loss, "_NUMBERS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    for expected, found in zip(one, find(leaves, targets, 0.1), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_extreme_logits(path: str, dtype: torch.dtype) -> None:
    weight = torch.tensor([[1.0], [-1.0], [0.999], [0.0]], dtype=dtype).requires_grad_()
    x = torch.tensor([[1e4], [-1e4], [0.0], [1e4]], dtype=dtype).requires_grad_()
    for smoothing in (0.0, 0.1):
        leaves, targets = [x, weight], torch.tensor([1, 1, 2, 0])
        found, expected = find(leaves, targets, smoothing), expect(leaves, targets, smoothing)
        assert_equal(found, expected, 1e-6 if dtype == torch.float32 else 1e-13)
        assert float(expected[0].detach()) > 1e4


def test_numbers_that_are_none(path: str) -> None:
    for wrong in (math.nan, math.inf):
        leaves, targets = draw(3, 70, 4)
        with torch.no_grad():
            leaves[0][1, 2] = wrong
        found, expected = find(leaves, targets, 0.1), expect(leaves, targets, 0.1)
        assert [each.isnan().any().item() for each in found] == [True] * 4
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one.isnan(), other.isnan())


def test_a_class_that_is_shut_out(path: str) -> None:
    leaves, targets = draw(3, 70, 4)
    with torch.no_grad():
        leaves[2][7] = -math.inf
    targets[:] = 1
    assert_equal(find(leaves, targets, 0.0), expect(leaves, targets, 0.0), 1e-13)


def test_only_wanted_gradients_are_computed(path: str) -> None:
    for wanted in ((0,), (1,), (2,), (0, 2)):
        leaves, targets = draw(5, 9, 4)
        expected = expect(leaves, targets, 0.1)
        for index, leaf in enumerate(leaves):
            leaf.requires_grad_(index in wanted)
        x, weight, bias = leaves
        loss = softmax_loss.softmax_loss(x, weight, bias, targets, smoothing=0.1) * 0.3
        found = torch.autograd.grad(loss, [leaves[index] for index in wanted])
        assert_equal(found, [expected[1 + index] for index in wanted], 1e-13)


def test_without_gradients_there_is_a_loss_alone(path: str) -> None:
    leaves, targets = draw(5, 9, 4)
    x, weight, bias = leaves
    with torch.no_grad():
        loss = softmax_loss.softmax_loss(x, weight, bias, targets, smoothing=0.1)
    assert not loss.requires_grad
    assert_equal([loss], expect(leaves, targets, 0.1)[:1], 1e-13)


def test_no_rows_have_no_loss(path: str) -> None:
    leaves, targets = draw(0, 9, 4)
    found = find(leaves, targets, 0.1)
    assert [float(each.detach().abs().sum()) for each in found] == [0.0] * 4
    assert [each.shape for each in found[1:]] == [leaf.shape for leaf in leaves]


def test_any_layout(path: str) -> None:
    leaves, targets = draw(8, 9, 4)
    expected = expect(leaves, targets, 0.1)
    turned = [leaf.detach().t().contiguous().t().requires_grad_() for leaf in leaves[:2]]
    bias = torch.stack([leaves[2].detach()] * 2, 1)[:, 0].requires_grad_()
    ids = torch.stack([targets] * 2, 1)[:, 0]
    assert_equal(find([*turned, bias], ids, 0.1), expected, 1e-13)


def test_the_graph_may_be_used_twice(path: str) -> None:
    leaves, targets = draw(5, 9, 4)
    loss = softmax_loss.softmax_loss(*leaves, targets)
    for scale in (2.0, 0.0, 0.3):
        found = torch.autograd.grad(loss * scale, leaves, retain_graph=True)
        expected = [g * (scale / 0.3) for g in expect(leaves, targets, 0.0)[1:]]
        assert_equal(found, expected, 1e-13)


def test_second_derivatives_are_refused(path: str) -> None:
    leaves, targets = draw(5, 9, 4)
    loss = softmax_loss.softmax_loss(*leaves, targets)
    with pytest.raises(RuntimeError, match="can be differentiated once, not with create_graph"):
        torch.autograd.grad(loss, leaves[:1], create_graph=True)


def test_half_precision_is_summed_in_float32() -> None:
    leaves, targets = draw(50, 300, 8, dtype=torch.bfloat16)
    found, expected = find(leaves, targets, 0.1), expect(leaves, targets, 0.1)
    assert [each.dtype for each in found] == [torch.bfloat16] * 4
    assert_equal(found, expected, 2e-2)


def test_the_layer() -> None:
    torch.manual_seed(0)
    layer, x, targets = OutputLayer(4, 9), torch.randn(6, 4), torch.randint(9, (6,))
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias.normal_()
    logits = F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), logits)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), logits.detach())
    expected = F.cross_entropy(logits, targets, label_smoothing=0.2, reduction="sum")
    torch.testing.assert_close(layer.loss(x, targets, smoothing=0.2), expected)
    assert repr(layer) == "OutputLayer(4, 9)"
    assert OutputLayer(4, 9, bias=False).bias is None


def test_a_shared_weight_is_one_parameter() -> None:
    embedding = nn.Embedding(9, 4)
    layer = OutputLayer(4, 9, weight=embedding.weight)
    ids = torch.tensor([1, 2, 3])
    layer.loss(embedding(ids), ids).backward()
    found = embedding.weight.grad
    embedding.weight.grad = None
    logits = F.linear(embedding(ids), embedding.weight, layer.bias)
    F.cross_entropy(logits, ids, reduction="sum").backward()
    torch.testing.assert_close(found, embedding.weight.grad)


def test_what_is_wrong_is_said() -> None:
    layer, ids = OutputLayer(4, 9), torch.tensor([1, 2])
    cases: list[tuple[Tensor, Tensor, float, str]] = [
        (torch.zeros(2, 5), ids, 0.0, r"x must be float \[N, 4\], not \[2, 5\]"),
        (torch.zeros(4), ids, 0.0, r"x must be float \[N, 4\], not \[4\]"),
        (torch.zeros(3, 4), ids, 0.0, r"targets must be int64 \[3\], not int64 \[2\]"),
        (torch.zeros(2, 4), ids.int(), 0.0, r"targets must be int64 \[2\], not int32 \[2\]"),
        (torch.zeros(2, 4), ids, 1.5, r"smoothing must be in 0\.\.1, not 1\.5"),
        (torch.zeros(2, 4), ids + 7, 0.0, r"targets must be in 0\.\.8, but that of row 1 is 9"),
        (torch.zeros(2, 4), ids - 2, 0.0, r"targets must be in 0\.\.8, but that of row 0 is -1"),
    ]
    for x, targets, smoothing, message in cases:
        with pytest.raises(InputError, match=f"^{message}$"):
            layer.loss(x, targets, smoothing=smoothing)
    with pytest.raises(InputError, match=r"^weight must be float \[9, 4\], not \[4, 9\]$"):
        OutputLayer(4, 9, weight=nn.Parameter(torch.zeros(4, 9)))
    with pytest.raises(InputError, match="must be at least 1, not 4 and 0"):
        OutputLayer(4, 0)


PEAK = """
import resource, sys, torch
from seqnlp.nn.engines.softmax_loss import softmax_loss
def run(rows):
    x = torch.randn(rows, 8, requires_grad=True)
    softmax_loss(x, weight, None, torch.randint(30_000, (rows,)), smoothing=0.1).backward()
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
