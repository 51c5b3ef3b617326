"""What the options of the recurrent encoder reach, and what is said of wrong ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.nn import (
    GatedCell,
    RecurrentEncoder,
)

LENGTHS = torch.tensor([4, 1, 6, 3])
B, T, D, H = 4, 6, 3, 5


def test_cells_are_initialized_as_told() -> None:
    encoder = RecurrentEncoder(
        D, hidden_size=H, layers=2, input_init="identity", recurrent_init="orthogonal",
        forget_bias=2.0,
    )  # fmt: skip
    for layer in encoder.layers:
        for cell in (layer.forward_cell, layer.backward_cell):
            assert isinstance(cell, GatedCell)
            for block in cell.weight_h.chunk(4):
                torch.testing.assert_close(block @ block.T, torch.eye(H))
            for block in cell.weight_x.chunk(4):
                assert torch.equal(block, torch.eye(H, block.shape[1]))
            assert cell.bias.view(4, H).tolist() == [[0.0] * H, [2.0] * H, [0.0] * H, [0.0] * H]


def test_cell_options_reach_the_cell() -> None:
    encoder = RecurrentEncoder(D, cell="rnn", cell_options={"activation": "relu"}, layers=2)
    assert {layer.forward_cell.activation for layer in encoder.layers} == {"relu"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cell": "lstn"}, UnknownNameError, "no cell is named 'lstn'; did you mean 'lstm'?"),
        (
            {"engine": "natve"},
            UnknownNameError,
            "no engine is named 'natve'; did you mean 'native'?",
        ),
        (
            {"recurrent_init": "ortogonal"},
            UnknownNameError,
            "no initializer is named 'ortogonal'; did you mean 'orthogonal'?",
        ),
        (
            {"input_init": "xaver"},
            UnknownNameError,
            "no initializer is named 'xaver'; did you mean 'xavier'?",
        ),
        (
            {"cell": "rnn", "cell_options": {"activaton": "relu"}},
            SettingsError,
            "model.cell_options: no key 'activaton'; did you mean 'activation'?",
        ),
        ({"layers": 0}, InputError, "layers must be at least 1, not 0"),
        ({"hidden_size": 0}, InputError, "hidden_size must be at least 1, not 0"),
    ],
)
def test_wrong_options_are_named(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        RecurrentEncoder(D, **options)
    assert str(caught.value).startswith(message)


def test_wrong_input_is_named() -> None:
    encoder = RecurrentEncoder(D)
    with pytest.raises(InputError, match=r"^x must be float \[B, T, 3\], not \[2, 4, 5\]$"):
        encoder(torch.zeros(2, 4, 5), torch.tensor([4, 4]))
    with pytest.raises(InputError, match=r"^row 1 has length 5, but x has 4 steps$"):
        encoder(torch.zeros(2, 4, 3), torch.tensor([4, 5]))
