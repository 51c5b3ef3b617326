"""The page on engines says what the engines say of themselves."""

from __future__ import annotations

import re

import pytest
import torch

from seqnlp import registry
from seqnlp.nn import Cell, engines
from seqnlp.nn.engines import build, choice, compiler
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
FLAT = " ".join(PAGE.split())


def make(name: str) -> Cell:
    return registry.cells.get(name)(input_size=4, hidden_size=4)


def test_the_table_of_cells_is_what_the_engines_say() -> None:
    told = re.findall(r"^\| `(\w+)` \| (yes|no) \| (yes|no) \| (.*?) ?\|$", PAGE, re.MULTILINE)
    own = [name for name, package in registry.cells.names().items() if package == "seqnlp"]
    assert [name for name, *_ in told] == own
    x = torch.zeros(1, 2, 4)
    for name, native, fused, why in told:
        runs = [engines.find(each).supports(make(name), x) for each in ("native", "fused")]
        assert runs == [native == "yes", fused == "yes"], name
        assert bool(why) == (not any(runs)), name
        assert engines.find("reference").supports(make(name), x)


def test_every_engine_is_described() -> None:
    told = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert {name for name, package in registry.engines.names().items() if package == "seqnlp"} <= {
        *told
    }


def test_the_rules_are_those_of_the_code() -> None:
    few = f"fewer than {choice._FEW_STEPS_IN_TRAINING} steps in training and {choice._FEW_STEPS} "
    assert few in FLAT
    assert f"where less than {choice._REAL_SHARE} of the batch is real" in FLAT
    assert f"or {choice._MANY} rows or more of {choice._LONG} steps or more" in FLAT
    assert f"hidden size {choice._LARGE} or more" in FLAT


@pytest.mark.parametrize(
    ("cell", "training", "batch", "steps", "expected"),
    [
        ("peephole", True, 2, 2, "fused"),
        ("gru_reset_before", True, 32, 50, "reference"),
        ("gru", True, 32, choice._FEW_STEPS_IN_TRAINING, "fused"),
        ("gru", True, 32, choice._FEW_STEPS_IN_TRAINING - 1, "native"),
        ("gru", False, 32, choice._FEW_STEPS, "fused"),
        ("irnn", False, 32, choice._FEW_STEPS - 1, "fused"),
        ("lstm", True, 32, choice._LONG, "fused"),
        ("lstm", True, 32, choice._LONG - 1, "native"),
        ("lstm", False, 1, 30, "fused"),
    ],
)
def test_auto_follows_them(
    cell: str,
    training: bool,
    batch: int,
    steps: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SEQNLP_ENGINE", raising=False)
    if build.toolchain() is None and expected == "fused" and make(cell).native() is not None:
        expected = "native"
    with torch.set_grad_enabled(training):
        assert engines.select("auto", make(cell), torch.zeros(batch, steps, 4)).name == expected


def test_every_variable_of_the_engines_is_named() -> None:
    told = re.findall(r"^\| `(SEQNLP_\w+)` \|", PAGE, re.MULTILINE)
    assert told == [engines.VARIABLE, compiler.VARIABLE, "SEQNLP_CACHE"]
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "seqnlp" / "nn").rglob("*.py")
    )
    assert set(re.findall(r"SEQNLP_[A-Z]+", source)) <= {*told}
