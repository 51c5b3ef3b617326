"""What the end of a run says of its time and memory, from figures that are known."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

import seqnlp
from seqnlp.cli import training_report


def course(seed: int, **changed: Any) -> dict[str, Any]:
    measured = {
        "examples_per_second": 1234.4,
        "tokens_per_second": 23456.6,
        "padding": 0.0432,
        "peak_memory_mb": 512.3,
        "seconds_by_part": {
            "data": 1.0,
            "forward": 40.0,
            "backward": 56.3,
            "reduce": 0.5,
            "other": 2.2,
        },
    }
    # Together 100 seconds.
    return {"seed": seed, "epochs": [{}, {}, {}], "measured": {**measured, **changed}}


def shown(*courses: dict[str, Any]) -> list[str]:
    screen = Console(file=io.StringIO(), width=80)
    training_report.show(screen, courses)
    assert isinstance(screen.file, io.StringIO)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


def test_the_table_has_a_row_for_each_training() -> None:
    lines = shown(course(0), course(1, peak_gpu_memory_mb=2048.0))
    assert " ".join(lines[1].split()) == (
        "seed epochs seconds examples/s tokens/s padding peak MB GPU MB"
    )
    assert lines[3].split() == ["0", "3", "100.0", "1,234", "23,457", "4.3", "%", "512"]
    assert lines[4].endswith("    512    2,048")


def test_the_largest_parts_of_the_time_come_first_and_the_small_ones_together() -> None:
    assert training_report.by_part([course(0), course(1)]) == (
        "time: backward 56 %, forward 40 %, data 1 %, other 3 %"
    )
    all_told = course(0, seconds_by_part={"forward": 3.0, "backward": 1.0})
    assert training_report.by_part([all_told]) == "time: forward 75 %, backward 25 %"


def test_without_an_account_of_memory_none_is_told() -> None:
    measured = course(0)["measured"]
    del measured["peak_memory_mb"]
    assert shown({"seed": 0, "epochs": [], "measured": measured})[3].endswith("4.3 %")


def test_what_was_not_measured_is_not_shown() -> None:
    assert shown({"seed": 0, "epochs": []}) == []


def test_a_run_tells_what_it_took(toy_run: Path) -> None:
    [trained] = seqnlp.load(toy_run).metrics["training"]
    lines = shown(trained)
    assert lines[3].split()[1] == str(len(trained["epochs"]))
    assert sum(trained["measured"]["seconds_by_part"].values()) >= sum(
        epoch["train_seconds"] for epoch in trained["epochs"]
    )
