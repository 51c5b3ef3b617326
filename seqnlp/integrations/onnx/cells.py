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

    def lstm(
        x: FLOAT, w: FLOAT, r: FLOAT, b: FLOAT, lengths: INT32, h: FLOAT, c: FLOAT, direction: str
    ) -> Any:
        return op.LSTM(x, w, r, b, lengths, h, c, direction=direction, hidden_size=_size(r))

    def gru(
        x: FLOAT, w: FLOAT, r: FLOAT, b: FLOAT, lengths: INT32, h: FLOAT, direction: str
    ) -> Any:
        # torch's GRU resets the product, not what goes into it.
        return op.GRU(
            x, w, r, b, lengths, h,
            direction=direction, hidden_size=_size(r), linear_before_reset=1,
        )  # fmt: skip

    def rnn(
        x: FLOAT, w: FLOAT, r: FLOAT, b: FLOAT, lengths: INT32, h: FLOAT,
        direction: str, activation: str,
    ) -> Any:  # fmt: skip
        activations = [activation] * (2 if direction == "bidirectional" else 1)
        return op.RNN(
            x, w, r, b, lengths, h,
            direction=direction, hidden_size=_size(r), activations=activations,
        )  # fmt: skip

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


def _size(r: Any) -> int:
    """H, of recurrent weights [D, G*H, H]."""
    size: int = r.shape[-1]
    return size
