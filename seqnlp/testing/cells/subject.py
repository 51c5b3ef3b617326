"""The cell that is checked, and the inputs that it is checked on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqnlp.nn import Cell, State, unroll
from seqnlp.testing.contract import Part, Violation

# B is H, so that a mask or a state that takes the wrong axis goes wrong for all to see.
B, T, D, H = 4, 5, 3, 4
RAGGED = (5, 2, 0, 3)
EXACT = 1e-9
"""What float64 may lose over a few steps, of the largest number."""


class CellSubject:
    """A cell, made as often as there are checks.

    Args:
        part: the registered cell and its options.
    """

    def __init__(self, part: Part) -> None:
        self.part = part

    def make(
        self,
        input_size: int = D,
        hidden_size: int = H,
        *,
        training: bool = False,
        dtype: torch.dtype = torch.float64,
        seed: int = 0,
    ) -> Cell:
        """The cell as its author begins it."""
        torch.manual_seed(seed)
        cell = self.part.make(input_size=input_size, hidden_size=hidden_size)
        assert isinstance(cell, Cell)
        return cell.to(dtype).train(training)

    def make_moved(self, *, training: bool = False, seed: int = 0) -> Cell:
        """A float64 cell that has learned: no parameter where it began, statistics collected."""
        cell = self.make(training=True, seed=seed)
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.add_(0.3 * torch.rand_like(parameter))
            if cell.rows_interact:
                for _ in range(2):
                    unroll(cell, draw(B, T, D), engine="reference")
        return cell.train(training)


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers."""
    return torch.randn(shape, dtype=dtype)


def start_of(cell: Cell, batch: int = B) -> State:
    """A state that the cell may come to, whose leaves take gradients where they can."""
    with torch.no_grad():
        x = draw(batch, 2, cell.input_size)
        state = unroll(cell, x, engine="reference")[1]
    return tuple(leaf.clone().requires_grad_(is_real_valued(leaf)) for leaf in state)


def learned(cell: Cell) -> dict[str, nn.Parameter]:
    """The parameters that training moves; others rest, such as those of a reservoir."""
    return {name: each for name, each in cell.named_parameters() if each.requires_grad}


def is_real_valued(leaf: Tensor) -> bool:
    """Whether a leaf takes gradients: floats and complex numbers."""
    return leaf.is_floating_point() or leaf.is_complex()


def loop(
    cell: Cell, x: Tensor, lengths: Sequence[int], state: State, *, reverse: bool = False
) -> tuple[Tensor, State]:
    """What every run must equal: each row by itself, step by step."""
    rows, finals = [], []
    for row, length in enumerate(lengths):
        now = tuple(leaf[row : row + 1] for leaf in state)
        outputs = [x.new_zeros(cell.hidden_size)] * x.shape[1]
        for t in reversed(range(length)) if reverse else range(length):
            output, now = cell(x[row : row + 1, t], now)
            outputs[t] = output[0]
        rows.append(torch.stack(outputs))
        finals.append(now)
    return torch.stack(rows), tuple(map(torch.cat, zip(*finals, strict=True)))


def weigh(outputs: Tensor, state: State = ()) -> Tensor:
    """A sum that weighs every number of outputs and state differently."""
    generator = torch.Generator().manual_seed(9)
    total = outputs.new_zeros(())
    for leaf in (outputs, *state):
        if is_real_valued(leaf):
            real = torch.view_as_real(leaf) if leaf.is_complex() else leaf
            weights = torch.rand(real.shape, generator=generator, dtype=torch.float64)
            total = total + (real * weights.to(real)).sum()
    return total


def distance(found: Tensor, expected: Tensor) -> float:
    """The greatest difference, relative to the greatest number where that is above 1."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    if found.numel() == 0:
        return 0.0
    one, other = (to_double(each.detach()) for each in (found, expected))
    if not torch.equal(one.isnan(), other.isnan()):
        return float("nan")
    difference = (one - other).abs().nan_to_num(0.0)
    return float(difference.max() / other.nan_to_num(0.0).abs().max().clamp(min=1.0))


def to_double(leaf: Tensor) -> Tensor:
    """The numbers of a leaf of any type, complex ones as pairs."""
    return (torch.view_as_real(leaf) if leaf.is_complex() else leaf).to(torch.float64)


def expect_close(
    found: tuple[Tensor, State],
    expected: tuple[Tensor, State],
    what: str,
    remedy: str,
    *,
    tolerance: float = EXACT,
) -> None:
    """Refuse outputs and a state that are others than expected.

    Args:
        found: outputs and state.
        expected: the same.
        what: the situation, to begin the message with: "fed in chunks".
        remedy: how to mend it.
        tolerance: see `distance`.

    Raises:
        Violation: the outputs or a leaf differ by more.
    """
    names = ["the outputs", *(f"leaf {index} of the state" for index in range(len(found[1])))]
    pairs = zip(names, (found[0], *found[1]), (expected[0], *expected[1]), strict=True)
    for name, one, other in pairs:
        off = distance(one, other)
        if not off <= tolerance:
            raise Violation(f"{what}, {name} differ{_s(name)} by {off:.2g}", remedy)


def _s(name: str) -> str:
    return "" if name.endswith("outputs") else "s"
