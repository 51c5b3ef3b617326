"""The command `seqnlp-timeseries`, as a person types it."""

from __future__ import annotations

import builtins
import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from seqnlp_timeseries import cli
from seqnlp_timeseries.backtest import backtest
from seqnlp_timeseries.corpus import parts_of

import seqnlp
from seqnlp.registry import tasks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of 160 days, and a forecaster and a detector of them."""
    folder = tmp_path_factory.mktemp("command")
    draw = np.random.default_rng(1)
    rows = ["date,north,south"]
    for day, date in enumerate(np.arange("2024-01-01", "2024-06-09", dtype="datetime64[D]")):
        wave = 10 + 3 * np.sin(2 * np.pi * day / 7) + draw.normal(0, 0.2)
        rows.append(f"{date},{wave:.3f},{100 - 5 * wave + 60 * (day == 150):.3f}")
    (folder / "sales.csv").write_text("\n".join(rows) + "\n")
    torch.set_num_threads(1)
    for task in ("forecast", "anomaly"):
        overrides = [
            f"task={task}", f"corpus.name=series:{folder / 'sales.csv'}", "model.hidden_size=8",
            "train.epochs=4", "train.lr=0.02", "train.batch_size=16",
        ]  # fmt: skip
        settings = seqnlp.load_settings(overrides=overrides, base=tasks.get(task).defaults)
        seqnlp.train(settings, folder / task)
    return folder


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command in the folder: its status, what it printed and what it complained of."""
    monkeypatch.chdir(folder)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["seqnlp-timeseries", *words])
        status: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_the_defaults_of_days(folder: Path) -> None:
    plan = seqnlp.load(folder / "forecast").task.plan
    assert (plan.horizon, plan.context, plan.seasons, plan.step) == (14, 42, (7,), "1d")


def test_a_backtest_is_of_rolling_origins(call: Any) -> None:
    status, out, _ = call("backtest", "forecast", "--origins", "3", "--stride", "7", "--json")
    assert status == 0
    found = json.loads(out)
    assert list(found["systems"]) == ["forecast", "seasonal naive", "naive", "drift"]
    assert len(found["origins"]) == 3
    assert found["systems"]["forecast"]["mase"] < found["systems"]["naive"]["mase"]
    status, out, _ = call("backtest", "forecast", "--origins", "2")
    assert [line.split()[0] for line in out.splitlines()[-2:]] == ["2024-05-12", "2024-05-26"]


def test_origins_are_where_they_should_be_and_truths_what_came(folder: Path) -> None:
    model = seqnlp.load(folder / "forecast")
    parts = parts_of(model.corpus().split("test"))
    made = backtest(model.task, parts, origins=3, stride=5)  # type: ignore[arg-type]
    assert made.rows.origins.tolist() == [136, 141, 146] * 2
    assert made.numbers == [0, 1, 2] * 2
    for truth, place in zip(made.truths, made.rows.origins, strict=True):
        own = parts[0] if truth.series == "north" else parts[1]
        np.testing.assert_array_equal(truth.values, own.series.values[place : place + 14])


def test_too_many_origins_are_refused_with_how_many_there_can_be(call: Any) -> None:
    status, _, complaint = call("backtest", "forecast", "--origins", "9")
    assert status == 2
    assert complaint == (
        "error: 9 origins, 14 steps apart, with 14 values behind the last need 126 values that the "
        "model has not learned from; there are 32, enough for 2\n"
    )


def test_a_forecast_follows_the_end_of_a_file(call: Any, folder: Path) -> None:
    status, out, _ = call("forecast", "forecast", "sales.csv", "--series", "south")
    assert status == 0
    rows = list(csv.DictReader(StringIO(out)))
    assert [row["time"] for row in rows[:2]] == ["2024-06-09", "2024-06-10"]
    assert len(rows) == 14
    assert {row["series"] for row in rows} == {"south"}
    assert all(float(r["low_95"]) <= float(r["low_80"]) <= float(r["forecast"]) for r in rows)
    assert call("forecast", "forecast", "sales.csv", "--output", "next.csv")[0] == 0
    assert (folder / "next.csv").read_text().splitlines()[0] == (
        "series,time,forecast,low_50,high_50,low_80,high_80,low_95,high_95"
    )


def test_anomalies_of_a_file_are_listed(call: Any) -> None:
    status, out, told = call("detect", "anomaly", "sales.csv", "--series", "south")
    assert status == 0
    found = {row["time"]: float(row["score"]) for row in csv.DictReader(StringIO(out))}
    assert max(found, key=found.get) == "2024-05-30"  # type: ignore[arg-type]
    assert told.endswith(f"{len(found)} of 160 values are anomalous\n")
    _, out, _ = call("detect", "anomaly", "sales.csv", "--all")
    assert len(out.splitlines()) == 321


@pytest.mark.parametrize("task", ["forecast", "anomaly"])
def test_pictures_are_drawn(call: Any, folder: Path, task: str) -> None:
    pytest.importorskip("matplotlib")
    assert call("plot", task, "--output", f"{task}.png")[0] == 0
    assert (folder / f"{task}.png").read_bytes().startswith(b"\x89PNG")
    status, _, complaint = call("plot", task, "--output", "picture.xyz")
    assert status == 2
    assert complaint.startswith("error: picture.xyz: no picture can be written as 'xyz'; known: ")


def test_what_cannot_be_drawn_without_matplotlib_is_said(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    status, _, complaint = call("plot", "forecast", "--output", "a.png")
    assert status == 2
    assert complaint == (
        "error: pictures need the package matplotlib; pip install 'seqnlp-timeseries[plot]'\n"
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("backtest", "anomaly"), "error: anomaly is a model of the task 'anomaly'; expected forecast"),
        (("detect", "forecast", "sales.csv"), "error: forecast is a model of the task 'forecast'; expected anomaly"),
        (("backtest", "nothing"), "error: nothing: no such model folder"),
        (("backtest", "forecast", "--series", "nort"), "error: no series 'nort'; did you mean 'north'? known: north, south"),
        (("forecast", "forecast", "none.csv"), "error: none.csv: No such file or directory"),
        (("forecast", "forecast", "sales.csv", "--columns", "wert=x"), "error: --columns wert=x: expected one of value, time, series, anomaly, = and a column"),
    ],
)  # fmt: skip
def test_complaints_are_one_line(call: Any, words: tuple[str, ...], complaint: str) -> None:
    status, _, told = call(*words)
    assert status == 2
    assert told.splitlines() == [complaint]


def test_another_step_than_that_of_training_is_noted(call: Any, folder: Path) -> None:
    (folder / "weeks.csv").write_text(
        "date,value\n" + "".join(f"2024-01-{1 + 7 * week:02},{week}\n" for week in range(4))
    )
    _, _, told = call("detect", "anomaly", "weeks.csv")
    assert "note: weeks.csv has steps of 1w; the model has learned steps of 1d" in told


SCRIPT = """
import sys
from seqnlp.cli.main import main
for line in [
    ["evaluate", "forecast"],
    ["predict", "forecast", "1 2 3 4 5 6 7 8 9", "--format", "jsonl"],
    ["predict", "anomaly", "--stream"],
]:
    try:
        main(line)
    except SystemExit as end:
        assert not end.code, line
    sys.stdout.flush()
"""


def test_the_commands_of_the_toolkit(folder: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder, input="1 2 3 1 2 3 1 2\n3 1 2 50\n", capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert "MASE" in told[1]
    line = next(json.loads(each) for each in told if each.startswith("{"))
    assert set(line) == {"text", "output", "forecast", "intervals"}
    assert told[-1].endswith(" 12")
