"""The site of dropout inside recurrences: what it draws, when, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, tanh

from seqnlp import registry
from seqnlp.errors import SettingsError, UnknownNameError
from seqnlp.nn import (
    Gates,
    LSTMCell,
    MGUCell,
    Noise,
    RecurrentDropout,
    State,
    dropout_sites,
    engines,
)
from seqnlp.nn.dropout import RECURRENT_KINDS
from seqnlp.nn.recurrent_dropout import kinds_of
from tests.nn.test_noise import GATED, RAGGED, RATE, B, D, H, batch, make, set_dropout


def drawn(kind: str) -> Noise:
    torch.manual_seed(0)
    cell = LSTMCell(4, 50)
    site = RecurrentDropout(cell)
    site.kind, site.rate = kind, RATE
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
    # Each leaf is drawn by itself: some units keep the output and renew the memory.
    assert bool(((shares[0] == 1) & (shares[1] == 0)).any())
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

    def spy(*given, **options):
        seen.append(given[3])
        return select(*given, **options)

    monkeypatch.setattr(engines, "select", spy)
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
