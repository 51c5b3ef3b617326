"""Graphs with int8 weights: which nodes change, and by how little the answers do."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from seqnlp.integrations.onnx.graphs import to_onnx
from seqnlp.integrations.onnx.quantize import LEAST, quantize_columns, quantize_graph
from tests.integrations.onnx.conftest import Recorded
from tests.integrations.onnx.recorded import BATCHES, Runner, operators, scatter

# What eight bits leave of outputs of about 1.
ROUGH = 0.1


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 5)),
        elements=st.one_of(
            st.just(0.0), st.floats(0.125, 1e6, width=32), st.floats(-1e6, -0.125, width=32)
        ),
    )
)
def test_codes_are_the_nearest_of_their_column(weight: np.ndarray) -> None:
    codes, scales = quantize_columns(weight)
    assert codes.dtype == np.uint8
    assert codes.min() >= 1
    restored = (codes.astype(np.float64) - 128) * scales
    assert (np.abs(restored - weight) <= 0.5001 * scales).all()
    assert (restored[:, (weight == 0).all(0)] == 0).all()


def _differences(graph: onnx.ModelProto, quantized: onnx.ModelProto) -> list[float]:
    float_run, int8_run = Runner(graph), Runner(quantized)
    found = []
    for rows, lengths in BATCHES:
        torch.manual_seed(rows)
        given = {"x": torch.randn(rows, max(lengths), 3), "lengths": torch.tensor(lengths)}
        for one, other in zip(float_run(**given), int8_run(**given), strict=True):
            assert np.isfinite(other).all()
            found.append(float(np.abs(one - other).max()))
    return found


def test_lstm_nodes_become_int8_and_gru_nodes_stay(native_graph: Recorded) -> None:
    graph, _ = native_graph
    before = graph.SerializeToString()
    quantized = quantize_graph(graph, least=1)
    found = operators(quantized)
    assert (found["DynamicQuantizeLSTM"], found["LSTM"]) == (2, 0)
    assert (found["GRU"], found["RNN"]) == (1, 1)
    assert graph.SerializeToString() == before
    differences = _differences(graph, quantized)
    assert 0 < max(differences) < ROUGH


def test_products_become_int8_in_loops_too(loop_graph: Recorded) -> None:
    graph, _ = loop_graph
    quantized = quantize_graph(graph, least=1)
    scans = [node for node in quantized.graph.node if node.op_type == "Scan"]
    bodies = [
        attribute.g for node in scans for attribute in node.attribute if attribute.name == "body"
    ]
    assert sum(operators(body)["DynamicQuantizeMatMul"] for body in bodies) == 3
    assert operators(quantized)["MatMul"] + operators(quantized)["Gemm"] == 0
    assert 0 < max(_differences(graph, quantized)) < ROUGH


def test_small_weights_are_left_alone(native_graph: Recorded) -> None:
    graph, _ = native_graph
    assert operators(quantize_graph(graph)) == operators(graph)
    assert LEAST > 2 * 32 * 8


class _Tables(nn.Module):
    """A table, a product with a bias and one without."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(40, 30)
        self.first, self.second = nn.Linear(30, 40), nn.Linear(40, 30, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        looked_up: Tensor = self.table(ids).sum(1)
        mapped: Tensor = self.second(torch.tanh(self.first(looked_up)))
        return mapped


def test_tables_become_codes_and_lose_three_quarters_of_their_size() -> None:
    torch.manual_seed(1)
    module = scatter(_Tables())
    graph = to_onnx(
        module, [torch.tensor([[1, 2, 3], [4, 5, 6]])], [{0: "batch", 1: "time"}], ["ids"], ["y"]
    )
    quantized = quantize_graph(graph)
    assert operators(quantized)["DynamicQuantizeMatMul"] == 2
    kinds = {each.name: each.data_type for each in quantized.graph.initializer}
    sizes = [np.prod(each.dims) for each in graph.graph.initializer]
    assert all(kinds.get(each.name) != each.FLOAT for each in graph.graph.initializer
               if np.prod(each.dims) >= LEAST)  # fmt: skip
    assert max(sizes) == 1200
    assert quantized.ByteSize() < 0.5 * graph.ByteSize()
    ids = torch.randint(0, 40, (7, 5))
    one, other = Runner(graph)(ids=ids)[0], Runner(quantized)(ids=ids)[0]
    assert 0 < np.abs(one - other).max() < ROUGH * np.abs(one).max()
