"""Encoders as ONNX graphs: equal to torch on any batch, and by ONNX's own recurrences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import seqnlp
from seqnlp import registry
from seqnlp.errors import InputError, MissingPackageError
from seqnlp.integrations.onnx import recording
from seqnlp.integrations.onnx.graphs import to_onnx
from seqnlp.nn import engines
from seqnlp.nn.cells.lstm import LSTMCell
from seqnlp.nn.engines.exporting import exporting, exporting_to
from seqnlp.types import Encoded
from tests.integrations.onnx.conftest import Recorded
from tests.integrations.onnx.recorded import (
    BATCHES,
    Encoders,
    Runner,
    greatest_differences,
    make_encoder,
    operators,
    record,
    scatter,
)

TOLERANCE = 1e-5
OURS = sorted(name for name, package in registry.cells.names().items() if package == "seqnlp")


def test_what_torch_computes_in_one_call_onnx_does_in_one_node(
    native_graph: Recorded,
) -> None:
    graph, module = native_graph
    found = operators(graph)
    assert (found["LSTM"], found["GRU"], found["RNN"], found["Scan"]) == (2, 1, 1, 0)
    assert max(greatest_differences(graph, module)) < TOLERANCE


def test_weights_are_in_onnx_s_order_when_the_graph_is_made(
    native_graph: Recorded,
) -> None:
    graph, _ = native_graph
    weights = {each.name for each in graph.graph.initializer}
    read = [node.input[1:4] for node in graph.graph.node if node.op_type in ("LSTM", "GRU", "RNN")]
    assert {name for names in read for name in names} <= weights
    sizes = {each.name: list(each.dims) for each in graph.graph.initializer}
    assert sizes[read[0][0]] == [2, 32, 3]


def test_other_cells_are_loops_in_either_direction(loop_graph: Recorded) -> None:
    graph, module = loop_graph
    found = operators(graph)
    assert (found["Scan"], found["LSTM"], found["GRU"], found["RNN"]) == (4, 0, 0, 0)
    assert max(greatest_differences(graph, module)) < TOLERANCE


def test_axes_have_names_and_nothing_tells_where_a_graph_was_made(
    native_graph: Recorded, loop_graph: Recorded
) -> None:
    for graph, _ in (native_graph, loop_graph):
        onnx.checker.check_model(graph, full_check=True)
        x, lengths = graph.graph.input
        axes = [axis.dim_param or axis.dim_value for axis in x.type.tensor_type.shape.dim]
        assert (x.name, axes) == ("x", ["batch", "time", 3])
        assert lengths.type.tensor_type.shape.dim[0].dim_param == "batch"
        states = graph.graph.output[0].type.tensor_type.shape.dim
        assert [axis.dim_param for axis in states[:2]] == ["batch", "time"]
        told = graph.SerializeToString()
        assert str(Path(seqnlp.__file__).parent.parent).encode() not in told
        assert str(Path(torch.__file__).parent).encode() not in told
        assert b"recurrence.py" not in told


@pytest.mark.slow
@pytest.mark.parametrize("cell", OURS)
def test_every_cell_equals_torch(cell: str) -> None:
    kinds: dict[str, Any] = {
        "ahead": {"bidirectional": False, "layers": 2},
        "both": {"bidirectional": True, "layers": 2},
    }
    graph, module = record({name: make_encoder(cell, **kind) for name, kind in kinds.items()})
    onnx.checker.check_model(graph, full_check=True)
    assert max(greatest_differences(graph, module)) < TOLERANCE


class _Odd(nn.Module):
    """Looks at a value, which a graph cannot."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 else x


class _Fixed(nn.Module):
    """Reads rows of three steps only."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(2, 3)


@pytest.mark.parametrize(("module", "reason"), [(_Odd(), "data-dependent"), (_Fixed(), "time")])
def test_what_cannot_be_recorded_is_one_line(module: nn.Module, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        to_onnx(module, [torch.randn(2, 3)], [{1: "time"}], ["x"], ["y"], what="the part")
    message = str(caught.value)
    assert message.startswith("the part cannot be recorded as an ONNX graph: ")
    assert "\n" not in message


def test_an_error_of_our_own_stays_what_it_is() -> None:
    module = Encoders({"small": make_encoder("lstm")})
    with pytest.raises(InputError, match=r"^x must be float \[B, T, 3\], not \[2, 3, 4\]$"):
        to_onnx(module, [torch.randn(2, 3, 4), torch.tensor([3, 2])], [{}, {}], ["x", "n"], ["y"])


@pytest.mark.parametrize("package", recording.PACKAGES)
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(MissingPackageError) as caught:
        to_onnx(nn.Identity(), [torch.zeros(1)], [{}], ["x"], ["y"])
    assert str(caught.value) == (
        f"an ONNX graph needs the package {package}; pip install 'seqnlp[onnx]'"
    )


def test_recording_leaves_modes_and_parameters_as_they_were() -> None:
    module = nn.Linear(3, 2).train()
    before = module.weight.clone()
    to_onnx(module, [torch.randn(2, 3)], [{0: "batch"}], ["x"], ["y"])
    assert module.training
    assert exporting_to() is None
    assert torch.equal(module.weight, before)
    assert module.weight.requires_grad
    assert torch.is_grad_enabled()


class _Tiny(nn.Module):
    """Divides by what a small number keeps from being zero."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x * x + 1e-12)


def test_a_small_number_that_is_added_is_not_dropped() -> None:
    graph = to_onnx(_Tiny(), [torch.randn(2, 3)], [{0: "batch"}], ["x"], ["y"])
    x = torch.tensor([[0.0, 1e-6, 1.0]])
    np.testing.assert_allclose(Runner(graph)(x=x)[0], _Tiny()(x).numpy(), rtol=1e-5)


def test_every_engine_gives_way_while_something_is_recorded() -> None:
    cell, x = LSTMCell(3, 4), torch.zeros(1, 2, 3)
    assert engines.select("native", cell, x).name == "native"
    with exporting("onnx"):
        assert engines.select("native", cell, x).name == "onnx"
        with exporting("torch"):
            assert engines.select("auto", cell, x).name == "torch"
        assert exporting_to() == "onnx"
    assert exporting_to() is None


class _Pooled(nn.Module):
    """All poolings of states that were encoded before."""

    def __init__(self) -> None:
        super().__init__()
        make = registry.poolings.get
        attentions = [
            name
            for name, package in sorted(registry.attentions.names().items())
            if package == "seqnlp"
        ]
        self.poolings = nn.ModuleList(
            [
                *(make(name)(4) for name in ("last", "mean", "max")),
                *(make("attention")(4, attention=name) for name in attentions),
            ]
        )

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        mask = torch.arange(states.shape[1]) < lengths.unsqueeze(1)
        encoded = Encoded(states=states, mask=mask, summary=states[:, 0])
        return tuple(pooling(encoded) for pooling in self.poolings)


def test_poolings_and_attentions_ignore_padding_as_ever() -> None:
    module = scatter(_Pooled())
    names = [f"pooled_{number}" for number in range(len(module.poolings))]  # type: ignore[arg-type]
    graph = to_onnx(
        module, [torch.randn(2, 3, 4), torch.tensor([3, 2])],
        [{0: "batch", 1: "time"}, {0: "batch"}], ["states", "lengths"], names,
    )  # fmt: skip
    run = Runner(graph)
    for rows, lengths in BATCHES:
        # Below zero, so that a padding that counted would be the greatest.
        states, sizes = -torch.rand(rows, max(lengths), 4) - 1, torch.tensor(lengths)
        with torch.no_grad():
            expected = module(states, sizes)
        noisy = states.clone()
        for row, length in enumerate(lengths):
            noisy[row, length:] = 3.0
        found = run(states=noisy, lengths=sizes)
        for name, one, other in zip(names, found, expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=TOLERANCE, err_msg=name)
