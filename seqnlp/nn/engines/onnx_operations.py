"""ONNX's operators for recurrences, as operations of torch that exist in recorded programs only.

Weights, states and outputs lie as ONNX has them: D directions first, its own order of gates.
Source: the ONNX operator specification, LSTM, GRU and RNN of opset 14.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seqnlp.nn.cells.base import GatedCell, NativeForm, State
from seqnlp.nn.engines.padding import Padding

_LIBRARY = torch.library.Library("seqnlp", "DEF")  # type: ignore[no-untyped-call]
# x [B, T, I], w [D, G*H, I], r [D, G*H, H], b [D, 2*G*H], lengths int32 [B] or None, h and c
# [D, B, H] or None for zeros, the direction as ONNX names it; to [B, T, D*H] and the last h and c.
_ARGUMENTS = "Tensor x, Tensor w, Tensor r, Tensor b, Tensor? lengths, Tensor? h"
for _schema in (
    f"onnx_lstm({_ARGUMENTS}, Tensor? c, str direction) -> (Tensor, Tensor, Tensor)",
    f"onnx_gru({_ARGUMENTS}, str direction) -> (Tensor, Tensor)",
    f"onnx_rnn({_ARGUMENTS}, str direction, str activation) -> (Tensor, Tensor)",
):
    _LIBRARY.define(_schema)  # type: ignore[no-untyped-call]
LSTM = torch.ops.seqnlp.onnx_lstm.default
GRU = torch.ops.seqnlp.onnx_gru.default
RNN = torch.ops.seqnlp.onnx_rnn.default

# Where ONNX has each of torch's gates: i o f c of i f g o, and z r h of r z n.
_ORDERS: Mapping[NativeForm, tuple[int, ...]] = {
    NativeForm.LSTM: (0, 3, 1, 2),
    NativeForm.GRU: (1, 0, 2),
    NativeForm.RNN_TANH: (0,),
    NativeForm.RNN_RELU: (0,),
}


def run_native(
    cells: Sequence[GatedCell],
    x: Tensor,
    padding: Padding | None,
    states: Sequence[State] | None,
    *,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """Run one cell, or two of one form in opposite directions, by ONNX's operator.

    Args:
        cells: which say by `native` that there is one.
        x: float [B, T, I].
        padding: where the rows end, none of them empty.
        states: of each cell, before the first step; None for zeros.
        reverse: whether a single cell reads backward.

    Returns:
        Outputs [B, T, D*H], zero on padding; of a single cell the state after each row's last step.
    """
    form = cells[0].native()
    assert form is not None
    blocks = [_blocks(cell, _ORDERS[form]) for cell in cells]
    w, r, b = (torch.stack(each) for each in zip(*blocks, strict=True))
    leaves: list[Tensor | None] = [None] * cells[0].states
    if states is not None:
        leaves = [torch.stack(each) for each in zip(*states, strict=True)]
    lengths = None if padding is None else padding.lengths.to(torch.int32)
    direction = "bidirectional" if len(cells) == 2 else "reverse" if reverse else "forward"
    arguments = (x, w, r, b, lengths, *leaves, direction)
    if form is NativeForm.LSTM:
        y, *final = LSTM(*arguments)
    elif form is NativeForm.GRU:
        y, *final = GRU(*arguments)
    else:
        activation = "Tanh" if form is NativeForm.RNN_TANH else "Relu"
        y, *final = RNN(*arguments, activation)
    return y, tuple(leaf[0] for leaf in final)


def _blocks(cell: GatedCell, order: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    def sort(stacked: Tensor) -> Tensor:
        # By slices, which are computed when the graph is made; parts of a split would not be.
        size = cell.hidden_size
        return torch.cat([stacked.narrow(0, index * size, size) for index in order])

    bias_h = torch.zeros_like(cell.bias) if cell.bias_h is None else cell.bias_h
    return sort(cell.weight_x), sort(cell.weight_h), torch.cat([sort(cell.bias), sort(bias_h)])


def _fake(x: Tensor, r: Tensor, leaves: int) -> tuple[Tensor, ...]:
    """What comes out, without its values."""
    directions, _, size = r.shape
    final = x.new_empty(directions, x.shape[0], size)
    return x.new_empty(*x.shape[:2], directions * size), *(final.clone() for _ in range(leaves))


def _fake_lstm(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor, lengths: Tensor | None,
    h: Tensor | None, c: Tensor | None, direction: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    return _fake(x, r, 2)


def _fake_gru(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor, lengths: Tensor | None,
    h: Tensor | None, direction: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    return _fake(x, r, 1)


def _fake_rnn(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor, lengths: Tensor | None,
    h: Tensor | None, direction: str, activation: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    return _fake(x, r, 1)


for _name, _function in (("lstm", _fake_lstm), ("gru", _fake_gru), ("rnn", _fake_rnn)):
    torch.library.register_fake(f"seqnlp::onnx_{_name}", _function, lib=_LIBRARY)
