"""A quantized cell over a batch: one compiled call or, where nothing can be compiled, torch's."""

from __future__ import annotations

from torch import Tensor

from seqnlp.nn.cells.base import State
from seqnlp.nn.cells.quantized import QuantizedCell
from seqnlp.nn.engines.inference import prepare, run_prepared
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.reference import ReferenceEngine

_REFERENCE = ReferenceEngine()


def run_quantized(
    cell: QuantizedCell, x: Tensor, padding: Padding | None, state: State, *, reverse: bool
) -> tuple[Tensor, State]:
    """See `Engine.run`."""
    cell.check(x)
    prepared = prepare(cell)
    if prepared is None:
        outputs, final = _REFERENCE.run(
            cell.unpacked(), x, padding, state, reverse=reverse, want_state=True
        )
    else:
        shape = *x.shape[:2], cell.hidden_size
        outputs = x.new_empty(shape) if padding is None else x.new_zeros(shape)
        final = run_prepared(
            prepared, x, padding, state, reverse=reverse, want_state=True, outputs=outputs
        )
    assert final is not None
    return outputs, final
