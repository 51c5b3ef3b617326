"""What all cells with a memory have in common, and the contract of cells."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqnlp import unroll
from seqnlp.errors import InputError, SettingsError
from seqnlp.nn import Cell, RecurrentEncoder, initialize
from seqnlp.registry import cells
from seqnlp.testing import check_cell

NTMS = [
    {"slots": 5, "width": 3},
    {"slots": 7, "width": 2, "read_heads": 2, "write_heads": 3, "shift": 2},
    {"slots": 6, "width": 4, "controller": "feedforward"},
    {"slots": 3, "width": 3, "shift": 0},
]
STACKS = [
    {"depth": 4, "width": 3},
    {"depth": 5, "width": 2, "stacks": 3, "tops": 2},
    {"depth": 1, "width": 2, "controller": "feedforward"},
]

DNCS = [
    {"slots": 4, "width": 3},
    {"slots": 5, "width": 2, "read_heads": 3, "controller": "feedforward"},
]


def make(name: str, options: dict[str, Any], seed: int = 0) -> Cell:
    torch.manual_seed(seed)
    cell: Cell = cells.get(name)(3, 4, **options).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(std=0.8)
    return cell


class Unrolled(nn.Module):
    """A cell from its first state on."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        return unroll(self.cell, x, engine="reference")[0]


@pytest.mark.parametrize("name", ["ntm", "stack", "dnc"])
def test_no_leaf_of_a_state_is_a_view_of_another(name: str) -> None:
    """With no gradients asked for, too, where nothing but a copy keeps leaves apart."""
    cell = make(name, {"ntm": NTMS[0], "stack": STACKS[0], "dnc": DNCS[0]}[name])
    with torch.no_grad():
        _, state = cell(torch.randn(2, 3).double(), cell.initial_state(2))
    places = [leaf.untyped_storage().data_ptr() for leaf in state]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("check", check_cell.names)
@pytest.mark.parametrize("name", ["ntm", "stack", "dnc"])
def test_the_contract_of_cells_holds(name: str, check: str) -> None:
    torch.set_num_threads(1)
    check_cell(name, only=check)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("ntm", each) for each in NTMS),
        *(("stack", each) for each in STACKS),
        *(("dnc", each) for each in DNCS),
    ],
)
def test_gradients_are_those_of_finite_differences(name: str, options: dict[str, Any]) -> None:
    cell = make(name, options)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(0.4)
    names, weights = zip(*cell.named_parameters(), strict=True)
    whole = Unrolled(cell)

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        named = {f"cell.{name}": weight for name, weight in zip(names, weights, strict=True)}
        made: Tensor = torch.func.functional_call(whole, named, (x,))
        return made

    x = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, *weights), fast_mode=True)


@pytest.mark.parametrize("name", ["ntm", "stack", "dnc"])
def test_what_a_text_begins_with_is_learned(name: str) -> None:
    cell = make(name, {})
    outputs, _ = unroll(cell, torch.randn(2, 4, 3).double())
    outputs.square().sum().backward()
    for key, parameter in cell.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize(
    ("name", "longer"), [("ntm", "slots"), ("stack", "depth"), ("dnc", "slots")]
)
def test_a_trained_cell_can_be_given_a_longer_memory(name: str, longer: str) -> None:
    short, long = make(name, {longer: 8}), make(name, {longer: 40}, seed=1)
    long.load_state_dict(short.state_dict())
    x = torch.randn(1, 3, 3).double()
    if name == "stack":  # what lies deep below was never pushed
        torch.testing.assert_close(unroll(short, x)[0], unroll(long, x)[0])
    assert long.initial_state(1)[-1].shape[-2] == 40


def test_the_weights_of_the_controller_are_initialized_gate_by_gate() -> None:
    cell: Any = make("ntm", {})
    initialize(cell, forget_bias=2.0)
    for block in cell.weight_h.chunk(4):
        torch.testing.assert_close(block @ block.t(), torch.eye(4).double())
    assert [block.unique().tolist() for block in cell.bias.chunk(4)] == [[0], [2], [0], [0]]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ntm", {"slots": 0}, "slots must be at least 1, not 0"),
        ("ntm", {"width": 0}, "width must be at least 1, not 0"),
        ("ntm", {"read_heads": 0}, "read_heads must be at least 1, not 0"),
        ("ntm", {"write_heads": -1}, "write_heads must be at least 1, not -1"),
        ("ntm", {"shift": 4, "slots": 8}, "shift must be at least 0 and below half of 8 slots, not 4"),
        ("dnc", {"slots": 0}, "slots must be at least 1, not 0"),
        ("dnc", {"width": 0}, "width must be at least 1, not 0"),
        ("dnc", {"read_heads": 0}, "read_heads must be at least 1, not 0"),
        ("stack", {"depth": 0}, "depth must be at least 1, not 0"),
        ("stack", {"width": 0}, "width must be at least 1, not 0"),
        ("stack", {"stacks": 0}, "stacks must be at least 1, not 0"),
        ("stack", {"depth": 3, "tops": 4}, "tops must be 1 to the depth 3, not 4"),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused(name: str, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        cells.get(name)(3, 4, **options)


def test_options_are_typed() -> None:
    with pytest.raises(SettingsError, match="no key 'slot'; did you mean 'slots'"):
        RecurrentEncoder(3, cell="ntm", cell_options={"slot": 3})
    with pytest.raises(SettingsError, match="controller: Input should be 'lstm' or 'feedforward'"):
        RecurrentEncoder(3, cell="ntm", cell_options={"controller": "gru"})
