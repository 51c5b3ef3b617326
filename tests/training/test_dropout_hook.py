"""The hook that sets rates and kinds of dropout, and takes them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqnlp.errors import SettingsError
from seqnlp.nn import DropoutSite, LSTMCell, RecurrentDropout, dropout_sites
from seqnlp.training.hooks import Hook
from seqnlp.training.hooks.regularization import DropoutHook
from seqnlp.training.trainer import Trainer
from tests.training.test_trainer import fit


def test_dropout_acts_in_training_only_and_leaves_no_trace(toy_corpus: Path) -> None:
    class Sites(Hook):
        def __init__(self) -> None:
            self.rates: dict[str, tuple[float, str]] = {}

        def on_step_end(self, trainer: Trainer) -> None:
            for name, sites in dropout_sites(trainer.task).items():
                self.rates[name] = (sites[0].rate, sites[0].kind)

    seen = Sites()
    dropout = DropoutHook(word=0.1, embedding=0.2, output=0.4, kind="locked")
    trainer = fit(toy_corpus, "train.epochs=1", hooks=(dropout, seen))
    assert seen.rates == {
        "word": (0.1, "word"),
        "embedding": (0.2, "locked"),
        "layer": (0.0, "locked"),
        "output": (0.4, "locked"),
        "recurrent": (0.0, "locked"),
    }
    left = [site for sites in dropout_sites(trainer.task).values() for site in sites]
    assert {site.rate for site in left} == {0.0}


class Watch(Hook):
    """What a site is while training."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: set[tuple[float, str]] = set()

    def on_step_end(self, trainer: Trainer) -> None:
        sites = dropout_sites(trainer.task)[self.name]
        self.seen |= {(site.rate, site.kind) for site in sites}


@pytest.mark.parametrize("kind", ["locked", "weight", "candidate", "locked_candidate"])
def test_dropout_inside_recurrences_is_set_and_taken_back(toy_corpus: Path, kind: str) -> None:
    weights = []
    for rate in (0.3, 0.0):
        watch = Watch("recurrent")
        dropout = DropoutHook(embedding=0.1, recurrent=rate, kinds={"recurrent": kind})
        settings = ("train.epochs=1", "model.layers=2")
        trainer = fit(toy_corpus, *settings, hooks=(dropout, watch))
        assert watch.seen == {(rate, kind)}
        left = dropout_sites(trainer.task)["recurrent"]
        assert [site.rate for site in left] == [0.0, 0.0]
        weights.append(next(trainer.task.parameters()).detach())
    assert not torch.equal(*weights)


def test_kinds_by_site_come_before_the_common_one(toy_corpus: Path) -> None:
    dropout = DropoutHook(
        word=0.1, embedding=0.1, recurrent=0.1, kind="locked", kinds={"embedding": "standard"}
    )
    watches = [Watch(name) for name in ("word", "embedding", "layer", "output", "recurrent")]
    fit(toy_corpus, "train.epochs=1", hooks=(dropout, *watches))
    assert {watch.name: watch.seen.pop() for watch in watches} == {
        "word": (0.1, "word"),
        "embedding": (0.1, "standard"),
        "layer": (0.0, "locked"),
        "output": (0.0, "locked"),
        "recurrent": (0.1, "locked"),
    }


def test_a_kind_does_not_outlast_its_training() -> None:
    class Judged:
        task = nn.ModuleList([RecurrentDropout(LSTMCell(2, 3)), DropoutSite("layer")])

    first, second = DropoutHook(kinds={"recurrent": "weight", "layer": "locked"}), DropoutHook()
    for hook, kinds in ((first, ["weight", "locked"]), (second, ["locked", "standard"])):
        hook.on_fit_start(Judged)  # type: ignore[arg-type]
        assert [site.kind for site in Judged.task] == kinds
        hook.on_fit_end(Judged)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "overrides", "message"),
    [
        (
            {"recurrent": 0.1, "kinds": {"recurrent": "candidate"}},
            ["model.cell=rnn"],
            "dropout site 'recurrent': the kind 'candidate' does not act in RNNCell; "
            "use 'locked' or 'weight'",
        ),
        (
            {"recurrent": 0.1},
            ["model.cell=min_gru"],
            "dropout site 'recurrent': no kind acts in MinGRUCell; leave the rate at 0",
        ),
        (
            {"kinds": {"embedding": "weight"}},
            [],
            "dropout site 'embedding': the kind 'weight' does not act here; "
            "use 'standard', 'fast', 'locked' or 'word'",
        ),
        (
            {"kinds": {"recurent": "weight"}},
            [],
            "hooks.dropout: no site 'recurent'; did you mean 'recurrent'? "
            "known: embedding, layer, output, recurrent, word",
        ),
    ],
)
def test_dropout_that_does_not_suit_is_refused(
    toy_corpus: Path, options: dict[str, Any], overrides: list[str], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        fit(toy_corpus, *overrides, hooks=(DropoutHook(**options),))
    assert str(caught.value) == message


def test_a_recurrent_rate_needs_a_recurrence() -> None:
    class Judged:
        task = nn.ModuleList([DropoutSite("layer")])

    DropoutHook(layer=0.1, word=0.1).on_fit_start(Judged)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"^hooks.dropout: no site 'recurrent'; known: layer$"):
        DropoutHook(recurrent=0.1).on_fit_start(Judged)  # type: ignore[arg-type]


def test_an_unknown_site_lists_the_known_ones(toy_corpus: Path) -> None:
    message = (
        "no site 'embeding'; did you mean 'embedding'. "
        "known: embedding, layer, output, recurrent, word"
    )
    with pytest.raises(SettingsError, match=message):
        fit(toy_corpus, hooks=(DropoutHook(sites={"embeding": 0.1}),))
