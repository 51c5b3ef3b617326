"""Gradients through time: what comes back, and how the recurrence alone scales it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.diagnosis.reading import Reading
from seqnlp.nn.cells.base import State

VANISHED, EXPLODED = 1e-6, 1e6
"""What is left of a gradient that is no use any more, and what no optimizer can use."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Gradients by their distance from the last step of a row, medians over rows.

    Index k of each is k steps before the last; there are as many as a quarter of the rows have.

    state: norm of the loss's gradient with respect to the state that the step left, over all its
        leaves: what comes back from later steps, with the output's own where the output is the
        state's first leaf.
    output: norm of the loss's gradient with respect to the step's output, as the layers above gave
        it: through pooling, attention or a later layer, not through time.
    carry: norm of a random unit vector at the last output, pulled back through the recurrence
        alone to the state before so many steps: |J_k^T ... J_1^T v|, J the Jacobian of a step
        (Pascanu et al. 2013, arXiv:1211.5063, equation 5). The first is 1.
    """

    state: tuple[float, ...]
    output: tuple[float, ...]
    carry: tuple[float, ...]

    @property
    def steps(self) -> int:
        """The greatest distance."""
        return len(self.carry) - 1

    @property
    def vanishes_at(self) -> int | None:
        """The first distance at which no more than a millionth is carried."""
        return next((k for k, left in enumerate(self.carry) if left <= VANISHED), None)

    @property
    def explodes_at(self) -> int | None:
        """The first distance at which a million times as much comes back."""
        return next((k for k, left in enumerate(self.carry) if left >= EXPLODED), None)

    @property
    def factor(self) -> float:
        """The growth of a step, the geometric mean of the second half of the way.

        The way is all that was measured, or up to where it has vanished or exploded. NaN of rows of
        one step.
        """
        ends = [end for end in (self.vanishes_at, self.explodes_at) if end is not None]
        last = min(ends, default=self.steps)
        first = last // 2
        if last == 0 or self.carry[first] == 0:
            return math.nan
        return float((self.carry[last] / self.carry[first]) ** (1 / (last - first)))

    @property
    def half_life(self) -> float | None:
        """Steps in which half is lost; None where nothing is."""
        factor = self.factor
        if not factor < 1:
            return None
        return 0.0 if factor == 0 else math.log(0.5) / math.log(factor)


def measure_flow(found: Sequence[Reading], *, span: int) -> Flow:
    """Pull the loss's gradient and random vectors back through what a cell read.

    Args:
        found: readings of one cell, at least one.
        span: the most steps.
    """
    lengths = np.concatenate([reading.lengths.cpu().numpy() for reading in found])
    # As many as a quarter of the rows have.
    longest = np.sort(lengths)[-(-len(lengths) // 4) * -1]
    distances = min(span + 1, int(longest))
    generator = torch.Generator().manual_seed(0)
    curves = [_pull(reading, distances, generator) for reading in found]
    running = np.concatenate(
        [reading.running(distances).cpu().numpy() for reading in found], axis=1
    )
    state, output, logs = (
        _medians(np.concatenate([each[n] for each in curves], axis=1), running) for n in range(3)
    )
    return Flow(state=tuple(state), output=tuple(output), carry=tuple(map(_power, logs)))


def _pull(
    reading: Reading, distances: int, generator: torch.Generator
) -> tuple[Floats, Floats, Floats]:
    """Pull two gradients of every row back, side by side: the loss's and a random vector's.

    The latter, the second half of the rows, is scaled to norm 1 at every step, so that no norm is
    too small or too great for a float.

    Returns:
        [distances, B] each: norms of the loss's gradient with respect to states and outputs, and
        log10 of what is carried. Of a row without such a step they mean nothing.
    """
    x = reading.from_ends(reading.x, distances)
    states = [reading.from_ends(leaf, distances) for leaf in reading.states]
    of_output = reading.from_ends(reading.gradients, distances)
    cut = reading.detached(distances)
    rows = len(reading.lengths)
    drawn = torch.randn(rows, reading.cell.hidden_size, generator=generator)
    random = (drawn / drawn.norm(dim=1, keepdim=True)).to(reading.outputs)
    nothing = torch.zeros_like(random)
    back: State = ()
    is_output, sizes = False, []
    for distance in range(distances):
        with torch.enable_grad():
            leaves = tuple(_leaf(torch.cat([leaf[distance]] * 2)) for leaf in states)
            output, new = reading.step(torch.cat([x[distance]] * 2), leaves)
        if distance == 0:
            back = tuple(torch.zeros_like(leaf) for leaf in new)
            is_output = torch.equal(output, new[0])
        direct = torch.cat([of_output[distance], nothing if distance else random])
        sizes.append(_norms((back[0] + direct, *back[1:]) if is_output else back))
        if distance:
            # A norm of zero stays one.
            size = torch.where(sizes[-1] > 0, sizes[-1], 1.0)
            size[:rows] = 1
            back = _divide(back, size)
        back = _pull_back(leaves, (output, *new), (direct, *back))
        if reading.truncation:
            size = torch.ones_like(sizes[-1])
            size[:rows][cut[distance]] = torch.inf
            back = _divide(back, size)
    found = _numbers(torch.stack(sizes))
    found[0, rows:] = 1
    with np.errstate(divide="ignore"):
        logs = np.log10(found[:, rows:]).cumsum(0)
    return found[:, :rows], _numbers(of_output.norm(dim=2)), logs


def _leaf(x: Tensor) -> Tensor:
    x = x.detach()
    return x.requires_grad_() if _is_real(x) else x


def _pull_back(leaves: State, results: Sequence[Tensor], gradients: Sequence[Tensor]) -> State:
    """The gradients of a state, zeros where nothing depends on a leaf."""
    pairs = [each for each in zip(results, gradients, strict=True) if each[0].requires_grad]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(wanted)
    if pairs and wanted:
        ends, given = zip(*pairs, strict=True)
        found = torch.autograd.grad(ends, wanted, given, allow_unused=True)
    rest = iter(found)
    each = (next(rest) if leaf.requires_grad else None for leaf in leaves)
    return tuple(
        torch.zeros_like(leaf) if gradient is None else gradient
        for leaf, gradient in zip(leaves, each, strict=True)
    )


def _norms(state: State) -> Tensor:
    """Of each row over all leaves, float64 [B]."""
    sizes = [
        torch.linalg.vector_norm(
            (leaf.abs() if leaf.is_complex() else leaf).reshape(len(leaf), -1),
            dim=1,
            dtype=torch.float64,
        )
        for leaf in state
        if _is_real(leaf)
    ]
    return sizes[0] if len(sizes) == 1 else torch.stack(sizes).square().sum(0).sqrt()


def _divide(state: State, sizes: Tensor) -> State:
    return tuple(
        leaf / sizes.to(leaf.dtype).view(-1, *(1 for _ in leaf.shape[1:]))
        if _is_real(leaf)
        else leaf
        for leaf in state
    )


def _is_real(leaf: Tensor) -> bool:
    """Whether a leaf has gradients; counts have none."""
    return leaf.is_floating_point() or leaf.is_complex()


def _numbers(x: Tensor) -> Floats:
    return x.detach().double().cpu().numpy()


def _medians(values: Floats, running: NDArray[np.bool_]) -> list[float]:
    """Of each line the median of those that are True; what is no number counts as infinite."""
    ordered = np.sort(np.where(running & ~np.isnan(values), values, np.inf), axis=1)
    count, line = running.sum(axis=1), np.arange(len(values))
    low, high = ordered[line, (count - 1) // 2], ordered[line, count // 2]
    # Two of a kind that is infinite have no mean.
    with np.errstate(invalid="ignore"):
        found: list[float] = np.where(low == high, low, (low + high) / 2).tolist()
    return found


def _power(log: float) -> float:
    """10 to that power, within what JSON and plots can hold; what is no number stays none."""
    if math.isinf(log):
        return 0.0 if log < 0 else math.nan
    return float(10 ** min(max(log, -300.0), 300.0))
