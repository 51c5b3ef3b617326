"""Sources and targets that decoders are checked on, and their sizes."""

from __future__ import annotations

import torch

from seqnlp.testing.tensors import Inputs
from seqnlp.types import Encoded

T, S, E, D, M, OUT, H = 5, 6, 5, 6, 7, 4, 8
SIZES: dict[str, object] = {
    "input_size": E, "memory_size": D, "summary_size": M, "output_size": OUT,
}  # fmt: skip


def make_inputs(rows: int) -> Inputs:
    """Ragged targets, and ragged sources of another length."""
    lengths = [(T, 2, 4, 1, 5, 3)[row % 6] for row in range(rows)]
    sources = [(S, 3, 1, 6, 2, 4)[row % 6] for row in range(rows)]
    shapes = {"x": (rows, T, E), "states": (rows, S, D), "summary": (rows, M)}
    return Inputs(
        tensors={name: torch.randn(*shape).double() for name, shape in shapes.items()},
        lengths={"x": torch.tensor(lengths), "states": torch.tensor(sources)},
    )


def source_of(inputs: Inputs) -> Encoded:
    """The source, as an encoder gives it."""
    tensors = inputs.tensors
    return Encoded(states=tensors["states"], mask=inputs.mask("states"), summary=tensors["summary"])
