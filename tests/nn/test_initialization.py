"""Initial weights by name."""

from __future__ import annotations

import pytest
import torch

from seqnlp.errors import UnknownNameError
from seqnlp.nn import Cell, GRUCell, LSTMCell, RNNCell, State, initialize

D, H = 30, 50


def draw(name: str) -> LSTMCell:
    torch.manual_seed(0)
    cell = LSTMCell(D, H)
    initialize(cell, input=name, recurrent=name, forget_bias=1.0)
    return cell


@pytest.mark.parametrize(
    ("name", "largest_input", "largest_recurrent"),
    [
        ("xavier", (6 / (D + H)) ** 0.5, (6 / (H + H)) ** 0.5),
        ("kaiming", (6 / D) ** 0.5, (6 / H) ** 0.5),
        ("uniform", H**-0.5, H**-0.5),
    ],
)
def test_uniform_kinds_fill_their_range_by_gate(
    name: str, largest_input: float, largest_recurrent: float
) -> None:
    cell = draw(name)
    for weight, largest in ((cell.weight_x, largest_input), (cell.weight_h, largest_recurrent)):
        for block in weight.chunk(4):
            assert 0.97 * largest < block.abs().max() <= largest
            assert abs(block.mean()) < 0.05 * largest
            assert block.std().item() == pytest.approx(largest / 3**0.5, rel=0.06)


def test_orthogonal_and_identity_hold_for_each_gate() -> None:
    for block in draw("orthogonal").weight_h.chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(H), atol=1e-5, rtol=0)
    for block in draw("orthogonal").weight_x.chunk(4):
        torch.testing.assert_close(block.T @ block, torch.eye(D), atol=1e-5, rtol=0)
    for block in draw("identity").weight_h.chunk(4):
        assert torch.equal(block, torch.eye(H))


def test_normal_has_the_variance_of_one_over_fan_in() -> None:
    cell = draw("normal")
    assert cell.weight_x.std().item() == pytest.approx(D**-0.5, rel=0.05)
    assert cell.weight_h.std().item() == pytest.approx(H**-0.5, rel=0.05)


def test_biases_are_zero_but_for_a_declared_forget_gate() -> None:
    lstm, gru = LSTMCell(2, 3), GRUCell(2, 3)
    for cell in (lstm, gru):
        initialize(cell, input="xavier", recurrent="orthogonal", forget_bias=1.5)
    assert lstm.bias.tolist() == [0.0] * 3 + [1.5] * 3 + [0.0] * 6
    assert gru.bias.tolist() == [0.0] * 9
    assert gru.bias_h is not None
    assert gru.bias_h.tolist() == [0.0] * 9


def test_what_the_author_registered_is_kept() -> None:
    class Fixed(Cell):
        def __init__(self) -> None:
            super().__init__(2, 2)
            self.weight = torch.nn.Parameter(torch.full((2, 2), 7.0))

        def initial_state(self, batch_size: int) -> State:
            return (torch.zeros(batch_size, 2),)

        def forward(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
            return x @ self.weight, state

    fixed, prelu = Fixed(), RNNCell(2, 3, activation="prelu")
    for cell in (fixed, prelu):
        initialize(cell, input="xavier", recurrent="orthogonal", forget_bias=1.0)
    assert (fixed.weight == 7.0).all()
    assert prelu.slope.tolist() == [0.25] * 3


def test_auto_is_what_the_cell_asks_for_and_a_name_goes_before_it() -> None:
    class Shy(LSTMCell):
        input_init = "small"
        recurrent_init = "identity"

    def drawn(cell: Cell, **names: str) -> Cell:
        torch.manual_seed(0)
        initialize(cell, **names)
        return cell

    shy = drawn(Shy(D, H))
    assert shy.weight_x.std().item() == pytest.approx(0.001, rel=0.05)
    for block in shy.weight_h.chunk(4):
        assert torch.equal(block, torch.eye(H))
    named = drawn(LSTMCell(D, H), input="xavier", recurrent="orthogonal").state_dict()
    for cell in (
        drawn(LSTMCell(D, H)),
        drawn(LSTMCell(D, H), input="auto", recurrent="auto"),
        drawn(Shy(D, H), input="xavier", recurrent="orthogonal"),
    ):
        assert all(map(torch.equal, cell.state_dict().values(), named.values()))


def test_unknown_initializers_are_named_even_for_cells_that_keep_theirs() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^no initializer is named 'he'; known: auto, identity, "
    ):
        initialize(LSTMCell(2, 3), input="he", recurrent="orthogonal", forget_bias=1.0)
    with pytest.raises(
        UnknownNameError, match=r"^no initializer is named 'orthogonl'; did you mean"
    ):
        initialize(LSTMCell(2, 3), input="xavier", recurrent="orthogonl", forget_bias=1.0)
