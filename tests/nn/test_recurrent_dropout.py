"""Dropout inside recurrences: each kind against its paper's formula, and what its masks are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, sigmoid, tanh

from seqnlp import registry
from seqnlp.errors import SettingsError, UnknownNameError
from seqnlp.nn import (
    Cell,
    GatedCell,
    Gates,
    GRUCell,
    LSTMCell,
    MGUCell,
    Noise,
    Padding,
    RecurrentDropout,
    RecurrentEncoder,
    RNNCell,
    State,
    dropout_sites,
    engines,
)
from seqnlp.nn.dropout import RECURRENT_KINDS
from seqnlp.nn.recurrent_dropout import kinds_of

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


def drawn(kind: str, cell: Cell | None = None, rate: float = RATE) -> Noise:
    torch.manual_seed(0)
    cell = LSTMCell(4, 50) if cell is None else cell
    site = RecurrentDropout(cell)
    site.kind, site.rate = kind, rate
    noise = site.draw(cell, 40, 30)
    assert noise is not None
    return noise


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("locked", (40, 50)),
        ("weight", (200, 50)),
        ("candidate", (40, 30, 50)),
        ("locked_candidate", (40, 50)),
    ],
)
def test_masks_drop_by_the_rate_and_rescale_the_rest(kind: str, shape: tuple[int, ...]) -> None:
    noise = drawn(kind)
    (mask,) = [m for m in (noise.hidden, noise.weight, *noise.masks.values()) if m is not None]
    assert mask.shape == shape
    assert not mask.requires_grad
    torch.testing.assert_close(mask.unique(), torch.tensor([0.0, 1 / (1 - RATE)]))
    # Within four standard deviations.
    assert (mask == 0).float().mean() == pytest.approx(
        RATE, abs=4 * (RATE * (1 - RATE) / mask.numel()) ** 0.5
    )
    # Every row its own, and every step where there are steps.
    assert not torch.equal(mask[0], mask[1])
    if mask.dim() == 3:
        assert not torch.equal(mask[:, 0], mask[:, 1])
    assert noise.keep == ()


def test_zoneout_keeps_by_its_rates_in_training_and_mixes_by_them_in_evaluation() -> None:
    cell = LSTMCell(4, 50)
    site = RecurrentDropout(cell, zoneout_output=0.1, zoneout_memory=0.6)
    noise = site.draw(cell, 40, 30)
    assert noise is not None
    assert (noise.hidden, noise.weight, noise.masks) == (None, None, {})
    shares = [share for share in noise.keep if share is not None]
    for share, rate in zip(shares, (0.1, 0.6), strict=True):
        assert share.shape == (40, 30, 50)
        assert share.unique().tolist() == [0.0, 1.0]
        assert share.mean().item() == pytest.approx(rate, abs=0.01)
        assert not torch.equal(share[:, 0], share[:, 1])
    assert not torch.equal((shares[0] == 0) | (shares[1] == 1), torch.ones_like(shares[0]) == 1)
    noise = site.eval().draw(cell, 40, 30)
    assert noise is not None
    for kept, rate in zip(noise.keep, (0.1, 0.6), strict=True):
        assert kept is not None
        assert torch.equal(kept, torch.full((40, 30, 50), rate))
    only = RecurrentDropout(cell, zoneout_memory=0.6).draw(cell, 2, 3)
    assert only is not None
    assert only.keep[0] is None
    assert only.keep[1] is not None


def test_evaluation_is_the_mean_over_what_training_draws_at_one_step() -> None:
    """After one step both are linear in the mask, so that the mean must agree."""
    encoder = make("lstm", bidirectional=False, zoneout_output=0.4)
    x, full = batch(1), torch.full((B,), 1)
    with torch.no_grad():
        mean = torch.stack([encoder(x, full).states for _ in range(4000)]).mean(0)
        expected = encoder.eval()(x, full).states
    torch.testing.assert_close(mean, expected, rtol=0.1, atol=0.005)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_at_rate_zero_nothing_is_drawn_and_the_engine_is_told_of_no_noise(
    bidirectional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make("lstm", layers=2, bidirectional=bidirectional)
    seen: list[object] = []
    select = engines.select
    monkeypatch.setattr(engines, "select", lambda *given: seen.append(given[3]) or select(*given))
    before = torch.get_rng_state()
    states = encoder(batch(), torch.tensor(RAGGED)).states
    set_dropout(encoder, "candidate")
    encoder.eval()
    assert torch.equal(encoder(batch(), torch.tensor(RAGGED)).states, states)
    assert torch.equal(torch.get_rng_state(), before)
    assert seen == [None] * 4


def test_each_layer_direction_and_batch_draws_its_own() -> None:
    encoder = make("gru", layers=2, bidirectional=True)
    sites = dropout_sites(encoder)["recurrent"]
    assert [type(site) for site in sites] == [RecurrentDropout] * 2
    set_dropout(encoder, "locked")
    drawn: list[Tensor] = []
    for layer in encoder.layers:
        inner = layer.dropout.draw

        def draw(*given: Any, inner: Callable[..., Noise] = inner) -> Noise:
            noise = inner(*given)
            assert noise.hidden is not None
            drawn.append(noise.hidden)
            return noise

        layer.dropout.draw = draw
    for _ in range(2):
        encoder(batch(), torch.tensor(RAGGED))
    assert len({tuple(mask.flatten().tolist()) for mask in drawn}) == 8


GATED = [
    name
    for name in sorted(registry.cells.names())
    if issubclass(registry.cells.get(name), GatedCell)
]


@pytest.mark.parametrize("name", sorted(registry.cells.names()))
def test_gated_cells_take_dropout_and_only_they(name: str) -> None:
    cell = registry.cells.get(name)(D, H)
    kinds = kinds_of(cell)
    if name not in GATED:
        assert kinds == ()
    else:
        # A network without a memory apart from its output has no candidate that could be dropped.
        simple = name in {"rnn", "irnn"}
        assert kinds == (RECURRENT_KINDS[:2] if simple else RECURRENT_KINDS)


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


class PlainCell(MGUCell):
    """Says no more of masks than its base, whose update it replaces."""

    def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:  # type: ignore[override]
        return (tanh(x_gates[1] + h_gates[1]),)


class OtherStepCell(MGUCell):
    """Its step is another than the one that noise is put into."""

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        output, state = super().forward(x, state)
        return 2 * output, state


class NoisyCell(OtherStepCell):
    def noisy_step(
        self, x: Tensor, state: State, noise: Noise, weight_h: Tensor
    ) -> tuple[Tensor, State]:
        output, state = super().noisy_step(x, state, noise, weight_h)
        return 2 * output, state


def test_what_a_subclass_changes_is_not_passed_over() -> None:
    assert kinds_of(PlainCell(D, H)) == ("locked", "weight")
    assert kinds_of(OtherStepCell(D, H)) == ()
    assert kinds_of(NoisyCell(D, H)) == RECURRENT_KINDS


@pytest.mark.parametrize(
    ("cell", "kind", "error", "message"),
    [
        (
            "rnn",
            "candidate",
            SettingsError,
            "dropout site 'recurrent': the kind 'candidate' does not act in RNNCell; "
            "use 'locked' or 'weight'",
        ),
        (
            "lstm",
            "standard",
            SettingsError,
            "dropout site 'recurrent': the kind 'standard' does not act in LSTMCell; "
            "use 'locked', 'weight', 'candidate' or 'locked_candidate'",
        ),
        (
            "lstm",
            "candidat",
            UnknownNameError,
            "no dropout kind is named 'candidat'; did you mean 'candidate'? "
            "known: candidate, locked, locked_candidate, weight",
        ),
        (
            "min_gru",
            "locked",
            SettingsError,
            "dropout site 'recurrent': no kind acts in MinGRUCell; leave the rate at 0",
        ),
    ],
)
def test_a_kind_that_does_not_suit_the_cell_is_refused(
    cell: str, kind: str, error: type[Exception], message: str
) -> None:
    (site,) = dropout_sites(make(cell))["recurrent"]
    with pytest.raises(error) as caught:
        site.kind = kind
    assert str(caught.value) == message
    assert site.kind == "locked"


def test_a_rate_is_refused_where_nothing_can_be_dropped() -> None:
    (site,) = dropout_sites(make("min_gru"))["recurrent"]
    site.rate = 0.0
    with pytest.raises(SettingsError) as caught:
        site.rate = 0.2
    assert str(caught.value) == (
        "dropout site 'recurrent': no kind acts in MinGRUCell; leave the rate at 0"
    )


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        ("lstm", {"zoneout_output": 1.0}, "model.zoneout_output must be in [0, 1), not 1.0"),
        ("lstm", {"zoneout_memory": -0.1}, "model.zoneout_memory must be in [0, 1), not -0.1"),
        (
            "gru",
            {"zoneout_memory": 0.1},
            "model.zoneout_memory: GRUCell has no memory beside its output; "
            "use model.zoneout_output",
        ),
        (
            "slstm",
            {"zoneout_memory": 0.1},
            "model.zoneout_memory: the 3 parts of the memory of SLSTMCell mean nothing one by "
            "one; leave it at 0",
        ),
        (
            "min_gru",
            {"zoneout_output": 0.1},
            "model.zoneout_output: MinGRUCell cannot zone out, as gated cells can; leave it at 0",
        ),
    ],
)
def test_zoneout_that_does_not_suit_the_cell_is_refused(
    cell: str, options: dict[str, float], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        make(cell, **options)
    assert str(caught.value) == message


def test_it_is_no_part_of_the_weights_and_shows_what_it_does() -> None:
    encoder = make("lstm", zoneout_output=0.05, zoneout_memory=0.5)
    assert encoder.state_dict().keys() == make("lstm").state_dict().keys()
    (site,) = dropout_sites(encoder)["recurrent"]
    site.rate, site.kind = 0.2, "weight"
    assert repr(site) == (
        "RecurrentDropout('recurrent', rate=0.2, kind='weight', zoneout=(0.05, 0.5))"
    )
