"""`seqnlp tune` and `seqnlp find-lr`: what they print, write and refuse."""

from __future__ import annotations

import io
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from seqnlp.cli.tune_report import result
from seqnlp.config import load_settings
from seqnlp.tuning.record import TrialRecord, Tuning
from seqnlp.tuning.report import write_report
from seqnlp.tuning.space import parse_space
from tests.cli.calling import SETS, call

SEARCH = ("--search", "model.cell=rnn,gru", "--search", "train.lr=log:1e-3..1e-1")


def tune(capfd: pytest.CaptureFixture[str], corpus: Path, *words: object) -> tuple[int, str, str]:
    return call(capfd, "tune", *SETS, "--set", "train.epochs=2", "--corpus", corpus, *words)


def test_a_search_ends_with_a_recipe_and_a_page(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "found"
    words = (*SEARCH, "--trials", 3, "--output", folder)
    status, out, err = tune(capfd, toy_corpus, *words)
    assert status == 0
    assert {path.name for path in folder.iterdir()} == {"best.toml", "report.html", "study.db"}
    assert "3 trials drawn by tpe, ended early by halving, for the accuracy on validation" in err
    assert "train.lr = log:0.001..0.1" in err
    assert re.search(
        r"trial  0  [01]\.\d{4} +\d+\.\d s  epoch \d of 2  the settings as they are", err
    )
    assert "the best of 3 trials, by validation" in out
    assert f"seqnlp train {folder}/best.toml" in out

    # The settings as they are have another cell, and stand beside the best.
    assert "as it was" in out
    page = (folder / "report.html").read_text()
    assert page.count("<svg") >= 3
    assert "http://" not in re.sub(
        r"http://(www\.w3\.org|purl\.org|creativecommons\.org)", "", page
    )
    assert "The test split was not looked at." in page

    # The same again has nothing to do; other words are another study.
    status, out, _ = tune(capfd, toy_corpus, *words, "--quiet", "--json")
    assert status == 0
    found = json.loads(out)
    assert [trial["number"] for trial in found["trials"]] == [0, 1, 2]
    assert found["default"]["figure"] is not None
    assert found["search"] == {"model.cell": "rnn,gru", "train.lr": "log:0.001..0.1"}
    status, _, err = tune(capfd, toy_corpus, *words, "--seed", 3)
    assert status == 2
    assert "was begun with seed 0, not 3; name another --study, or give what it has" in err
    assert len(err.splitlines()) == 1

    settings = load_settings(folder / "best.toml")
    assert settings.train.epochs == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--search", "train.lr"), "--search train.lr: expected KEY=VALUES"),
        (("--search", "model.cel=rnn,gru"), "no key 'model.cel'; did you mean 'cell'?"),
        (("--search", "train.lr=1e-3..1e-1", "--sampler", "grid"), "a grid has no end"),
        (("--search", "model.cell=rnn,gru", "--storage", "no/study.db"), "no folder no"),
        (("--sampler", "tpo"), "Invalid value for '--sampler'"),
    ],
)
def test_a_search_that_cannot_be_leaves_nothing(
    capfd: pytest.CaptureFixture[str],
    toy_corpus: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    told: str,
) -> None:
    folder = tmp_path / "found"
    status, out, err = tune(capfd, toy_corpus, *words, "--output", folder, "--quiet")
    assert status == 2
    assert out == ""
    assert told in err
    assert len(err.splitlines()) == 1
    assert not folder.exists()


def test_a_folder_of_other_things_is_left_alone(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    status, _, err = tune(capfd, toy_corpus, *SEARCH, "--output", tmp_path, "--quiet")
    assert status == 2
    assert err == (
        f"error: {tmp_path} is in use: it holds thesis.txt, which is of no search; name another "
        "folder\n"
    )
    status, _, err = tune(
        capfd, toy_corpus, *SEARCH, "--output", tmp_path / "thesis.txt", "--quiet"
    )
    assert (status, err) == (2, f"error: {tmp_path}/thesis.txt is a file; name a folder\n")


def test_a_search_is_not_for_torchrun(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    status, _, err = call(capfd, "tune")
    assert status == 2
    assert err == "error: a search starts its own processes: --workers N, without torchrun\n"


def test_trials_that_all_fail_are_a_failed_run(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    words = (
        "--set",
        "train.lr=1e30",
        "--set",
        "hooks.clip=false",
        "--search",
        "train.lr=1e29,1e31",
    )
    status, _, err = tune(capfd, toy_corpus, *words, "--trials", 2, "--output", tmp_path, "--quiet")
    assert status == 1
    assert "all 2 trials failed; the first one: the loss became" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_study(
    toy_corpus: Path, tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    folder = tmp_path / "found"
    command = [sys.executable, "-m", "seqnlp", "tune", *SETS, "--set", "train.epochs=400", "--corpus",
               str(toy_corpus), *SEARCH, "--set", "hooks.early_stopping=false", "--output",
               str(folder), "--workers", str(workers), "--quiet"]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert _begun(folder / "study.db")
        run.send_signal(number)
        out, err = run.communicate(timeout=120)
    assert run.returncode == 128 + number, err
    if number == signal.SIGINT:
        assert "interrupted: the same command goes on" in out
    else:
        assert err.startswith("error: terminated")
        assert err.count("\n") == 1
    with sqlite3.connect(folder / "study.db") as database:
        states = {row[0] for row in database.execute("select state from trials")}
    assert "RUNNING" not in states


def _begun(database: Path) -> bool:
    """Whether a trial has told of an epoch, within a minute."""
    for _ in range(600):
        time.sleep(0.1)
        if database.exists():
            try:
                with sqlite3.connect(database) as found:
                    if found.execute("select count(*) from trial_intermediate_values").fetchone()[
                        0
                    ]:
                        return True
            except sqlite3.OperationalError:
                continue
    return False


def test_a_page_shows_every_trial_and_escapes_what_it_says(tmp_path: Path) -> None:
    space = parse_space(["model.cell=rnn,gru", "train.lr=log:1e-3..1e-1"])
    trials = [
        TrialRecord(
            number=0, values={"model.cell": "rnn", "train.lr": 0.01}, status="complete",
            figure=0.5, epoch=1, epochs=2, as_it_is=True, course={1: 0.5, 2: 0.4},
        ),
        TrialRecord(
            number=1, values={"model.cell": "gru", "train.lr": 0.02}, status="complete",
            figure=0.75, epoch=2, epochs=2, course={1: 0.5, 2: 0.75},
        ),
        TrialRecord(number=2, values={}, status="failed", reason="1 < 2 & <b>"),
        TrialRecord(number=3, values={}, status="pruned", figure=0.1, course={1: 0.1}),
    ]  # fmt: skip
    found = Tuning(
        name="mine", settings=load_settings(), monitor="accuracy", maximize=True, space=space,
        trials=trials, importances={"model.cell": 0.25, "train.lr": 0.75},
    )  # fmt: skip
    page = write_report(found, tmp_path).read_text()
    assert "4 trials of the study mine: 2 complete, 1 pruned, 1 failed." in page
    assert "is 0.7500, of trial 1; without the search it is 0.5000" in page
    assert "1 &lt; 2 &amp; &lt;b&gt;" in page
    assert "<b>" not in page
    assert "75 %" in page
    assert page.count("<tr class=") == 4
    assert page.count("<svg") == 4
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)


def test_a_learning_rate_is_found(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "lr.svg"
    words = ("find-lr", *SETS, "--corpus", toy_corpus, "--from", "1e-5", "--steps", 60)
    status, out, err = call(capfd, *words, "--plot", picture, "--quiet")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 4
    assert set(lines[0].removeprefix("loss  ")) <= set("▁▂▃▄▅▆▇█")
    assert lines[1].startswith("lr    1e-05")
    assert re.fullmatch(
        r"least loss at \S+, steepest fall at \S+; the loss (did not )?diverged?", lines[2]
    )
    assert re.fullmatch(
        r"a third of the former: --lr \S+ \(the settings have 0.02\); cautious, a tenth: --lr \S+",
        lines[3],
    )
    ElementTree.parse(picture)
    assert list(tmp_path.iterdir()) == [picture]

    status, out, _ = call(capfd, *words, "--json", "--quiet")
    found = json.loads(out)
    assert status == 0
    assert len(found["lrs"]) == len(found["losses"]) == len(found["smoothed"])
    assert f"--lr {found['suggestion']:g} " in lines[3]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "1", "--to", "0.1"), "needs 0 < low < high, not 1 and 0.1"),
        (("--steps", "3"), "3 steps are too few"),
        (("--plot", "lr.bmp"), "--plot lr.bmp: a picture ends in .png, .svg, .pdf"),
        (("--cell", "lstn"), "no cell is named 'lstn'; did you mean 'lstm'?"),
    ],
)
def test_a_range_that_cannot_be_is_told_in_one_line(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, words: tuple[str, ...], told: str
) -> None:
    status, _, err = call(capfd, "find-lr", *SETS, "--corpus", toy_corpus, "--quiet", *words)
    assert status == 2
    assert told in err
    assert len(err.splitlines()) == 1


def test_what_a_loss_that_does_not_fall_says() -> None:
    from seqnlp.cli.find_lr import _verdict
    from seqnlp.tuning.range_test import RangeTest

    known = {"lrs": [1e-3] * 50, "losses": [1.0] * 50, "smoothed": [1.0] * 50}
    level = RangeTest(**known, minimum=None, steepest=None, limit=None, diverged=False)
    assert _verdict(level, 0.1) == [
        "the loss did not diverge, and neither fell nor rose before: no learning rate to suggest; "
        "try more --steps or a wider range"
    ]
    rising = RangeTest(**known, minimum=None, steepest=None, limit=0.03, diverged=True)
    assert _verdict(rising, 0.1) == [
        "the loss did not fall in these few steps; above 0.03 it rises",
        "a third of that: --lr 0.01 (the settings have 0.1); --steps 500 would show more",
    ]


def test_a_search_that_has_found_nothing_yet_shows_no_table(tmp_path: Path) -> None:
    shown = io.StringIO()
    trial = TrialRecord(number=0, values={}, status="interrupted", as_it_is=True)
    found = Tuning(
        name="mine", settings=load_settings(), monitor="accuracy", maximize=True,
        space=parse_space(["model.cell=rnn,gru"]), trials=[trial], importances={},
        interrupted=True,
    )  # fmt: skip
    result(Console(file=shown, width=80), found, tmp_path, tmp_path / "report.html")
    assert shown.getvalue().split("\n") == [
        "", "1 interrupted; 0 s", "interrupted: the same command goes on", ""
    ]  # fmt: skip
