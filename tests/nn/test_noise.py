"""Dropout inside recurrences: each kind against its paper's formula, by every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, sigmoid, tanh

from seqnlp import registry
from seqnlp.nn import (
    GatedCell,
    GRUCell,
    LSTMCell,
    Noise,
    Padding,
    RecurrentDropout,
    RecurrentEncoder,
    RNNCell,
    dropout_sites,
    engines,
)
from seqnlp.nn.dropout import RECURRENT_KINDS

B, T, D, H = 3, 5, 4, 6
RAGGED = [5, 0, 3]
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
RATE = 0.3


def make(cell: str, **options: Any) -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(D, cell=cell, hidden_size=H, **options).double()


def set_dropout(encoder: RecurrentEncoder, kind: str, rate: float = RATE) -> None:
    for site in dropout_sites(encoder)["recurrent"]:
        site.kind, site.rate = kind, rate


def batch(time: int = T) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(B, time, D, generator=generator, dtype=torch.float64)


def linear(cell: GatedCell, x: Tensor, h: Tensor, weight_h: Tensor) -> list[Tensor]:
    """Pre-activations of each gate, where both products are added."""
    assert cell.bias_h is None
    return list((x @ cell.weight_x.T + cell.bias + h @ weight_h.T).split(H, dim=1))


def lstm_step(
    cell: GatedCell,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    *,
    hidden: Tensor | float = 1.0,
    weight: Tensor | float = 1.0,
    candidate: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor]:
    """i, f, g, o of h * hidden and U * weight; c' = f c + i (candidate * g)."""
    i, f, g, o = linear(cell, x, h * hidden, cell.weight_h * weight)
    c = sigmoid(f) * c + sigmoid(i) * (candidate * tanh(g))
    return sigmoid(o) * tanh(c), c


def gru_step(
    cell: GatedCell,
    x: Tensor,
    h: Tensor,
    *,
    hidden: Tensor | float = 1.0,
    weight: Tensor | float = 1.0,
    candidate: Tensor | float = 1.0,
) -> tuple[Tensor]:
    """h' = (1 - z) (candidate * n) + z h: what is kept of h is not touched."""
    assert cell.bias_h is not None
    x_r, x_z, x_n = (x @ cell.weight_x.T + cell.bias).split(H, dim=1)
    h_r, h_z, h_n = ((h * hidden) @ (cell.weight_h * weight).T + cell.bias_h).split(H, dim=1)
    z = sigmoid(x_z + h_z)
    n = tanh(x_n + sigmoid(x_r + h_r) * h_n)
    return ((1 - z) * (candidate * n) + z * h,)


def rnn_step(
    cell: GatedCell,
    x: Tensor,
    h: Tensor,
    *,
    hidden: Tensor | float = 1.0,
    weight: Tensor | float = 1.0,
) -> tuple[Tensor]:
    return (tanh(linear(cell, x, h * hidden, cell.weight_h * weight)[0]),)


STEPS: dict[str, tuple[Callable[..., tuple[Tensor, ...]], int]] = {
    "lstm": (lstm_step, 2),
    "gru": (gru_step, 1),
    "rnn": (rnn_step, 1),
}


def formula(
    cell_name: str, cell: GatedCell, x: Tensor, lengths: Sequence[int], noise: Noise, reverse: bool
) -> Tensor:
    """The outputs of each row alone, from the step above and the zoneout of Krueger et al."""
    step, leaves = STEPS[cell_name]
    rows = []
    for row, length in enumerate(lengths):
        state = [torch.zeros(1, H, dtype=torch.float64)] * leaves
        outputs: list[Tensor] = [torch.zeros(1, H, dtype=torch.float64)] * T
        order = range(length)
        for t in reversed(order) if reverse else order:
            given: dict[str, Tensor] = {}
            if noise.hidden is not None:
                given["hidden"] = noise.hidden[row]
            if noise.weight is not None:
                given["weight"] = noise.weight
            for mask in noise.masks.values():
                given["candidate"] = mask[row, t] if mask.dim() == 3 else mask[row]
            new = step(cell, x[row : row + 1, t], *state, **given)
            for index, share in enumerate(noise.keep):
                if share is not None:
                    kept = share[row, t]
                    mixed = kept * state[index] + (1 - kept) * new[index]
                    new = (*new[:index], mixed, *new[index + 1 :])
            state = list(new)
            outputs[t] = state[0]
        rows.append(torch.cat(outputs))
    return torch.stack(rows)


def gradients(states: Tensor, wanted: Sequence[Tensor]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(9)
    weights = torch.rand(states.shape, generator=generator, dtype=torch.float64)
    return torch.autograd.grad((states * weights).sum(), list(wanted))


def zoned(cell: str) -> dict[str, float]:
    rates = {"zoneout_output": 0.2}
    return rates | ({"zoneout_memory": 0.5} if cell == "lstm" else {})


CASES = [
    (cell, kind, zoneout)
    for cell in STEPS
    for kind in (None, *RECURRENT_KINDS)
    for zoneout in (False, True)
    if (kind or zoneout) and not (cell == "rnn" and kind and "candidate" in kind)
]


@pytest.mark.parametrize(("cell", "kind", "zoneout"), CASES)
def test_both_directions_compute_the_formula_with_the_masks_that_were_drawn(
    cell: str, kind: str | None, zoneout: bool
) -> None:
    encoder = make(cell, **(zoned(cell) if zoneout else {}))
    if kind:
        set_dropout(encoder, kind)
    x = batch().requires_grad_()
    layer = encoder.layers[0]
    wanted = [x, *encoder.parameters()]
    for training in (True, False):
        encoder.train(training)
        torch.manual_seed(1)
        states = encoder(x, torch.tensor(RAGGED)).states
        torch.manual_seed(1)
        halves = []
        for own, reverse in ((layer.forward_cell, False), (layer.backward_cell, True)):
            noise = layer.dropout.draw(own, B, T) or Noise()
            halves.append(formula(cell, own, x, RAGGED, noise, reverse))
        expected = torch.cat(halves, dim=2)
        torch.testing.assert_close(states, expected, **EXACT)
        for one, other in zip(gradients(states, wanted), gradients(expected, wanted), strict=True):
            torch.testing.assert_close(one, other, **EXACT)


GATED = [
    name
    for name in sorted(registry.cells.names())
    if issubclass(registry.cells.get(name), GatedCell)
]


@pytest.mark.parametrize("name", GATED)
def test_engines_agree_on_every_kind_and_padding_is_unseen(name: str) -> None:
    cell, other = (registry.cells.get(name)(D, H).double() for _ in range(2))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in (*cell.parameters(), *other.parameters()):
            noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.3 * noise)
    states = cell.states
    memory = 0.5 if states == 2 else 0.0
    site = RecurrentDropout(cell, zoneout_output=0.2, zoneout_memory=memory)
    lengths = torch.tensor(RAGGED)
    x = batch()
    padding = Padding.of(lengths, x)
    assert padding is not None
    x = padding.zero(x).requires_grad_()
    wanted = [x, *cell.parameters(), *other.parameters()]
    start = tuple(torch.rand(B, H, dtype=torch.float64) + 0.5 for _ in range(states))
    for kind in site.kinds:
        site.kind, site.rate = kind, 0.4
        noises = site.draw(cell, B, T), site.draw(other, B, T)
        # What is drawn for padding changes nothing.
        spoiled = [
            n.map(lambda m: m.masked_fill(~padding.mask.unsqueeze(2), 7.0))
            for n in noises
            if n is not None
        ]
        results = []
        for engine in sorted(registry.engines.names()):
            found = engines.find(engine)
            if not found.supports(cell, x, noises[0]):
                continue
            for given in (noises, (spoiled[0], spoiled[1])):
                both = found.run_both(cell, other, x, padding, given)
                ran, final = found.run(
                    cell, x, padding, start, reverse=True, want_state=True, noise=given[0]
                )
                assert final is not None
                total = torch.cat([both, ran], dim=2)
                results.append([total, *final, *gradients(total, wanted)])
        assert len(results) >= 2
        for result in results[1:]:
            for one, two in zip(result, results[0], strict=True):
                torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("cell", [LSTMCell, GRUCell, RNNCell])
@pytest.mark.parametrize("lengths", [[T] * B, RAGGED])
def test_native_takes_weight_drop(cell: type[GatedCell], lengths: list[int]) -> None:
    one, other = cell(D, H).double(), cell(D, H).double()
    site = RecurrentDropout(one)
    x = batch()
    padding = Padding.of(torch.tensor(lengths), x)
    x = x if padding is None else padding.zero(x)
    native, reference = engines.find("native"), engines.find("reference")
    for kind in site.kinds:
        site.kind, site.rate = kind, 0.4
        noises = site.draw(one, B, T), site.draw(other, B, T)
        assert native.supports(one, x, noises[0]) is (kind == "weight")
        if kind == "weight":
            assert engines.select("auto", one, x, noises[0]).name != "reference"
            torch.testing.assert_close(
                native.run_both(one, other, x, padding, noises),
                reference.run_both(one, other, x, padding, noises),
                **EXACT,
            )


@pytest.mark.parametrize("name", GATED)
def test_a_stream_in_evaluation_zones_out_as_the_whole_text(name: str) -> None:
    encoder = make(
        name, layers=2, bidirectional=False, zoneout_output=0.3,
        zoneout_memory=0.2 if registry.cells.get(name)(D, H).states == 2 else 0.0,
    ).eval()  # fmt: skip
    x = batch()
    whole = encoder(x, torch.full((B,), T)).states
    plain = make(name, layers=2, bidirectional=False).eval()(x, torch.full((B,), T)).states
    assert not torch.allclose(whole, plain)
    state = encoder.initial_state(B)
    steps = []
    for x_t in x.unbind(1):
        output, state = encoder.step(x_t, state)
        steps.append(output)
    torch.testing.assert_close(torch.stack(steps, 1), whole, **EXACT)
    first, state = encoder.advance(x[:, :2], None, encoder.initial_state(B))
    second, _ = encoder.advance(x[:, 2:], None, state)
    torch.testing.assert_close(torch.cat([first.states, second.states], 1), whole, **EXACT)


@pytest.mark.parametrize("kind", RECURRENT_KINDS)
def test_a_stream_in_training_draws_at_each_step(kind: str) -> None:
    encoder = make("lstm", bidirectional=False)
    set_dropout(encoder, kind)
    x, start = batch(1)[:, 0], encoder.initial_state(B)
    start = encoder.eval().step(x, start)[1]
    before = encoder.step(x, start)[0]
    encoder.train()
    torch.manual_seed(1)
    outputs = [encoder.step(x, start)[0] for _ in range(2)]
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], before)
    torch.manual_seed(1)
    chunk, _ = encoder.advance(x.unsqueeze(1), torch.ones(B, dtype=torch.int64), start)
    torch.testing.assert_close(chunk.states[:, 0], outputs[0], **EXACT)
