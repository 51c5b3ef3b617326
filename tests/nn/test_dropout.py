"""Kinds of dropout by their statistics, and the promises of a site."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.nn import DropoutSite, dropout_sites

B, T, D = 40, 50, 30


def drop(kind: str, rate: float = 0.3, shape: tuple[int, ...] = (B, T, D)) -> torch.Tensor:
    torch.manual_seed(0)
    site = DropoutSite("here", kind=kind)
    site.rate = rate
    return site(torch.ones(shape))


def test_standard_drops_elements_and_rescales() -> None:
    y = drop("standard")
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 1 / 0.7]))
    assert (y == 0).float().mean() == pytest.approx(0.3, abs=0.01)
    # No row, step or feature is dropped as a whole: each has its own share.
    assert (y == 0).any(0).all()
    assert not (y == 0).all(0).any()
    assert not torch.equal(y[:, 0], y[:, 1])


@pytest.mark.parametrize("shape", [(B, T, D), (400, D)])
def test_locked_drops_the_same_features_at_every_step(shape: tuple[int, ...]) -> None:
    y = drop("locked", shape=shape)
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 1 / 0.7]))
    assert (y == 0).float().mean() == pytest.approx(0.3, abs=0.03)
    if len(shape) == 3:
        assert torch.equal(y, y[:, :1].expand_as(y))
        assert not torch.equal(y[0], y[1])


def test_word_drops_positions_and_keeps_the_scale() -> None:
    y = drop("word")
    assert y.unique().tolist() == [0.0, 1.0]
    assert torch.equal(y, y[:, :, :1].expand_as(y))
    assert (y == 0).float().mean() == pytest.approx(0.3, abs=0.03)
    assert not torch.equal(y[0], y[1])


@pytest.mark.parametrize("kind", ["standard", "fast", "locked", "word"])
def test_gradient_is_dropped_as_the_value_is(kind: str) -> None:
    site = DropoutSite("here", kind=kind)
    site.rate = 0.5
    x = torch.ones(3, 4, 5, requires_grad=True)
    y = site(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("kind", ["standard", "fast", "locked", "word"])
def test_evaluation_and_rate_zero_pass_the_input_on(kind: str) -> None:
    site, x = DropoutSite("here", kind=kind), torch.randn(2, 3, 4)
    assert site(x) is x
    site.rate = 0.5
    assert site(x) is not x
    assert site.eval()(x) is x


def test_rate_and_kind_are_not_part_of_the_model() -> None:
    site = DropoutSite("here")
    site.rate, site.kind = 0.4, "locked"
    assert site.state_dict() == {}
    assert repr(site) == "DropoutSite('here', rate=0.4, kind='locked')"


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_outside_its_range_is_refused_and_the_old_one_kept(rate: float) -> None:
    site = DropoutSite("here")
    site.rate = 0.2
    with pytest.raises(SettingsError) as caught:
        site.rate = rate
    assert str(caught.value) == f"dropout site 'here': the rate must be in [0, 1), not {rate!r}"
    assert site.rate == 0.2


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"^no dropout kind is named 'lokced'; did you mean"):
        DropoutSite("here").kind = "lokced"


@pytest.mark.parametrize("kind", ["weight", "candidate", "locked_candidate"])
def test_a_kind_of_recurrences_is_refused_with_those_that_act_here(kind: str) -> None:
    site = DropoutSite("layer", kind="locked")
    with pytest.raises(SettingsError) as caught:
        site.kind = kind
    assert str(caught.value) == (
        f"dropout site 'layer': the kind {kind!r} does not act here; "
        "use 'standard', 'fast', 'locked' or 'word'"
    )
    assert site.kind == "locked"


def test_a_site_takes_its_own_kind_again() -> None:
    site = DropoutSite("words", kind="word")
    site.kind = "standard"
    site.reset_kind()
    assert site.kind == "word"


def test_words_need_a_time_axis() -> None:
    site = DropoutSite("output", kind="word")
    site.rate = 0.1
    with pytest.raises(InputError) as caught:
        site(torch.ones(2, 3))
    assert str(caught.value) == (
        "dropout site 'output': the kind 'word' needs [B, T, D], but this site sees [2, 3]; "
        "use 'standard'"
    )


def test_sites_are_found_by_name_at_any_depth() -> None:
    first, second, third = DropoutSite("a"), DropoutSite("b"), DropoutSite("a")
    module = nn.Sequential(first, nn.Sequential(second, nn.Sequential(third)))
    assert dropout_sites(module) == {"a": [first, third], "b": [second]}
    assert dropout_sites(nn.Linear(1, 1)) == {}
