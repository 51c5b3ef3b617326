"""Torch's own recurrences, on the weights of a cell that computes the same function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqnlp.nn.cells.base import Cell, GatedCell, NativeForm, State
from seqnlp.nn.engines.base import Engine, freeze
from seqnlp.nn.engines.padding import Padding

_FUNCTIONS: Mapping[NativeForm, Callable[..., tuple[Tensor, ...]]] = {
    NativeForm.LSTM: torch.lstm,
    NativeForm.GRU: torch.gru,
    NativeForm.RNN_TANH: torch.rnn_tanh,
    NativeForm.RNN_RELU: torch.rnn_relu,
}


class NativeEngine(Engine):
    """The calls that torch.nn.LSTM, GRU and RNN make themselves.

    Ragged rows are not packed. Reading forward, padding comes after the real steps and cannot
    change them; reading backward, each row is reversed in its place. Only the final state of a
    ragged batch, where the output does not give it away, takes torch's slower packed way.
    """

    name: ClassVar[str] = "native"

    def supports(self, cell: Cell, x: Tensor) -> bool:
        """Whether the cell says which of torch's recurrences it equals."""
        return isinstance(cell, GatedCell) and cell.native() is not None

    def run(
        self,
        cell: Cell,
        x: Tensor,
        padding: Padding | None,
        state: State,
        *,
        reverse: bool,
        want_state: bool,
    ) -> tuple[Tensor, State | None]:
        """See `Engine.run`."""
        assert isinstance(cell, GatedCell)
        if padding is None:
            outputs, final = _call([cell], (x.flip(1) if reverse else x).transpose(0, 1), [state])
            outputs = outputs.transpose(0, 1)
            return (outputs.flip(1) if reverse else outputs), tuple(leaf[0] for leaf in final)
        if reverse:
            x = padding.reverse(x)
        ended: State | None = None
        if want_state and cell.states > 1:
            outputs, ended = _run_packed(cell, x, padding, state)
        else:
            outputs = _call([cell], x.transpose(0, 1), [state])[0].transpose(0, 1)
            if want_state:
                ended = freeze(padding.lengths > 0, (padding.last(outputs),), state)
        outputs = padding.zero(outputs)
        return (padding.reverse(outputs) if reverse else outputs), ended

    def run_both(
        self, forward_cell: Cell, backward_cell: Cell, x: Tensor, padding: Padding | None
    ) -> Tensor:
        """See `Engine.run_both`; a batch without padding is one call of torch."""
        assert isinstance(forward_cell, GatedCell)
        assert isinstance(backward_cell, GatedCell)
        cells = [forward_cell, backward_cell]
        states = [cell.initial_state(x.shape[0]) for cell in cells]
        if padding is None:
            return _call(cells, x.transpose(0, 1), states)[0].transpose(0, 1)
        backward_x = padding.reverse(x).transpose(0, 1)
        forward_outputs, _ = _call(cells[:1], x.transpose(0, 1), states[:1])
        backward_outputs, _ = _call(cells[1:], backward_x, states[1:])
        rows = torch.cat(
            [forward_outputs.flatten(0, 1), padding.reverse_rows(backward_outputs.flatten(0, 1))],
            dim=1,
        )
        return padding.unstack(padding.zero_rows_(rows))


def _run_packed(cell: GatedCell, x: Tensor, padding: Padding, state: State) -> tuple[Tensor, State]:
    """Outputs [B, T, H] and the exact final state of every leaf."""
    # Torch packs no empty row: let it run one step there, and take the initial state after.
    lengths = padding.lengths.clamp(min=1).cpu()
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    assert packed.sorted_indices is not None
    assert packed.unsorted_indices is not None
    start = tuple(leaf.index_select(0, packed.sorted_indices) for leaf in state)
    data, final = _call([cell], packed.data, [start], packed.batch_sizes)
    outputs, _ = pad_packed_sequence(
        packed._replace(data=data), batch_first=True, total_length=padding.time
    )
    ended = tuple(leaf[0].index_select(0, packed.unsorted_indices) for leaf in final)
    return outputs, freeze(padding.lengths > 0, ended, state)


def _call(
    cells: Sequence[GatedCell],
    x: Tensor,
    states: Sequence[State],
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Call torch with one cell, or with two that read in opposite directions.

    Args:
        cells: of one native form.
        x: time-major [T, B, I], or packed rows where their batch sizes are given.
        states: one a cell.
        batch_sizes: int64 [T], for packed rows.

    Returns:
        Outputs [T, B, H or 2H], or packed rows; the final leaves, each [cells, B, H].
    """
    form = cells[0].native()
    assert form is not None
    weights = []
    for cell in cells:
        bias_h = torch.zeros_like(cell.bias) if cell.bias_h is None else cell.bias_h
        weights += [cell.weight_x, cell.weight_h, cell.bias, bias_h]
    leaves = [torch.stack(of_cells) for of_cells in zip(*states, strict=True)]
    start = leaves if len(leaves) > 1 else leaves[0]
    # has_biases, layers, dropout, train, bidirectional(, batch_first). cuDNN keeps what backward
    # needs only when told to train.
    options = (True, 1, 0.0, torch.is_grad_enabled(), len(cells) == 2)
    function = _FUNCTIONS[form]
    if batch_sizes is None:
        outputs, *final = function(x, start, weights, *options, False)
    else:
        outputs, *final = function(x, batch_sizes, start, weights, *options)
    return outputs, final
