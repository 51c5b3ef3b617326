"""Torch's own recurrences, on the weights of a cell that computes the same function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from seqnlp.nn.cells.base import Cell, GatedCell, NativeForm, State
from seqnlp.nn.engines.base import Engine, freeze
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.noise import Noise

_FUNCTIONS: Mapping[NativeForm, Callable[..., tuple[Tensor, ...]]] = {
    NativeForm.LSTM: torch.lstm,
    NativeForm.GRU: torch.gru,
    NativeForm.RNN_TANH: torch.rnn_tanh,
    NativeForm.RNN_RELU: torch.rnn_relu,
}

_STEPS: Mapping[NativeForm, Callable[..., Tensor | State]] = {
    NativeForm.LSTM: torch.lstm_cell,
    NativeForm.GRU: torch.gru_cell,
    NativeForm.RNN_TANH: torch.rnn_tanh_cell,
    NativeForm.RNN_RELU: torch.rnn_relu_cell,
}

# What added to each gate's input holds the state, in torch's order of gates. LSTM: i shut, f open,
# o shut: c stays as it is and the output is zero. GRU: z open, so h stays as it is.
_HOLDS: Mapping[NativeForm, tuple[float, ...]] = {
    NativeForm.LSTM: (-1.0, 1.0, 0.0, -1.0),
    NativeForm.GRU: (0.0, 1.0, 0.0),
}
# Its sigmoid is 0 or 1 exactly in every dtype, half precision included, which can represent it.
_HOLD = 3e4


class NativeEngine(Engine):
    """The calls that torch.nn.LSTM, GRU and RNN make themselves.

    Ragged rows are not packed, which is slow in training. Where the cell has gates for it, one
    more input feature, 1 on padding and 0 elsewhere, holds the state there: exactly, and at no
    step of its own. So one call reads both directions, the backward one passing over the padding
    before the row, and the final state is that of the last real step.
    """

    name: ClassVar[str] = "native"

    def obstacle(self, cell: Cell, x: Tensor, noise: Noise | None = None) -> str | None:
        """The cell must say which of torch's recurrences it equals, and its noise be constant."""
        if not isinstance(cell, GatedCell) or cell.native() is None:
            return "torch has no such recurrence"
        if noise is None or (noise.hidden is None and not noise.masks and not noise.keep):
            return None
        return "torch's recurrences have no dropout inside but weight drop"

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
        assert isinstance(cell, GatedCell)
        if reverse:
            x = x.flip(1) if padding is None else padding.reverse(x)
        start = [leaf.unsqueeze(0) for leaf in state]
        outputs, leaves = _call([cell], x, start, padding, [noise])
        final: State | None = None
        if want_state:
            final = tuple(leaf[0] for leaf in leaves)
            if padding is not None:
                # The first leaf is the output, which is not held in every form.
                final = freeze(padding.lengths > 0, (padding.last(outputs), *final[1:]), state)
        if padding is not None:
            outputs = padding.zero(outputs)
        if reverse:
            outputs = outputs.flip(1) if padding is None else padding.reverse(outputs)
        return outputs, final

    def step(self, cell: Cell, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Engine.step`; a call that is made for sequences takes far longer for one step."""
        assert isinstance(cell, GatedCell)
        form = cell.native()
        assert form is not None
        start = state if len(state) > 1 else state[0]
        final = _STEPS[form](x, start, cell.weight_x, cell.weight_h, cell.bias, cell.bias_h)
        return (final, (final,)) if isinstance(final, Tensor) else (final[0], final)

    def run_both(
        self,
        forward_cell: Cell,
        backward_cell: Cell,
        x: Tensor,
        padding: Padding | None,
        noise: tuple[Noise | None, Noise | None] = (None, None),
    ) -> Tensor:
        """See `Engine.run_both`; one call of torch where padding can be passed over."""
        assert isinstance(forward_cell, GatedCell)
        assert isinstance(backward_cell, GatedCell)
        form = forward_cell.native()
        if padding is not None and (form not in _HOLDS or not _starts_at_zero(backward_cell)):
            return super().run_both(forward_cell, backward_cell, x, padding, noise)
        cells = [forward_cell, backward_cell]
        outputs, _ = _call(cells, x, _initial_leaves(cells, x.shape[0]), padding, noise)
        if padding is not None:
            outputs = padding.zero(outputs)
        return outputs


def _starts_at_zero(cell: GatedCell) -> bool:
    """Whether nothing is lost where padding before the first step zeroes the output."""
    return type(cell).initial_state is GatedCell.initial_state


def _initial_leaves(cells: Sequence[GatedCell], batch_size: int) -> list[Tensor]:
    """The initial states of cells of one form, leaf by leaf, each [cells, B, H]."""
    if all(map(_starts_at_zero, cells)):
        # One tensor for all: on a single short text every call of torch shows.
        first = cells[0]
        zeros = first.weight_h.new_zeros(len(cells), batch_size, first.hidden_size)
        return [zeros] * first.states
    states = [cell.initial_state(batch_size) for cell in cells]
    return [torch.stack(leaves) for leaves in zip(*states, strict=True)]


def _call(
    cells: Sequence[GatedCell],
    x: Tensor,
    leaves: list[Tensor],
    padding: Padding | None,
    noise: Sequence[Noise | None],
) -> tuple[Tensor, list[Tensor]]:
    """Call torch with one cell, or with two of one form that read in opposite directions.

    Args:
        cells: one or two.
        x: float [B, T, I].
        leaves: of the states before the first step, each [cells, B, H].
        padding: where the state is held, in forms that can.
        noise: of each cell, of its weight alone.

    Returns:
        Outputs [B, T, H or 2H]; the final leaves, each [cells, B, H].
    """
    form = cells[0].native()
    assert form is not None
    holds = _HOLDS.get(form)
    hold: Tensor | None = None
    if padding is not None and holds is not None:
        blocks = x.new_tensor(holds).mul_(_HOLD).unsqueeze(1)
        hold = blocks.expand(-1, cells[0].hidden_size).reshape(-1, 1)
        x = torch.cat([x.transpose(0, 1), padding.absent.to(x.dtype)], dim=2).transpose(0, 1)
    weights = []
    no_bias = torch.zeros_like(cells[0].bias)
    for cell, own in zip(cells, noise, strict=True):
        weight_h: Tensor = cell.weight_h
        if own is not None and own.weight is not None:
            weight_h = weight_h * own.weight
        weight_x = cell.weight_x if hold is None else torch.cat([cell.weight_x, hold], dim=1)
        bias_h = no_bias if cell.bias_h is None else cell.bias_h
        weights += [weight_x, weight_h, cell.bias, bias_h]
    start = leaves if len(leaves) > 1 else leaves[0]
    # has_biases, layers, dropout, train, bidirectional, batch_first. cuDNN keeps what backward
    # needs only when told to train.
    options = (True, 1, 0.0, torch.is_grad_enabled(), len(cells) == 2, True)
    outputs, *final = _FUNCTIONS[form](x, start, weights, *options)
    return outputs, final
