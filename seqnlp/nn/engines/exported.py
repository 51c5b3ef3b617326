"""The engines that run while a network is recorded: recurrences as one operation, or as a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan_op
from torch.func import functional_call

from seqnlp.nn.cells.base import Cell, GatedCell, State
from seqnlp.nn.cells.linear import LinearCell
from seqnlp.nn.engines.base import Engine, freeze
from seqnlp.nn.engines.exporting import exporting_to
from seqnlp.nn.engines.linear import run_linear
from seqnlp.nn.engines.onnx_operations import run_native
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.noise import Noise


class ExportEngine(Engine):
    """Any cell as a loop whose step is recorded once: `scan` of torch, with the weights beside it.

    Products with the input stand before the loop, in gated cells as in linear ones.
    """

    def obstacle(self, cell: Cell, x: Tensor, noise: Noise | None = None) -> str | None:
        """None: every cell can be recorded, or says itself why not."""
        return None

    def run(
        self,
        cell: Cell,
        x: Tensor,
        padding: Padding | None,
        state: State,
        *,
        reverse: bool,
        want_state: bool,
        noise: Noise | None = None,
    ) -> tuple[Tensor, State | None]:
        """See `Engine.run`."""
        if isinstance(cell, LinearCell):
            return run_linear(
                cell, x, padding, state,
                reverse=reverse, want_state=want_state, scanner=_LoopScanner(),
            )  # fmt: skip
        step, inputs = _make_step(cell, x, noise)
        outputs, final = _loop(step, inputs, padding, state, reverse=reverse)
        return outputs if padding is None else padding.zero(outputs), final

    def step(self, cell: Cell, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Engine.step`."""
        if not any(leaf.is_complex() for leaf in state):
            return super().step(cell, x, state)
        # The loop takes complex numbers as pairs, which is all that a graph can hold.
        outputs, final = self.run(cell, x.unsqueeze(1), None, state, reverse=False, want_state=True)
        assert final is not None
        return outputs[:, 0], final


class OnnxEngine(ExportEngine):
    """What ONNX has an operator for becomes that: LSTM, GRU and RNN, two directions in one."""

    name: ClassVar[str] = "onnx"

    def run(
        self,
        cell: Cell,
        x: Tensor,
        padding: Padding | None,
        state: State,
        *,
        reverse: bool,
        want_state: bool,
        noise: Noise | None = None,
    ) -> tuple[Tensor, State | None]:
        """See `Engine.run`."""
        if noise is None and isinstance(cell, GatedCell) and cell.native() is not None:
            return run_native([cell], x, padding, [state], reverse=reverse)
        return super().run(
            cell, x, padding, state, reverse=reverse, want_state=want_state, noise=noise
        )

    def run_both(
        self,
        forward_cell: Cell,
        backward_cell: Cell,
        x: Tensor,
        padding: Padding | None,
        noise: tuple[Noise | None, Noise | None] = (None, None),
    ) -> Tensor:
        """See `Engine.run_both`."""
        cells = [cell for cell in (forward_cell, backward_cell) if isinstance(cell, GatedCell)]
        forms = {cell.native() for cell in cells}
        if noise == (None, None) and len(cells) == 2 and len(forms) == 1 and None not in forms:
            zeros = all(type(cell).initial_state is GatedCell.initial_state for cell in cells)
            states = None if zeros else [cell.initial_state(x.shape[0]) for cell in cells]
            return run_native(cells, x, padding, states)[0]
        return super().run_both(forward_cell, backward_cell, x, padding, noise)


class TorchEngine(ExportEngine):
    """Loops alone."""

    name: ClassVar[str] = "torch"


class _Step(nn.Module):
    """One step of a cell, from what is known of all steps before the loop."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: tuple[Tensor, ...], state: State) -> tuple[Tensor, State]:
        output, new = self.cell(inputs[0], state)
        return output, new


class _GatedStep(_Step):
    """A step from the product with the input."""

    cell: GatedCell

    def __init__(self, cell: GatedCell, noise: Noise | None) -> None:
        super().__init__(cell)
        self._noise = noise

    def forward(self, inputs: tuple[Tensor, ...], state: State) -> tuple[Tensor, State]:
        if self._noise is None:
            return self.cell.finish_step(inputs[0], state)
        # In evaluation it is zoneout alone: each leaf keeps a share of its old value.
        shares = iter(inputs[1:])
        keep = tuple(None if share is None else next(shares) for share in self._noise.keep)
        return self.cell.finish_step(inputs[0], state, Noise(keep=keep))


def _make_step(cell: Cell, x: Tensor, noise: Noise | None) -> tuple[_Step, list[Tensor]]:
    """A step and what it reads of [B, T, I], each [B, T, ...]."""
    if not isinstance(cell, GatedCell) or not cell.splits:
        return _Step(cell), [x]
    shares = () if noise is None else noise.keep
    product = F.linear(x, cell.weight_x, cell.bias)
    return _GatedStep(cell, noise), [product, *(each for each in shares if each is not None)]


def _loop(
    step: _Step,
    inputs: Sequence[Tensor],
    padding: Padding | None,
    state: State,
    *,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Outputs [B, T, H] with anything on padding, and the final state.

    Both directions pass over padding, behind a row or before it, with the state held.
    """
    parameters = {**dict(step.named_parameters()), **dict(step.named_buffers())}
    real = [leaf.is_complex() for leaf in state]

    def take(inputs: tuple[Tensor, ...], state: State, own: tuple[Tensor, ...]) -> State:
        before = _complex(state, real)
        named = dict(zip(parameters, own, strict=True))
        given = inputs if padding is None else inputs[:-1]
        output, new = functional_call(step, named, (given, before))
        if padding is not None:
            new = freeze(inputs[-1], new, before)
        return (*_real(new), output)

    marks = [] if padding is None else [padding.mask]
    *final, outputs = scan_steps(
        take, [*inputs, *marks], _real(state), tuple(parameters.values()), reverse=reverse
    )
    return outputs, _complex(tuple(final), real)


def scan_steps(
    take: Callable[[tuple[Tensor, ...], State, tuple[Tensor, ...]], tuple[Tensor, ...]],
    inputs: Sequence[Tensor],
    state: State,
    constants: tuple[Tensor, ...] = (),
    *,
    reverse: bool = False,
) -> tuple[Tensor, ...]:
    """A loop over time that is recorded as one operation.

    Args:
        take: from the inputs of a step [B, ...], the state before it and the constants to the new
            state, and one output [B, N] behind it.
        inputs: [B, T, ...].
        state: before the first step.
        constants: whatever else it reads.
        reverse: begin at the last step.

    Returns:
        The final state, and behind it the outputs [B, T, N].
    """
    steps = tuple(each.transpose(0, 1) for each in inputs)
    if reverse:
        steps = tuple(each.flip(0) for each in steps)
    leaves, count = len(state), len(steps)

    def combine(*flat: Tensor) -> tuple[Tensor, ...]:
        state, inputs, own = flat[:leaves], flat[leaves:][:count], flat[leaves + count :]
        own = own[: len(constants)]
        # No result may be another one, nor an argument.
        return tuple(each.clone() for each in take(inputs, state, own))

    more: tuple[Tensor | int, ...] = constants
    if exporting_to() == "torch":
        # Its compiler makes room for the outputs from sizes that it finds among the arguments.
        more = (*constants, steps[0].shape[1])
    *final, outputs = scan_op(combine, tuple(leaf.clone() for leaf in state), steps, more)
    if reverse:
        outputs = outputs.flip(0)
    return (*final, outputs.transpose(0, 1))


class _LoopScanner:
    """`Scanner` as such a loop; complex numbers as pairs."""

    def forward(
        self, a: Tensor, b: Tensor, first: Tensor, padding: Padding | None, *, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        """See `scan`."""
        real = [b.is_complex()]
        constant = a.dim() == 1
        (a,), (b,), state = _real((a,)), _real((b,)), _real((first,))
        marks = [] if padding is None else [padding.mask]

        def take(inputs: tuple[Tensor, ...], state: State, own: tuple[Tensor, ...]) -> State:
            (h,) = state
            scale, added = (own[0], inputs[0]) if constant else inputs[:2]
            new: State = (_scale(scale, h, pairs=real[0]) + added,)
            if padding is not None:
                new = freeze(inputs[-1], new, state)
            return (*new, *new)

        inputs, constants = ([b], (a,)) if constant else ([a, b], ())
        last, h = scan_steps(take, [*inputs, *marks], state, constants, reverse=reverse)
        if padding is not None:
            h = torch.where(_like(padding.mask, h), h, 0.0)
        return _complex((h,), real)[0], _complex((last,), real)[0]

    def backward(
        self,
        a: Tensor,
        first: Tensor,
        h: Tensor,
        g: Tensor | None,
        g_last: Tensor | None,
        padding: Padding | None,
        *,
        reverse: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Never asked for."""
        raise NotImplementedError


def _like(mask: Tensor, x: Tensor) -> Tensor:
    """Bool [B, T] as [B, T, 1, ...], of the rank of x."""
    return mask.view(*mask.shape, *(1 for _ in x.shape[2:]))


def _scale(a: Tensor, h: Tensor, *, pairs: bool) -> Tensor:
    """The product, of complex numbers where the last axis is real and imaginary parts."""
    if not pairs:
        return a * h
    (a_r, a_i), (h_r, h_i) = a.unbind(-1), h.unbind(-1)
    return torch.stack([a_r * h_r - a_i * h_i, a_r * h_i + a_i * h_r], dim=-1)


def _real(state: State) -> State:
    return tuple(torch.view_as_real(leaf) if leaf.is_complex() else leaf for leaf in state)


def _complex(state: State, real: Sequence[bool]) -> State:
    """The leaves that were complex as such again."""
    return tuple(
        torch.view_as_complex(leaf) if was else leaf for leaf, was in zip(state, real, strict=True)
    )
