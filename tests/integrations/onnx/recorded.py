"""What tests of graphs share: encoders side by side in one graph, and runs of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqnlp.integrations.onnx.graphs import to_onnx
from seqnlp.nn import GatedCell
from seqnlp.nn.cells.base import Gates, State
from seqnlp.nn.encoder import Encoder
from seqnlp.nn.recurrence import RecurrentEncoder

Arrays = Sequence[NDArray[Any]]

# One row, rows of one step, rows of other lengths than those recorded, full rows.
BATCHES = ((1, [1]), (1, [6]), (5, [1, 1, 1, 1, 1]), (3, [7, 1, 4]), (2, [9, 9]))


class OwnCell(GatedCell):
    """What a user writes in ten lines."""

    gates = 2
    states = 2

    def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
        """A leaky memory."""
        share = torch.sigmoid(x_gates[0] + h_gates[0])
        c = share * state[1] + (1 - share) * torch.tanh(x_gates[1] * h_gates[1])
        return torch.tanh(c), c


def make_encoder(cell: str, **options: Any) -> RecurrentEncoder:
    """Of three features and eight units; in torch the readable loop runs it.

    Of fewer units, normalizing them may lose the digits that are compared.
    """
    torch.manual_seed(1)
    return RecurrentEncoder(3, cell=cell, hidden_size=8, engine="reference", **options)


class Encoders(nn.Module):
    """Several encoders of one input, so that one graph serves many."""

    def __init__(self, encoders: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(dict(encoders))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """States and summary of each."""
        found = (encoder(x, lengths) for encoder in self.encoders.values())
        return tuple(part for each in found for part in (each.states, each.summary))


def scatter(module: nn.Module) -> nn.Module:
    """The module with every parameter away from where it begins."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module.eval()


def record(encoders: Mapping[str, Encoder]) -> tuple[onnx.ModelProto, Encoders]:
    """The graph of encoders of three features, and the module."""
    module = scatter(Encoders(encoders))
    assert isinstance(module, Encoders)
    names = [f"{name}_{part}" for name in encoders for part in ("states", "summary")]
    graph = to_onnx(
        module,
        [torch.randn(2, 3, 3), torch.tensor([3, 2])],
        [{0: "batch", 1: "time"}, {0: "batch"}],
        ["x", "lengths"],
        names,
    )
    return graph, module


class Runner:
    """A graph in onnxruntime, on one thread."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
        self.outputs = [each.name for each in self._session.get_outputs()]

    def __call__(self, **inputs: Tensor | NDArray[Any]) -> Arrays:
        """The outputs of these inputs."""
        given = {name: np.asarray(each) for name, each in inputs.items()}
        found: Arrays = self._session.run(None, given)
        return found


def greatest_differences(graph: onnx.ModelProto, module: Encoders) -> Iterator[float]:
    """Of every batch, how far the graph is from the module at most, as a share of the greatest
    number where that is above 1: a cell of rectified units has no bound.
    """
    run = Runner(graph)
    for rows, lengths in BATCHES:
        torch.manual_seed(rows)
        x, sizes = torch.randn(rows, max(lengths), 3), torch.tensor(lengths)
        with torch.no_grad():
            expected = module(x, sizes)
        found = run(x=x, lengths=sizes)
        # Not by the greatest of all, which would let a NaN pass.
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            assert np.isfinite(one).all()
            scale = max(1.0, float(other.abs().max()))
            yield float(np.abs(one - other.numpy()).max()) / scale


def operators(graph: onnx.ModelProto | onnx.GraphProto) -> Counter[str]:
    """How often each operator stands in a graph, in its loops too."""
    inner = graph.graph if isinstance(graph, onnx.ModelProto) else graph
    found = Counter(node.op_type for node in inner.node)
    for node in inner.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += operators(attribute.g)
    return found
