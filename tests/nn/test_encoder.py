"""The recurrent encoder against stacked torch modules and the formulas of its options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqnlp.nn import (
    GatedCell,
    GRUCell,
    LSTMCell,
    Padding,
    RecurrentEncoder,
    RecurrentLayer,
    State,
    dropout_sites,
    unroll,
)

LENGTHS = torch.tensor([4, 1, 6, 3])
B, T, D, H = 4, 6, 3, 5
TORCH = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def twin(encoder: RecurrentEncoder, kind: str, layers: int, bidirectional: bool) -> nn.RNNBase:
    module: nn.RNNBase = TORCH[kind](D, H, layers, batch_first=True, bidirectional=bidirectional)
    module = module.double()
    with torch.no_grad():
        for theirs, ours in pairs(encoder, module):
            theirs.copy_(ours)
        if kind != "gru":
            for name, parameter in module.named_parameters():
                if name.startswith("bias_hh"):
                    parameter.zero_()
    return module


def pairs(encoder: RecurrentEncoder, module: nn.RNNBase) -> list[tuple[Tensor, Tensor]]:
    found = []
    for k, layer in enumerate(encoder.layers):
        for suffix, cell in (("", layer.forward_cell), ("_reverse", layer.backward_cell)):
            if cell is None:
                continue
            names = {"weight_x": "weight_ih", "weight_h": "weight_hh", "bias": "bias_ih"}
            if cell.bias_h is not None:
                names["bias_h"] = "bias_hh"
            found += [
                (getattr(module, f"{other}_l{k}{suffix}"), getattr(cell, own))
                for own, other in names.items()
            ]
    return found


@pytest.mark.parametrize("lengths", [LENGTHS, torch.full((B,), T)], ids=["ragged", "full"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("kind", TORCH)
def test_values_and_gradients_equal_torch(
    kind: str, engine: str, bidirectional: bool, layers: int, lengths: Tensor
) -> None:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(
        D, cell=kind, hidden_size=H, layers=layers, bidirectional=bidirectional, engine=engine
    ).double()
    module = twin(encoder, kind, layers, bidirectional)
    x = torch.randn(B, T, D).double().requires_grad_()
    encoded = encoder(x, lengths)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    result, final = module(packed)
    states = pad_packed_sequence(result, batch_first=True, total_length=T)[0]
    last = final[0] if kind == "lstm" else final
    summary = torch.cat(list(last[-2:] if bidirectional else last[-1:]), dim=1)

    torch.testing.assert_close(encoded.states, states, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(encoded.summary, summary, rtol=1e-12, atol=1e-13)
    assert encoded.mask.tolist() == [[t < n for t in range(T)] for n in lengths.tolist()]
    assert encoded.states.shape[2] == encoder.output_size

    both = pairs(encoder, module)
    weights = torch.rand(states.shape).double()
    mine = torch.autograd.grad(
        (encoded.states * weights).sum() + encoded.summary.square().sum(),
        [x, *(ours for _, ours in both)],
    )
    others = torch.autograd.grad(
        (states * weights).sum() + summary.square().sum(), [x, *(theirs for theirs, _ in both)]
    )
    for gradient, wanted in zip(mine, others, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-11, atol=1e-13)


OPTIONS: list[dict[str, Any]] = [
    {"bidirectional": bidirectional, "residual": residual, "layer_norm": layer_norm, "layers": 2}
    for bidirectional in (False, True)
    for residual in (False, True)
    for layer_norm in (False, True)
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_a_layer_is_cells_plus_residual_then_norm(cell: str, options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    width = H * (2 if options["bidirectional"] else 1)
    for size in (D, width):
        encoder = RecurrentEncoder(size, cell=cell, hidden_size=H, **options).double()
        for parameter in encoder.parameters():
            nn.init.normal_(parameter)
        x = torch.randn(B, T, size).double()
        mask = (torch.arange(T) < LENGTHS[:, None]).unsqueeze(2)
        expected = x * mask
        for layer in encoder.layers:
            before = expected
            expected = unroll(layer.forward_cell, before, LENGTHS, engine="reference")[0]
            if layer.backward_cell is not None:
                other, _ = unroll(
                    layer.backward_cell, before, LENGTHS, reverse=True, engine="reference"
                )
                expected = torch.cat([expected, other], dim=2)
            if options["residual"] and before.shape == expected.shape:
                expected = expected + before
            if options["layer_norm"]:
                norm = layer.norm
                expected = nn.functional.layer_norm(expected, (width,), norm.weight, norm.bias)
            expected = expected * mask
        states = encoder(x * mask, LENGTHS).states
        torch.testing.assert_close(states, expected, rtol=1e-10, atol=1e-11)
        assert (states[~mask.squeeze(2)] == 0).all()


@pytest.mark.parametrize(
    "options", [*OPTIONS, {"cell": "rnn", "cell_options": {"activation": "elu"}}]
)
def test_padding_is_invisible(options: dict[str, Any]) -> None:  # fmt: skip
    torch.manual_seed(2)
    encoder = RecurrentEncoder(2 * H, hidden_size=H, **options).double()
    x = torch.randn(B, T, 2 * H).double()
    absent = ~(torch.arange(T) < LENGTHS[:, None]).unsqueeze(2)
    results = []
    for padded in (x.masked_fill(absent, 0.0), x.masked_fill(absent, 1e6)):
        padded.requires_grad_()
        encoded = encoder(padded, LENGTHS)
        wanted = [padded, *encoder.parameters()]
        total = encoded.states.square().sum() + encoded.summary.sum()
        results.append([encoded.states, encoded.summary, *torch.autograd.grad(total, wanted)])
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-12)
    assert (results[1][2][absent.expand_as(x)] == 0).all()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_row_does_not_depend_on_its_batch(bidirectional: bool) -> None:
    torch.manual_seed(3)
    encoder = RecurrentEncoder(D, hidden_size=H, layers=2, bidirectional=bidirectional).double()
    x = torch.randn(B, T, D).double()
    encoded = encoder(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = encoder(x[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(encoded.states[row, :length], alone.states[0])
        torch.testing.assert_close(encoded.summary[row], alone.summary[0])


def test_evaluation_without_gradients_gives_the_same() -> None:
    torch.manual_seed(4)
    encoder = RecurrentEncoder(D, hidden_size=H, layers=2)
    x = torch.randn(B, T, D)
    training = encoder(x, LENGTHS)
    with torch.inference_mode():
        evaluation = encoder.eval()(x, LENGTHS)
    torch.testing.assert_close(training.states, evaluation.states)
    torch.testing.assert_close(training.summary, evaluation.summary)


def test_empty_rows_batches_and_texts() -> None:
    encoder = RecurrentEncoder(D, hidden_size=H)
    encoded = encoder(torch.randn(2, 4, D), torch.tensor([0, 4]))
    assert (encoded.states[0] == 0).all()
    assert (encoded.summary[0] == 0).all()
    for shape in ((0, 4, D), (2, 0, D)):
        encoded = encoder(torch.randn(shape), torch.zeros(shape[0], dtype=torch.int64))
        assert encoded.states.shape == (*shape[:2], 2 * H)
        assert encoded.mask.shape == shape[:2]
        assert torch.equal(encoded.summary, torch.zeros(shape[0], 2 * H))


@pytest.mark.parametrize("kind", [LSTMCell, GRUCell])
def test_a_learned_start_is_kept_behind_padding(kind: type[GatedCell]) -> None:
    """The backward cell meets its first real step after the padding, in the state it began with."""

    class Started(kind):  # type: ignore[misc, valid-type]
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__(input_size, hidden_size)
            self.start = nn.Linear(1, hidden_size)

        def initial_state(self, batch_size: int) -> State:
            first = self.start.bias.expand(batch_size, -1)
            return (first,) * self.states

    torch.manual_seed(6)
    cells = [Started(D, H).double() for _ in range(2)]
    assert cells[0].native() is not None
    x = torch.randn(B, T, D).double()
    results = []
    for engine in ("native", "reference"):
        layer = RecurrentLayer(*cells, residual=False, layer_norm=False, engine=engine)
        padding = Padding.of(LENGTHS, x)
        assert padding is not None
        outputs = layer(padding.zero(x), padding)
        starts = [cell.start.bias for cell in cells]
        results.append([outputs, *torch.autograd.grad(outputs.square().sum(), starts)])
    for native, reference in zip(*results, strict=True):
        torch.testing.assert_close(native, reference, rtol=1e-12, atol=1e-13)


def test_dropout_stands_between_layers_only() -> None:
    torch.manual_seed(5)
    x, full = torch.randn(B, T, D), torch.full((B,), T)
    for layers, changes in ((1, False), (2, True)):
        encoder = RecurrentEncoder(D, hidden_size=H, layers=layers)
        before = encoder(x, full).states
        (site,) = dropout_sites(encoder)["layer"]
        site.rate = 0.5
        assert torch.equal(encoder(x, full).states, before) is not changes
        assert torch.equal(encoder.eval()(x, full).states, before)


def test_the_module_holds_no_tensor_between_calls() -> None:
    encoder = RecurrentEncoder(D, hidden_size=H)
    known = {id(p) for p in encoder.parameters()}
    encoder(torch.randn(B, T, D), LENGTHS)
    for module in encoder.modules():
        held = [v for v in vars(module).values() if isinstance(v, Tensor)]
        assert not held
        assert not list(module.buffers())
    assert {id(p) for p in encoder.parameters()} == known
