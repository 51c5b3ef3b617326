"""The operations that stand for ONNX's recurrences in a recorded program, as nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from seqnlp.nn.engines.onnx_operations import GRU, LSTM, RNN


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For `torch.onnx.export`: what each of our operations becomes."""
    from onnxscript import opset18 as op
    from onnxscript.onnx_types import FLOAT, INT32

    # In ONNX time comes first and directions have an axis of their own.
    def lay_out(y: Any, r: FLOAT) -> Any:
        directions, _, size = _shape(r)
        shape: Any = op.Constant(value_ints=[0, 0, directions * size])
        return op.Reshape(op.Transpose(y, perm=[2, 0, 1, 3]), shape)

    def steps(x: FLOAT) -> Any:
        return op.Transpose(x, perm=[1, 0, 2])

    def lstm(
        x: FLOAT, w: FLOAT, r: FLOAT, b: FLOAT, lengths: INT32 | None,
        h: FLOAT | None, c: FLOAT | None, direction: str,
    ) -> Any:  # fmt: skip
        y, *final = op.LSTM(
            steps(x), w, r, b, lengths, h, c, direction=direction, hidden_size=_shape(r)[2]
        )
        return lay_out(y, r), *final

    def gru(
        x: FLOAT, w: FLOAT, r: FLOAT, b: FLOAT, lengths: INT32 | None,
        h: FLOAT | None, direction: str,
    ) -> Any:  # fmt: skip
        # torch's GRU resets the product, not what goes into it.
        y, final = op.GRU(
            steps(x), w, r, b, lengths, h,
            direction=direction, hidden_size=_shape(r)[2], linear_before_reset=1,
        )  # fmt: skip
        return lay_out(y, r), final

    def rnn(
        x: FLOAT, w: FLOAT, r: FLOAT, b: FLOAT, lengths: INT32 | None,
        h: FLOAT | None, direction: str, activation: str,
    ) -> Any:  # fmt: skip
        y, final = op.RNN(
            steps(x), w, r, b, lengths, h,
            direction=direction, hidden_size=_shape(r)[2],
            activations=[activation] * _shape(r)[0],
        )  # fmt: skip
        return lay_out(y, r), final

    def sort(x: Any, stable: bool = False, dim: int = -1, descending: bool = False) -> Any:
        # TopK puts the lower index first where values are equal, as a stable sort does.
        axis: Any = op.Constant(value_ints=[dim])
        count: Any = op.Gather(op.Shape(x), axis)
        return op.TopK(x, count, axis=dim, largest=int(descending), sorted=1)

    def prod(x: Any, dims: Sequence[int] | None = None) -> Any:
        axes: Any = None if dims is None else op.Constant(value_ints=list(dims))
        return op.ReduceProd(x, axes, keepdims=0)

    return {
        torch.ops.prims.prod.default: prod,
        torch.ops.aten.sort.stable: sort,
        LSTM: lstm,
        GRU: gru,
        RNN: rnn,
    }


def _shape(r: Any) -> tuple[int, int, int]:
    """D, G*H and H, of recurrent weights."""
    directions, rows, size = r.shape
    return directions, rows, size
