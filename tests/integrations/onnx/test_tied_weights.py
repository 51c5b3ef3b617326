"""A table that is looked up in and multiplied by, as of tied embeddings, in int8."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from seqnlp.integrations.onnx.quantize import quantize_graph


def test_a_table_may_be_a_weight_too() -> None:
    table = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("Gemm", ["rows", "table", "bias"], ["logits"], transB=1),
        ],
        "tied",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 40])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.zeros(40, dtype=np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    made = quantize_graph(model)
    assert [node.op_type for node in made.graph.node][-1] == "DynamicQuantizeMatMul"
    session = onnxruntime.InferenceSession(made.SerializeToString())
    ids = np.array([0, 7, 39])
    (found,) = session.run(None, {"ids": ids})
    wanted = table[ids] @ table.T
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()
    assert not np.array_equal(found, wanted)
