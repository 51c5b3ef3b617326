"""Graphs with int8 weights: what of the rest becomes int8 is decided when the graph runs.

Every row of an embedding, and every column of a weight, has a scale of its own; inputs of products
get theirs as they come, one for a whole batch. Weights are symmetric about code 128 of unsigned
bytes, whose products no instruction of any processor cuts off.
Source: dynamic quantization as in Jacob et al. 2018, arXiv:1712.05877; the operators
DynamicQuantizeLSTM and DynamicQuantizeMatMul of onnxruntime (domain com.microsoft).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

Floats: TypeAlias = NDArray[np.float32]

DOMAIN = "com.microsoft"
LEAST = 1024
"""Numbers that a weight must have: a smaller one costs more as int8 than it saves."""
_MIDDLE, _LARGEST = 128, 127


def quantize_graph(graph: ModelProto, *, least: int = LEAST) -> ModelProto:
    """A copy with int8 weights: of LSTMs, of products and of tables that are looked up.

    GRU and RNN nodes keep theirs, since onnxruntime has no int8 form of them.

    Args:
        graph: of float32; it is left as it is.
        least: numbers of the smallest weight that changes.
    """
    from onnx import ModelProto

    made = ModelProto()
    made.CopyFrom(graph)
    _Quantizer(made.graph, least).change(made.graph)
    if all(each.domain != DOMAIN for each in made.opset_import):
        made.opset_import.add(domain=DOMAIN, version=1)
    return made


def quantize_columns(weight: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """The nearest codes of float [..., K, N], 1 to 255 about 128, and the scales [..., N]."""
    scales = np.abs(weight).max(-2) / np.float32(_LARGEST)
    safe = np.where(scales > 0, scales, 1).astype(np.float32)
    codes = np.rint(weight / safe[..., None, :]) + _MIDDLE
    return codes.astype(np.uint8), safe


class _Quantizer:
    """Changes the nodes of a graph, those of its loops too; constants are those of the whole."""

    def __init__(self, main: GraphProto, least: int) -> None:
        from onnx import numpy_helper

        self._main, self._least = main, least
        self._floats: Mapping[str, Floats] = {
            each.name: numpy_helper.to_array(each)
            for each in main.initializer
            if each.data_type == each.FLOAT and np.prod(each.dims) >= least
        }
        self._made: set[str] = set()

    def change(self, graph: GraphProto) -> None:
        """Put int8 forms in the place of the nodes that have one."""
        self._change(graph)
        used = set(_used(self._main))
        kept = [each for each in self._main.initializer if each.name in used]
        del self._main.initializer[:]
        self._main.initializer.extend(kept)

    def _change(self, graph: GraphProto) -> None:
        nodes: list[NodeProto] = []
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    self._change(attribute.g)
            nodes += self._replace(node)
        del graph.node[:]
        graph.node.extend(nodes)

    def _replace(self, node: NodeProto) -> Sequence[NodeProto]:
        inputs = list(node.input)
        if node.op_type == "LSTM" and self._is_weight(inputs[1:3]):
            return self._lstm(node)
        if node.op_type == "MatMul" and self._is_weight(inputs[1:], axes=2):
            return self._product(node, transposed=False)
        if node.op_type == "Gemm" and self._is_weight(inputs[1:2], axes=2) and _is_linear(node):
            return self._product(node, transposed=bool(_attributes(node).get("transB", 0)))
        if node.op_type == "Gather" and self._is_weight(inputs[:1], axes=2):
            return self._lookup(node)
        return [node]

    def _is_weight(self, names: Sequence[str], axes: int = 3) -> bool:
        return all(name in self._floats and self._floats[name].ndim == axes for name in names)

    def _lstm(self, node: NodeProto) -> list[NodeProto]:
        from onnx import helper

        x, w, r, *others = node.input
        others += [""] * (5 - len(others))  # bias, lengths, h, c, peepholes
        quantized = [self._columns(name, transposed=True) for name in (w, r)]
        (w, *w_scales), (r, *r_scales) = quantized
        inputs = [x, w, r, *others, *w_scales, *r_scales]
        made = helper.make_node("DynamicQuantizeLSTM", inputs, node.output, domain=DOMAIN)
        # It knows no other layout than the default one, and not even the name of it.
        made.attribute.extend(each for each in node.attribute if each.name != "layout")
        return [made]

    def _product(self, node: NodeProto, *, transposed: bool) -> list[NodeProto]:
        from onnx import helper

        x, w, *bias = node.input
        inputs = [x, *self._columns(w, transposed=transposed), *bias]
        return [helper.make_node("DynamicQuantizeMatMul", inputs, node.output, domain=DOMAIN)]

    def _lookup(self, node: NodeProto) -> list[NodeProto]:
        """The codes and scales of rows: only what was looked up becomes float."""
        from onnx import TensorProto, helper

        table, ids = node.input
        output = node.output[0]
        # A table may be a weight too, whose codes lie the other way.
        codes, scales = f"{table}_row_codes", f"{table}_row_scales"
        found, own = quantize_columns(np.ascontiguousarray(self._floats[table].T))
        signed = (found.T.astype(np.int16) - _MIDDLE).astype(np.int8)
        self._keep({codes: signed, scales: own[:, None]})
        rows, real, scale = (f"{output}_{part}" for part in ("codes", "real", "scales"))
        return [
            helper.make_node("Gather", [codes, ids], [rows], axis=0),
            helper.make_node("Cast", [rows], [real], to=TensorProto.FLOAT),
            helper.make_node("Gather", [scales, ids], [scale], axis=0),
            helper.make_node("Mul", [real, scale], [output]),
        ]

    def _columns(self, name: str, *, transposed: bool) -> tuple[str, str, str]:
        """The names of codes, scales and zero points of a weight, a column of it each output."""
        names = (f"{name}_codes", f"{name}_scales", f"{name}_zeros")
        if names[0] not in self._made:
            weight = self._floats[name]
            codes, scales = quantize_columns(weight.swapaxes(-1, -2) if transposed else weight)
            zeros = np.full(scales.shape, _MIDDLE, dtype=np.uint8)
            self._keep(dict(zip(names, (codes, scales, zeros), strict=True)))
        return names

    def _keep(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        from onnx import numpy_helper

        for name, array in arrays.items():
            if name not in self._made:
                made = numpy_helper.from_array(np.ascontiguousarray(array), name)
                self._main.initializer.append(made)
                self._made.add(name)


def _attributes(node: NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _is_linear(node: NodeProto) -> bool:
    """Whether a Gemm is a product with a weight and the sum with a bias, nothing else."""
    found = {"alpha": 1.0, "beta": 1.0, "transA": 0, **_attributes(node)}
    return (found["alpha"], found["beta"], found["transA"]) == (1.0, 1.0, 0)


def _used(graph: GraphProto) -> Iterable[str]:
    """All that nodes read and that is put out, in loops too."""
    for value in graph.output:
        yield value.name
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _used(attribute.g)
