"""Products by the engine's own kernel against torch's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqnlp.nn.affine import Affine, is_affine
from seqnlp.nn.engines import affine, build

pytestmark = pytest.mark.skipif(build.toolchain() is None, reason="no kernel can be compiled")


@pytest.fixture(autouse=True, scope="module")
def _small_products_too() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(affine, "_NUMBERS", 0)
        yield


def is_ours(y: Tensor) -> bool:
    """Whether the kernel made it, to which torch's view of the rows was added."""
    node = y.grad_fn
    while node is not None and node.name() == "ViewBackward0":
        node = node.next_functions[0][0]
    return node is not None and node.name() == "_AffineBackward"


def compare(x: Tensor, weight: Tensor, bias: Tensor | None, rtol: float) -> None:
    leaves = [t.detach().requires_grad_() for t in (x, weight, bias) if t is not None]
    results = []
    for function in (F.linear, affine.affine):
        y = function(*leaves)
        generator = torch.Generator().manual_seed(0)
        g = torch.randn(y.shape, generator=generator, dtype=y.dtype)
        results.append([y.detach(), *torch.autograd.grad(y, leaves, g)])
    assert is_ours(y)
    for expected, found in zip(*results, strict=True):
        scale = float(expected.abs().max()) if expected.numel() else 1.0
        torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol * scale)


@given(st.data())
@settings(max_examples=60)
def test_equals_torchs_at_any_size(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 9) | st.just(70), min_size=1, max_size=2))
    inputs, outputs = data.draw(st.tuples(*[st.integers(1, 40) | st.just(530)] * 2))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    dtype, rtol = data.draw(st.sampled_from([(torch.float32, 2e-6), (torch.float64, 1e-13)]))
    x = torch.randn(*shape, inputs, dtype=dtype)
    bias = torch.randn(outputs, dtype=dtype) if data.draw(st.booleans()) else None
    compare(x, torch.randn(outputs, inputs, dtype=dtype), bias, rtol * max(1, inputs**0.5))


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affine, "_NUMBERS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    torch.manual_seed(0)
    for rows, inputs, outputs in ((100, 70, 90), (3, 2, 1), (1, 50, 50)):
        x, weight = torch.randn(rows, inputs).double(), torch.randn(outputs, inputs).double()
        compare(x, weight, torch.randn(outputs).double(), 1e-13)


def test_any_layout() -> None:
    torch.manual_seed(1)
    x, weight = torch.randn(4, 6, 5).double(), torch.randn(7, 5).double()
    layouts: list[Callable[[Tensor], Tensor]] = [
        lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
        lambda t: torch.cat([t, t], -1)[..., : t.shape[-1]],
        lambda t: t[:1].expand(t.shape),
    ]
    for layout in layouts:
        compare(layout(x), layout(weight), None, 1e-14)


def test_second_derivatives() -> None:
    torch.manual_seed(2)
    leaves = [torch.randn(*s).double().requires_grad_() for s in ((3, 2, 4), (5, 4), (5,))]
    assert torch.autograd.gradcheck(affine.affine, leaves)
    assert torch.autograd.gradgradcheck(affine.affine, leaves)


def test_second_derivatives_of_parts_of_matrices() -> None:
    torch.manual_seed(4)
    leaves = [torch.randn(*s).double().requires_grad_() for s in ((3, 7), (5, 6))]

    def run(x: Tensor, weight: Tensor) -> Tensor:
        return affine.affine(x[:, 2:6], weight[:, :4])

    assert torch.autograd.gradgradcheck(run, leaves)


def test_sums_of_many_rows_keep_their_digits() -> None:
    torch.manual_seed(3)
    g = torch.randn(100_000, 4)
    bias = torch.zeros(4, requires_grad=True)
    y = affine.affine(torch.zeros(100_000, 1), torch.zeros(4, 1), bias)
    (found,) = torch.autograd.grad(y, bias, g)
    exact = g.double().sum(0)
    assert ((found - exact).abs() / exact.abs().max()).max() < 2e-6


def test_a_block_takes_torchs_place() -> None:
    x, layer = torch.randn(6, 4), nn.Linear(4, 3)
    with affine.OwnProducts():
        inside = [layer(x), F.linear(x, layer.weight), torch.relu(layer(input=x))]
    assert [is_ours(y) for y in inside] == [True, True, False]
    torch.testing.assert_close(inside[2], torch.relu(layer(x)))
    assert not is_ours(layer(x))


def test_other_numbers_and_small_products_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(6, 4), torch.randn(3, 4, requires_grad=True)
    assert not is_ours(affine.affine(x.bfloat16(), weight.bfloat16()))
    assert not is_ours(affine.affine(x, weight[0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert affine.affine(x, weight).dtype == torch.bfloat16
    monkeypatch.setattr(affine, "_NUMBERS", 1000)
    assert not is_ours(affine.affine(x, weight))


def test_only_wanted_gradients_are_computed() -> None:
    x, weight = torch.randn(6, 4, requires_grad=True), torch.randn(3, 4)
    affine.affine(x, weight).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, weight.sum(0).expand(6, 4))


def test_a_layer_of_it_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = Affine(6, 5).double(), nn.Linear(6, 5).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    assert is_ours(ours(x))
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-13, atol=1e-13)
    assert is_affine(ours)
    assert is_affine(theirs)

    class Scaled(nn.Linear):
        """Another function of the same weight."""

    assert not is_affine(Scaled(6, 5))
    assert not is_affine(nn.Identity())
