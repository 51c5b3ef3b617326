"""Graphs that several files of tests look at: making one takes seconds."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
import torch

from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.recurrence import RecurrentEncoder
from tests.integrations.onnx.recorded import Encoders, OwnCell, make_encoder, record

Recorded = tuple[onnx.ModelProto, Encoders]


@pytest.fixture(scope="session")
def native_graph() -> Recorded:
    """Encoders whose cells ONNX has operators for."""
    return record(
        {
            "lstm": make_encoder("lstm", layers=2, residual=True, layer_norm=True),
            "gru": make_encoder("gru"),
            "rnn": make_encoder("rnn", bidirectional=False),
        }
    )


@pytest.fixture(scope="session")
def loop_graph() -> Recorded:
    """Encoders that become loops: of a cell that is registered nowhere, complex, zoned out."""
    zoneout: dict[str, Any] = {"zoneout_output": 0.3, "zoneout_memory": 0.2}
    return record(
        {
            "own": _own(),
            "complex": make_encoder("lru", bidirectional=False),
            "zoned": make_encoder("lstm", bidirectional=False, **zoneout),
        }
    )


def _own() -> RecurrentEncoder:
    encoder = make_encoder("lstm")
    for layer in encoder.layers:
        assert isinstance(layer, RecurrentLayer)
        torch.manual_seed(2)
        layer.forward_cell = OwnCell(layer.forward_cell.input_size, 4)
        layer.backward_cell = OwnCell(layer.forward_cell.input_size, 4)
    return encoder
