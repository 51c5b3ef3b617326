"""What the tests of gated cells share: cells of any update, and two engines held side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.nn import GatedCell, State, unroll

GATED = [
    name
    for name in sorted(registry.cells.names())
    if issubclass(registry.cells.get(name), GatedCell)
]
Update = Callable[..., Any]


def make_cell(
    update: Update,
    *,
    gates: int = 1,
    states: int = 1,
    sizes: tuple[int, int] = (3, 5),
    recurrent_bias: bool = False,
    dtype: torch.dtype = torch.float64,
    **parameters: Tensor,
) -> GatedCell:
    """A cell of its own class with an update of x_gates, h_gates and state."""
    members = {
        "gates": gates,
        "states": states,
        "recurrent_bias": recurrent_bias,
        "update": lambda self, x, h, state, **given: update(x, h, state, **given),
    }
    torch.manual_seed(0)
    cell: GatedCell = type("ZooCell", (GatedCell,), members)(*sizes)
    for name, value in parameters.items():
        setattr(cell, name, nn.Parameter(value.clone()))
    return cell.to(dtype)


def make_registered(
    name: str, size: int, hidden: int, dtype: torch.dtype = torch.float64, **options: Any
) -> GatedCell:
    """A registered cell with every parameter away from where it begins."""
    torch.manual_seed(1)
    cell = registry.cells.get(name)(size, hidden, **options).double()
    assert isinstance(cell, GatedCell)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.4 * hidden**-0.5 * torch.randn_like(parameter))
    return cell.to(dtype)


def make_inputs(
    cell: GatedCell, batch: int, time: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, State]:
    """An input and a state before it, both of which take gradients."""
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
        return numbers.to(dtype).requires_grad_()

    # Positive, as some leaves are: a normalizer, say.
    state = tuple(
        (draw(batch, cell.hidden_size).detach().abs() + 0.5).requires_grad_()
        for _ in range(cell.states)
    )
    return draw(batch, time, cell.input_size), state


def weigh(leaves: Sequence[Tensor]) -> Tensor:
    """A sum that weighs every number differently."""
    generator = torch.Generator().manual_seed(9)
    total = leaves[0].new_zeros(())
    for leaf in leaves:
        weights = torch.rand(leaf.shape, generator=generator, dtype=torch.float64)
        total = total + (leaf * weights.to(leaf)).sum()
    return total


def results(
    cell: GatedCell,
    x: Tensor,
    lengths: Sequence[int] | None,
    state: State,
    *,
    reverse: bool = False,
    engine: str = "fused",
) -> list[Tensor]:
    """Outputs, final state, and the gradients of input, initial state and parameters."""
    ends = None if lengths is None else torch.tensor(lengths, dtype=torch.int64)
    outputs, final = unroll(cell, x, ends, state, reverse=reverse, engine=engine)
    wanted = [x, *state, *cell.parameters()]
    total = weigh([outputs, *final])
    if not total.requires_grad:
        return [outputs, *final, *map(torch.zeros_like, wanted)]
    found = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    return [outputs.detach(), *(leaf.detach() for leaf in final), *found]


def assert_equal(
    found: Sequence[Tensor],
    expected: Sequence[Tensor],
    tolerance: float,
    rough: Sequence[Tensor] | None = None,
) -> None:
    """Each within `tolerance` of its largest number, if that is not tiny; NaN where NaN is.

    What is lost by rounding in the formula itself is forgiven: five times what `rough` loses.
    """
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.shape == other.shape, index
        one, other = one.detach().double(), other.detach().double()
        assert torch.equal(one.isnan(), other.isnan()), index
        finite = other[other.isfinite()]
        allowed = tolerance * (max(0.1, float(finite.abs().max())) if len(finite) else 0.1)
        if rough is not None and other.numel():
            allowed = max(allowed, 5 * float((rough[index].detach() - other).abs().max()))
        torch.testing.assert_close(
            one, other, rtol=0, atol=allowed, equal_nan=True,
            msg=partial("result {}: {}".format, index),
        )  # fmt: skip
