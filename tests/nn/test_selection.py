"""Which engine runs a cell: by name, by the variable, by the rules; and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from seqnlp.errors import InputError, UnknownNameError
from seqnlp.nn import (
    GatedCell,
    GRUCell,
    LSTMCell,
    PeepholeLSTMCell,
    RecurrentEncoder,
    dropout_sites,
    engines,
    unroll,
)
from seqnlp.nn.engines import build
from seqnlp.nn.layer import explain_engines, ragged_lengths, set_engine


class SortingCell(GatedCell):
    """Its update is not pointwise."""

    gates = 1

    def update(self, x_gates, h_gates, state):
        return (torch.tanh(x_gates[0] + h_gates[0]).sort(1).values,)


class OwnStepCell(SortingCell):
    """Its step is not that of gated cells."""

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        return state[0], state


X = torch.zeros(2, 20, 3)


@pytest.fixture(autouse=True)
def _as_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SEQNLP_ENGINE", raising=False)
    monkeypatch.setattr(engines, "_TOLD", set())
    yield
    monkeypatch.undo()
    build.forget()


def test_a_name_goes_before_the_variable_and_that_before_the_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = PeepholeLSTMCell(3, 4)
    assert engines.select("auto", cell, X).name == "fused"
    monkeypatch.setenv("SEQNLP_ENGINE", "reference")
    assert engines.select("auto", cell, X).name == "reference"
    assert engines.select("fused", cell, X).name == "fused"
    for nothing in ("", "auto"):
        monkeypatch.setenv("SEQNLP_ENGINE", nothing)
        assert engines.select("auto", cell, X).name == "fused"


def test_the_variable_rules_the_library_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    run = engines.ReferenceEngine.run
    monkeypatch.setattr(
        engines.ReferenceEngine, "run", lambda *a, **k: (seen.append(1), run(*a, **k))[1]
    )
    monkeypatch.setenv("SEQNLP_ENGINE", "reference")
    unroll(LSTMCell(3, 4), X)
    assert seen


def test_a_variable_that_names_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_ENGINE", "fusd")
    message = "^SEQNLP_ENGINE: no engine is named 'fusd'; did you mean 'fused'\\? known: auto, "
    for call in (lambda: engines.select("auto", LSTMCell(3, 4), X), lambda: engines.check("auto")):
        with pytest.raises(InputError, match=message):
            call()
    engines.check("native")
    with pytest.raises(UnknownNameError, match="^no engine is named 'nativ'"):
        engines.check("nativ")


def test_a_variable_that_does_not_suit_the_cell_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_ENGINE", "native")
    with pytest.raises(
        InputError,
        match="^SEQNLP_ENGINE: the engine 'native' cannot run PeepholeLSTMCell\\(3, 4\\): torch",
    ):
        engines.select("auto", PeepholeLSTMCell(3, 4), X)


def test_what_cannot_be_traced_is_said_once_a_class(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        for kind in (SortingCell, OwnStepCell):
            assert engines.select("auto", kind(3, 4), X).name == "reference"
    first, second = caplog.messages
    slow = "runs in the slower reference loop"
    assert first.startswith(f"SortingCell {slow}: SortingCell.update cannot be traced: sort ")
    assert second == f"OwnStepCell {slow}: OwnStepCell has a step of its own"
    with pytest.raises(InputError, match="the engine 'fused' cannot run SortingCell.*: sort "):
        engines.select("fused", SortingCell(3, 4), X)
    engines.explain("auto", SortingCell(3, 4), X)
    assert len(caplog.messages) == 2


def test_without_a_compiler_auto_takes_torch_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(2, 200, 3)
    if build.toolchain() is not None:
        assert engines.select("auto", GRUCell(3, 4), x).name == "fused"
    monkeypatch.setenv("SEQNLP_COMPILER", "none")
    build.forget()
    for cell in (LSTMCell(3, 4), GRUCell(3, 4)):
        engine, why = engines.explain("auto", cell, x)
        assert (engine.name, why) == ("native", None)
    engine, why = engines.explain("auto", PeepholeLSTMCell(3, 4), x)
    assert (engine.name, why) == ("fused", "SEQNLP_COMPILER is none")


def test_the_slow_way_is_explained() -> None:
    engine, why = engines.explain("auto", SortingCell(3, 4), X)
    assert engine.name == "reference"
    assert why is not None
    assert "sort " in why
    engine, why = engines.explain("reference", SortingCell(3, 4), X)
    assert why is None


def test_a_layer_says_what_it_would_run_on_and_moves_nothing() -> None:
    encoder = RecurrentEncoder(3, hidden_size=4, layers=2)
    for sites in dropout_sites(encoder).values():
        for site in sites:
            site.rate = 0.5
    encoder.eval()
    before = torch.random.get_rng_state()
    full, ragged = [20] * 4, ragged_lengths(4, 20)
    assert ragged == [20, 17, 14, 10]
    quick = "native" if build.toolchain() is None else "fused"
    assert explain_engines(encoder, full, training=False) == {quick: None}
    # Masks on the last output are not torch's.
    why = build.obstacle()
    assert explain_engines(encoder, full, training=True) == {"fused": why}
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not encoder.training
    set_engine(encoder, "native")
    with pytest.raises(InputError, match="the engine 'native' cannot run LSTMCell"):
        explain_engines(encoder, full, training=True)
    assert not any(module.training for module in encoder.modules())


def test_a_part_that_its_owner_put_into_evaluation_stays_there() -> None:
    encoder = RecurrentEncoder(3, cell="peephole", hidden_size=4, layers=2)
    encoder.layers[0].forward_cell.eval()
    encoder.layers[1].dropout.eval()
    before = [module.training for module in encoder.modules()]
    for training in (True, False):
        explain_engines(encoder, [5, 5], training=training)
        assert [module.training for module in encoder.modules()] == before


def test_another_engine_is_set_on_every_layer() -> None:
    encoder = RecurrentEncoder(3, hidden_size=4, layers=2)
    set_engine(encoder, "reference")
    assert explain_engines(encoder, [5, 5], training=True) == {"reference": None}
    with pytest.raises(UnknownNameError, match="no engine is named 'nativ'"):
        set_engine(encoder, "nativ")
    with pytest.raises(InputError, match="engine 'native': the model has no recurrent layer"):
        set_engine(torch.nn.Linear(1, 1), "native")
    assert explain_engines(torch.nn.Linear(1, 1), [5], training=True) == {}


def test_where_a_choice_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engines.describe("auto") == "auto"
    assert engines.describe("native") == "native"
    monkeypatch.setenv("SEQNLP_ENGINE", "reference")
    assert engines.describe("auto") == "SEQNLP_ENGINE=reference"
