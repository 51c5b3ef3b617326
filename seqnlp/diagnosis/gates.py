"""What happens inside of a cell's steps: saturated gates, dead units, recurrent weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seqnlp.diagnosis.reading import Reading
from seqnlp.nn.cells.base import Cell, GatedCell, Role
from seqnlp.nn.cells.linear import GatedLinearCell

LOW, HIGH = 0.05, 0.95
"""Where a sigmoid counts as closed and as open, and the size of a tanh that counts as saturated."""
STILL = 1e-3
"""A unit is dead that varies by less than this share of what the outputs are."""
MOST_STEPS = 2048
"""Steps of all rows together that gates are looked at in."""

KINDS = {
    "sigmoid": "sigmoid", "sigmoid_": "sigmoid", "tanh": "tanh", "tanh_": "tanh",
    "relu": "relu", "relu_": "relu",
}  # fmt: skip
"""Functions of torch by name, and what a report calls them."""


@dataclass(frozen=True, kw_only=True)
class GateUse:
    """How much of an activation is used, over all steps and units.

    name: of the gate, or of the activation where it is none's. kind: "sigmoid", "tanh" or "relu".
    mean: of the values. low, high: the shares below 0.05 and above 0.95 of a sigmoid, below -0.95
    and above 0.95 of a tanh; low of a relu is the share of zeros, and high is 0.
    """

    name: str
    kind: str
    mean: float
    low: float
    high: float

    @property
    def saturated(self) -> float:
        """The share of steps and units that let no gradient through."""
        return self.low + self.high


@dataclass(frozen=True, kw_only=True)
class Block:
    """A recurrent weight matrix of one gate.

    radius: the spectral radius, the largest size of an eigenvalue; None where it is not square.
    norm: the largest singular value, which bounds the radius.
    """

    name: str
    radius: float | None
    norm: float


def measure_gates(found: Sequence[Reading]) -> tuple[GateUse, ...]:
    """How far the activations of a cell are saturated, in the order in which it computes them.

    Those of any cell that calls torch.sigmoid, tanh or relu; one of gates says whose they are, too.

    Args:
        found: readings of one cell, at least one.
    """
    each = [_activations(reading) for reading in found]
    return tuple(
        _use(name, kind, torch.cat([values[n][2] for values in each]))
        for n, (name, kind, _) in enumerate(each[0])
    )


def dead_units(found: Sequence[Reading]) -> int:
    """How many units of the output hardly vary, over all steps of all rows."""
    outputs = torch.cat([reading.outputs[reading.real] for reading in found]).double()
    size = outputs.square().mean().sqrt()
    return int((outputs.std(0, correction=0) <= STILL * size).sum())


def measure_blocks(cell: Cell, *, most: int | None = None) -> tuple[Block, ...]:
    """The recurrent weights of a cell that says which they are; none of more than `most`."""
    blocks = [block for role, block in cell.weight_blocks() if role is Role.RECURRENT]
    if most is not None and len(blocks) > most:
        return ()
    names: Sequence[str] = gate_names(cell)
    if len(names) != len(blocks):
        names = [f"block {n}" for n in range(1, len(blocks) + 1)]
    return tuple(_block(name, each.detach()) for name, each in zip(names, blocks, strict=True))


def gate_names(cell: Cell) -> tuple[str, ...]:
    """What the gates of a cell are called; nothing of a cell that declares none."""
    if not isinstance(cell, GatedCell | GatedLinearCell):
        return ()
    if cell.gate_names:
        return cell.gate_names
    return tuple("forget" if n == cell.forget_gate else f"gate {n + 1}" for n in range(cell.gates))


def _block(name: str, weight: Tensor) -> Block:
    weight = weight.double().cpu()
    if not weight.isfinite().all():
        return Block(name=name, radius=None, norm=math.nan)
    square = weight.shape[0] == weight.shape[1]
    radius = torch.linalg.eigvals(weight).abs().max().item() if square else None
    return Block(name=name, radius=radius, norm=torch.linalg.matrix_norm(weight, 2).item())


class _Recorder(TorchFunctionMode):
    """Writes down what the activations are given and give: kind, argument and value."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Tensor, Tensor]] = []

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call, and see what."""
        kind = KINDS.get(getattr(func, "__name__", ""))
        # In place, the argument would be the value.
        argument = args[0] * 1 if kind is not None and args else None
        result = func(*args, **(kwargs or {}))
        if kind is not None and argument is not None:
            self.found.append((kind, argument, result))
        return result


def _activations(reading: Reading) -> list[tuple[str, str, Tensor]]:
    """Name, kind and values [N, ...] of each activation, in all steps at once."""
    real = reading.real
    every = max(1, int(real.sum()) // MOST_STEPS)
    x = reading.x[real][::every]
    state = tuple(leaf[real][::every] for leaf in reading.states)
    with torch.no_grad(), _Recorder() as recorder:
        reading.step(x, state)
    names, kinds = _names(reading.cell), [kind for kind, _, _ in recorder.found]
    if len(names) != len(kinds):
        names = [""] * len(kinds)
    return [
        (name or _numbered(kinds, n), kind, value)
        for n, (name, (kind, _, value)) in enumerate(zip(names, recorder.found, strict=True))
    ]


def _names(cell: Cell) -> list[str]:
    """The gates that a step's activations belong to, "" where that is not known.

    An activation is a gate's where it depends on the bias of no other gate, but of those that have
    had theirs: tanh(x_n + r * h_n) is n's. One that depends on such gates alone is the memory's.
    """
    names = gate_names(cell)
    if not names or "bias" not in dict(cell.named_parameters()):
        return []
    arguments, bias = _probe(cell)
    linear = isinstance(cell, GatedLinearCell)
    named: list[str] = []
    for argument in arguments:
        gradient = None
        if argument.requires_grad:
            (gradient,) = torch.autograd.grad(
                argument.sum(), bias, retain_graph=True, allow_unused=True
            )
        parts = () if gradient is None else gradient.chunk(len(names))
        seen = [name for name, part in zip(names, parts, strict=False) if part.any()]
        left = [name for name in seen if name not in named]
        # Gates of a linear recurrence do not meet before its state.
        if linear and len(seen) > 1:
            left = []
        memory = "memory" if seen and not left else ""
        named.append(left[0] if len(left) == 1 else memory)
    return named


def _probe(cell: Cell) -> tuple[list[Tensor], Tensor]:
    """What a step gives its activations, and the bias that it has come from.

    Weights, input and state are drawn small: where a cell's own are saturated, or frozen, nothing
    would be seen to depend on anything.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(like: Tensor) -> Tensor:
        drawn = torch.rand(like.shape, generator=generator)
        return (0.1 + 0.1 * drawn).to(like)

    weights = {name: draw(weight).requires_grad_() for name, weight in cell.named_parameters()}
    x = draw(next(iter(weights.values())).new_empty(4, cell.input_size))
    state = tuple(
        draw(leaf) if leaf.is_floating_point() else leaf for leaf in cell.initial_state(4)
    )
    with torch.enable_grad(), _Recorder() as recorder:
        torch.func.functional_call(cell, weights, (x, state))
    return [argument for _, argument, _ in recorder.found], weights["bias"]


def _numbered(kinds: Sequence[str], n: int) -> str:
    """The kind, or of several "tanh 2"."""
    kind = kinds[n]
    return kind if kinds.count(kind) == 1 else f"{kind} {kinds[: n + 1].count(kind)}"


def _use(name: str, kind: str, values: Tensor) -> GateUse:
    low, high = {"sigmoid": (LOW, HIGH), "tanh": (-HIGH, HIGH), "relu": (0.0, torch.inf)}[kind]
    below = values <= low if kind == "relu" else values < low
    return GateUse(
        name=name,
        kind=kind,
        mean=values.double().mean().item(),
        low=below.double().mean().item(),
        high=(values > high).double().mean().item(),
    )
