"""The page of remedies is what its script writes, and what it says to type can be typed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from seqnlp.cli.run_options import SHORT
from seqnlp.config import load_settings
from seqnlp.registry import tasks
from seqnlp.training.preparation import complete, make_hooks
from tests.docs.pages import ROOT

DOCS = ROOT / "docs"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(DOCS))
    import make_remedies

    return make_remedies


def test_the_page_and_its_plots_are_those_of_the_figures(
    script: ModuleType, tmp_path: Path
) -> None:
    runs = json.loads(script.FIGURES.read_text())
    assert script.page(runs) == (DOCS / "remedies.md").read_text()
    for remedy in script.REMEDIES:
        plot = DOCS / "remedies" / f"{remedy.name}.svg"
        assert plot.stat().st_size < 40_000, remedy.name
        for case in remedy.cases:
            assert len(script.found(remedy, case, runs)) == remedy.seeds, case.label
    drawn = [tmp_path / "one.svg", tmp_path / "other.svg"]
    for path in drawn:
        script.draw(script.REMEDIES[0], runs, path)
    assert drawn[0].read_bytes() == drawn[1].read_bytes()


def test_what_is_to_be_typed_is_what_was_trained(script: ModuleType, tmp_path: Path) -> None:
    keys = {f"--{name.replace('_', '-')}": key for name, key in SHORT.items()}
    from remedy_runs import flags_of

    for remedy in script.REMEDIES:
        problem = script.PROBLEMS[remedy.problem]
        if problem.task == "recall":
            continue  # a plugin's
        for case in remedy.cases:
            words = shlex.split(flags_of(case).strip("`"))
            pairs = list(zip(words[::2], words[1::2], strict=True))
            typed = tuple(
                value if flag == "--set" else f"{keys[flag]}={value}" for flag, value in pairs
            )
            assert typed == case.sets
            base = tasks.get(problem.task).defaults
            settings = load_settings(
                overrides=[f"task={problem.task}", *problem.sets, *typed], base=base
            )
            assert make_hooks(complete(settings), tmp_path)
