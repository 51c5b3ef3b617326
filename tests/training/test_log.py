"""The log: the fields of every line are those that the page lists."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from seqnlp.training.hooks.clipping import ClipHook
from seqnlp.training.hooks.reporting import LogHook
from seqnlp.training.trainer import Trainer
from tests.training.test_trainer import fit, prepare

PAGE = Path(__file__).parents[2] / "docs" / "tracking.md"


def documented() -> dict[str, set[str]]:
    """The fields of each event in the page's tables, by the heading above them."""
    found: dict[str, set[str]] = {}
    section = PAGE.read_text().partition("## log.jsonl")[2].partition("\n## ")[0]
    for part in section.split("\n### ")[1:]:
        name = part.split("`")[1]
        found[name] = set(re.findall(r"^\| `(\w+)`", part, re.M))
    return found


def test_every_line_has_the_documented_fields(toy_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    hooks = (LogHook(path=path, every=3), ClipHook(norm=5.0))
    trainer = fit(toy_corpus, "train.epochs=2", hooks=hooks)
    fields = documented()
    assert fields.keys() >= {"fit_start", "step", "epoch", "fit_end", "fit_error", "resume"}
    seen = set()
    for line in path.read_text().splitlines():
        values = json.loads(line)
        event = values.pop("event")
        figures = set(trainer.figures) if event == "epoch" else set()
        assert values.keys() - {"time"} == fields[event] | figures, event
        seen.add(event)
    assert seen == {"fit_start", "step", "epoch", "fit_end"}


def test_the_gradients_norm_is_that_of_the_clipping(toy_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    hooks = (LogHook(path=path, every=1), ClipHook(norm=5.0))
    trainer = fit(toy_corpus, "train.epochs=1", hooks=hooks)
    steps = [
        each
        for line in path.read_text().splitlines()
        if (each := json.loads(line))["event"] == "step"
    ]
    assert trainer.gradient_norm is not None
    assert steps[-1]["gradient_norm"] == pytest.approx(float(trainer.gradient_norm))
    assert [each["step"] for each in steps] == list(range(1, trainer.steps + 1))


def test_without_clipping_no_norm_is_known(toy_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    fit(toy_corpus, "train.epochs=1", hooks=(LogHook(path=path, every=1),))
    assert '"gradient_norm": null' in path.read_text()


@pytest.mark.parametrize("lost", [0, 7, 100_000])
def test_a_log_goes_on_in_whole_lines_whatever_was_lost(
    toy_corpus: Path, tmp_path: Path, lost: int
) -> None:
    trainer = prepared(toy_corpus, tmp_path)
    hook = LogHook()
    hook.on_fit_start(trainer)
    for step in range(3):
        hook.write(event="step", step=step)
    state = hook.state_dict()
    hook.write(event="step", step=3)
    hook.on_fit_error(trainer)
    path = tmp_path / "log.jsonl"
    os.truncate(path, max(0, state["size"] - lost) if lost else path.stat().st_size)
    again = LogHook()
    trainer.resumed = True
    again.on_fit_start(trainer)
    again.load_state_dict(state)
    again.write(event="step", step=3)
    again.on_fit_error(trainer)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    steps = [line["step"] for line in lines if line["event"] == "step"]
    assert steps == {0: [0, 1, 2, 3], 7: [0, 1, 3], 100_000: [3]}[lost]
    assert lines[-3]["event"] == "resume"


def prepared(corpus: Path, folder: Path) -> Trainer:
    task, _, settings = prepare(corpus)
    trainer = Trainer(task, settings, (), folder=folder)
    trainer.median_length = 5
    return trainer


def test_the_end_has_the_whole_trainings_measures(toy_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    trainer = fit(toy_corpus, "train.epochs=2", hooks=(LogHook(path=path),))
    end = json.loads(path.read_text().splitlines()[-1])
    epochs = [record["seconds_by_part"] for record in trainer.history]
    forward = sum(parts["forward"] for parts in epochs)
    assert end["seconds_by_part"]["forward"] == pytest.approx(forward)
