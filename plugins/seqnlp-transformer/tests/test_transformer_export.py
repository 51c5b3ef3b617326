"""The encoder as an ONNX graph, which equals it on batches of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seqnlp_transformer.encoder import TransformerEncoder
from torch import Tensor, nn

from seqnlp.integrations.onnx import to_onnx


class _Parts(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.encoder(x, lengths)
        return encoded.states, encoded.summary


@pytest.mark.slow
def test_the_graph_equals_the_encoder() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    module = _Parts(TransformerEncoder(4)).eval()
    graph = to_onnx(
        module, [torch.randn(2, 3, 4), torch.tensor([3, 2])],
        [{0: "batch", 1: "time"}, {0: "batch"}], ["x", "lengths"], ["states", "summary"],
    )  # fmt: skip
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for lengths in ([1], [6], [7, 1, 4]):
        x, sizes = torch.randn(len(lengths), max(lengths), 4), torch.tensor(lengths)
        with torch.no_grad():
            expected = module(x, sizes)
        found = session.run(None, {"x": x.numpy(), "lengths": sizes.numpy()})
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-5)
