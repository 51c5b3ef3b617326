"""Single steps against torch's own cells, and what a cell may claim to be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seqnlp.errors import UnknownNameError
from seqnlp.nn import (
    ACTIVATIONS,
    GatedCell,
    Gates,
    GRUCell,
    LSTMCell,
    NativeForm,
    RNNCell,
    State,
    find_activation,
)

B, D, H = 4, 3, 5

TWINS = {
    "lstm": (LSTMCell, nn.LSTMCell, {}),
    "gru": (GRUCell, nn.GRUCell, {}),
    "rnn_tanh": (RNNCell, nn.RNNCell, {"nonlinearity": "tanh"}),
    "rnn_relu": (RNNCell, nn.RNNCell, {"nonlinearity": "relu"}),
}


class PeepholeLSTMCell(GatedCell):
    """An LSTM whose gates see the cell: three parameters of the author's own."""

    gates = 4
    states = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.peep_i = nn.Parameter(torch.randn(hidden_size))
        self.peep_f = nn.Parameter(torch.randn(hidden_size))

    def update(
        self, x_gates: Gates, h_gates: Gates, state: State, *, peep_i: Tensor, peep_f: Tensor
    ) -> State:
        i, f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        old = state[1]
        c = torch.sigmoid(f + peep_f * old) * old + torch.sigmoid(i + peep_i * old) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


@pytest.mark.parametrize("kind", TWINS)
def test_step_and_gradients_equal_torchs_cell(kind: str) -> None:
    ours_class, theirs_class, options = TWINS[kind]
    torch.manual_seed(0)
    activation = {"activation": options["nonlinearity"]} if options else {}
    ours = ours_class(D, H, **activation).double()
    theirs = theirs_class(D, H, **options).double()
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.weight_x)
        theirs.weight_hh.copy_(ours.weight_h)
        theirs.bias_ih.copy_(ours.bias)
        theirs.bias_hh.copy_(torch.zeros(()) if ours.bias_h is None else ours.bias_h)
    x = torch.randn(B, D, dtype=torch.float64)
    state = tuple(torch.randn(B, H, dtype=torch.float64) for _ in range(ours.states))

    output, new = ours(x, state)
    expected = theirs(x, state if ours.states > 1 else state[0])
    expected = expected if ours.states > 1 else (expected,)

    assert output is new[0]
    for leaf, wanted in zip(new, expected, strict=True):
        torch.testing.assert_close(leaf, wanted, rtol=1e-12, atol=1e-14)
    sum((leaf * (k + 1)).sum() for k, leaf in enumerate(new)).backward()
    sum((leaf * (k + 1)).sum() for k, leaf in enumerate(expected)).backward()
    pairs = [("weight_x", "weight_ih"), ("weight_h", "weight_hh"), ("bias", "bias_ih")]
    pairs += [("bias_h", "bias_hh")] if ours.bias_h is not None else []
    for mine, other in pairs:
        torch.testing.assert_close(
            getattr(ours, mine).grad, getattr(theirs, other).grad, rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_rnn_applies_the_activation_to_the_sum_of_its_products(name: str) -> None:
    torch.manual_seed(1)
    cell = RNNCell(D, H, activation=name).double()
    x, h = torch.randn(B, D).double(), torch.randn(B, H).double()
    z = x @ cell.weight_x.T + cell.bias + h @ cell.weight_h.T
    oracles = {
        "tanh": nn.Tanh(), "relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "elu": nn.ELU(),
        "leaky_relu": nn.LeakyReLU(), "prelu": nn.PReLU(H).double(), "selu": nn.SELU(),
        "gelu": nn.GELU(), "silu": nn.SiLU(), "softplus": nn.Softplus(),
        "softsign": nn.Softsign(), "hardtanh": nn.Hardtanh(), "identity": nn.Identity(),
    }  # fmt: skip
    torch.testing.assert_close(cell(x, (h,))[0], oracles[name](z), rtol=1e-12, atol=1e-14)


def test_prelu_learns_one_slope_a_unit() -> None:
    torch.manual_seed(2)
    cell, oracle = RNNCell(D, H, activation="prelu"), nn.PReLU(H)
    x, (h,) = torch.randn(B, D), cell.initial_state(B)
    cell(x, (h,))[0].sum().backward()
    oracle((x @ cell.weight_x.T + cell.bias).detach()).sum().backward()
    assert oracle.weight.grad is not None
    assert oracle.weight.grad.abs().min() > 0
    torch.testing.assert_close(cell.slope.grad, oracle.weight.grad)
    assert RNNCell(D, H).author_parameters() == {}
    assert list(cell.author_parameters()) == ["slope"]


def test_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^no activation is named 'leakyrelu'; did you mean 'leaky_relu'"
    ):
        RNNCell(D, H, activation="leakyrelu")
    assert find_activation("tanh").function is torch.tanh


def test_initial_state_follows_the_parameters() -> None:
    state = LSTMCell(D, H).double().initial_state(7)
    assert [(tuple(leaf.shape), leaf.dtype) for leaf in state] == [((7, H), torch.float64)] * 2
    assert all((leaf == 0).all() for leaf in state)
    assert LSTMCell(D, H).to("meta").initial_state(2)[1].is_meta


def test_construction_starts_where_torchs_modules_do() -> None:
    torch.manual_seed(3)
    cell = GRUCell(40, 25)
    for parameter in cell.parameters():
        assert parameter.abs().max() <= 0.2
        assert parameter.abs().max() > 0.18


def test_author_parameters_reach_update() -> None:
    torch.manual_seed(4)
    cell, plain = PeepholeLSTMCell(D, H).double(), LSTMCell(D, H).double()
    plain.load_state_dict(cell.state_dict(), strict=False)
    x = torch.randn(B, D).double()
    state = (torch.randn(B, H).double(), torch.randn(B, H).double())
    assert not torch.allclose(cell(x, state)[0], plain(x, state)[0])
    with torch.no_grad():
        cell.peep_i.zero_()
        cell.peep_f.zero_()
    torch.testing.assert_close(cell(x, state)[0], plain(x, state)[0], rtol=0, atol=0)
    cell(x, state)[0].sum().backward()
    assert cell.peep_i.grad is not None
    assert cell.peep_i.grad.abs().min() > 0


def test_native_claims_hold_for_the_function_and_are_not_inherited_by_another() -> None:
    class SameLSTM(LSTMCell):
        """Changes nothing that a step computes."""

    class OtherUpdate(LSTMCell):
        def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
            h, c = super().update(x_gates, h_gates, state)
            return 2 * h, c

    class OtherForward(GRUCell):
        def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
            output, new = super().forward(x, state)
            return -output, new

    class OtherRNN(RNNCell):
        def update(
            self, x_gates: Gates, h_gates: Gates, state: State, **parameters: Tensor
        ) -> State:
            return (torch.sin(x_gates[0] + h_gates[0]),)

    assert LSTMCell(D, H).native() is NativeForm.LSTM
    assert SameLSTM(D, H).native() is NativeForm.LSTM
    assert GRUCell(D, H).native() is NativeForm.GRU
    assert RNNCell(D, H).native() is NativeForm.RNN_TANH
    assert RNNCell(D, H, activation="relu").native() is NativeForm.RNN_RELU
    assert RNNCell(D, H, activation="elu").native() is None
    assert OtherUpdate(D, H).native() is None
    assert OtherForward(D, H).native() is None
    assert OtherRNN(D, H).native() is None
    assert PeepholeLSTMCell(D, H).native() is None


def test_cells_print_their_sizes() -> None:
    assert repr(LSTMCell(3, 5)) == "LSTMCell(3, 5)"
    assert repr(RNNCell(3, 5)) == "RNNCell(3, 5, activation='tanh')"
