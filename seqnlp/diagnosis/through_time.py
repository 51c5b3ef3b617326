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
    generator = torch.Generator().manual_seed(0)
    pulls = [_Pull(reading, generator) for reading in found]
    rows = sum(len(reading.lengths) for reading in found)
    state, output, carry = [], [], []
    for distance in range(span + 1):
        taken = [pull.take(distance) for pull in pulls if pull.reading.running(distance)]
        if sum(len(each.logs) for each in taken) * 4 < rows:
            break
        state.append(_median([each.of_state for each in taken]))
        output.append(_median([each.of_output for each in taken]))
        carry.append(_power(_median([each.logs for each in taken])))
    return Flow(state=tuple(state), output=tuple(output), carry=tuple(carry))


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """Of each row with a step so far from its last: the two norms, and log10 of what is carried."""

    of_state: Floats
    of_output: Floats
    logs: Floats


class _Pull:
    """Pulls two gradients back through one reading, side by side.

    The first half of the rows has the loss's gradient; the second half a random vector's, which is
    scaled to norm 1 at every step, so that no norm is too small or too great for a float.
    """

    def __init__(self, reading: Reading, generator: torch.Generator) -> None:
        self.reading = reading
        drawn = torch.randn(len(reading.lengths), reading.cell.hidden_size, generator=generator)
        self.random = (drawn / drawn.norm(dim=1, keepdim=True)).to(reading.outputs)
        self.logs: Floats = np.zeros(len(drawn))
        self.back: State = ()

    def take(self, distance: int) -> _Taken:
        """The step so far from the last, after all nearer ones."""
        x, state, of_output = self.reading.at(distance)
        count, before = len(x), len(self.logs)
        # Rows without such a step are the last ones.
        back = tuple(torch.cat([leaf[:count], leaf[before : before + count]]) for leaf in self.back)
        logs = self.logs[:count]
        with torch.enable_grad():
            leaves = tuple(_leaf(torch.cat([leaf, leaf])) for leaf in state)
            output, new = self.reading.step(torch.cat([x, x]), leaves)
        if distance == 0:
            back = tuple(torch.zeros_like(leaf) for leaf in new)
        random = torch.zeros_like(of_output) if distance else self.random[:count]
        direct = torch.cat([of_output, random])
        of_state = back
        if torch.equal(output, new[0]):
            of_state = (back[0] + direct, *back[1:])
        taken = _Taken(
            of_state=_numbers(_norms(of_state)[:count]),
            of_output=_numbers(of_output.norm(dim=1)),
            logs=logs,
        )
        self.back = _pull_back(leaves, (output, *new), (direct, *back))
        sizes = _norms(self.back)
        sizes[:count] = torch.where(self.reading.detached(distance), torch.inf, 1.0)
        with np.errstate(divide="ignore"):
            self.logs = logs + np.log10(_numbers(sizes[count:]))
        scale = torch.where(sizes > 0, 1 / sizes, sizes)
        self.back = tuple(_times(leaf, scale) for leaf in self.back)
        return taken


def _leaf(x: Tensor) -> Tensor:
    x = x.detach()
    return x.requires_grad_() if x.is_floating_point() or x.is_complex() else x


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
    """Of each row over all leaves, float [B]."""
    squares = [leaf.reshape(len(leaf), -1).abs().double().square().sum(1) for leaf in state]
    return torch.stack(squares).sum(0).sqrt()


def _times(leaf: Tensor, scale: Tensor) -> Tensor:
    if not (leaf.is_floating_point() or leaf.is_complex()):
        return leaf
    return leaf * scale.to(leaf.dtype).view(-1, *(1 for _ in leaf.shape[1:]))


def _numbers(x: Tensor) -> Floats:
    return x.detach().double().cpu().numpy()


def _median(each: Sequence[Floats]) -> float:
    return float(np.median(np.concatenate(each)))


def _power(log: float) -> float:
    """10 to that power, within what JSON and plots can hold."""
    return 0.0 if log == -math.inf else float(10 ** min(max(log, -300.0), 300.0))
