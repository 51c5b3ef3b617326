"""Bridges: which leaves of a state they reach, and what they say there."""

from __future__ import annotations

import pytest
import torch

from seqnlp import registry
from seqnlp.errors import InputError, UnknownNameError
from seqnlp.nn import Bridge, Cell
from tests.nn.test_engines import OddCell

B, D, H, S = 3, 2, 4, 5


def cell_of(name: str) -> Cell:
    torch.manual_seed(0)
    cell: Cell = OddCell(D, H) if name == "odd" else registry.cells.get(name)(D, H)
    return cell.double()


REACHED = {
    "lstm": (0, 1),
    "gru": (0,),
    "projected_lstm": (0, 1),
    "slstm": (0,),
    "batch_norm_lstm": (0, 1),
    "qrnn": (0,),
    "lru": (),
    "odd": (2,),
}


@pytest.mark.parametrize("name", [*registry.cells.names(), "odd"])
@pytest.mark.parametrize("kind", ["tanh", "linear"])
def test_float_vectors_are_mapped_and_nothing_else(kind: str, name: str) -> None:
    cell = cell_of(name)
    start = cell.initial_state(B)
    bridge = Bridge(kind, S, cell).double()
    reached = REACHED.get(name, bridge.reached)
    assert bridge.reached == reached
    summary = torch.randn(B, S).double()
    found = bridge(summary, start)
    sizes = [start[index].shape[1] for index in reached]
    place = 0
    for index, (leaf, before) in enumerate(zip(found, start, strict=True)):
        assert leaf.shape == before.shape
        assert leaf.dtype == before.dtype
        if index not in reached:
            assert leaf is before
            continue
        assert bridge.map is not None
        rows = slice(place, place + leaf.shape[1])
        expected = summary @ bridge.map.weight[rows].t() + bridge.map.bias[rows]
        expected = torch.tanh(expected) if kind == "tanh" else expected
        torch.testing.assert_close(leaf, expected)
        place += leaf.shape[1]
    assert place == sum(sizes)
    assert (bridge.map is None) == (not reached)
    # The cell goes on from there.
    for _ in range(3):
        output, found = cell(torch.randn(B, D).double(), found)
    assert output.isfinite().all()


def test_every_cell_with_a_vector_is_reached() -> None:
    missed = {name for name in registry.cells.names() if not Bridge("tanh", S, cell_of(name)).map}
    assert missed == {"lru"}


@pytest.mark.parametrize("name", registry.cells.names())
def test_none_leaves_the_cells_own_state(name: str) -> None:
    cell = cell_of(name)
    start = cell.initial_state(B)
    bridge = Bridge("none", S, cell)
    assert not list(bridge.parameters())
    assert all(
        one is other for one, other in zip(bridge(torch.ones(B, S), start), start, strict=True)
    )


def test_copies_where_sizes_agree() -> None:
    summary = torch.randn(B, H).double()
    for name, copied in (("lstm", (0, 1)), ("projected_lstm", (0,)), ("odd", (2,))):
        cell = cell_of(name)
        start = cell.initial_state(B)
        bridge = Bridge("copy", H, cell)
        assert not list(bridge.parameters())
        for index, leaf in enumerate(bridge(summary, start)):
            assert leaf is (summary if index in copied else start[index])


@pytest.mark.parametrize(
    ("name", "has", "other"),
    [
        ("projected_lstm", "4 and 8", ", or head.decoder_hidden_size = 5"),
        ("lru", "none that it could reach", ""),
    ],
)
def test_nothing_to_copy_to(name: str, has: str, other: str) -> None:
    cell = cell_of(name)
    with pytest.raises(InputError) as caught:
        Bridge("copy", S, cell)
    assert str(caught.value) == (
        f"the bridge 'copy' needs a state of 5 features, as the summary has, but that of "
        f"{type(cell).__name__} has {has}; use 'tanh', which maps one to the other{other}"
    )


def test_unknown_bridges() -> None:
    with pytest.raises(UnknownNameError) as caught:
        Bridge("lineer", S, cell_of("gru"))
    assert str(caught.value) == (
        "no bridge is named 'lineer'; did you mean 'linear'? known: copy, linear, none, tanh"
    )


def test_it_says_its_kind() -> None:
    assert repr(Bridge("none", S, cell_of("gru"))) == "Bridge('none')"
