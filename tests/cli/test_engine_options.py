"""`--engine`, SEQNLP_ENGINE and what the commands say of engines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seqnlp.bundle import load
from seqnlp.cli.main import run
from seqnlp.nn import engines
from seqnlp.nn.layer import explain_engines, ragged_lengths
from tests.toy import SMALL

TEXT = "The film was poor and then great ."


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that ran, in their order, each once."""
    monkeypatch.delenv("SEQNLP_ENGINE", raising=False)
    monkeypatch.setattr(engines, "_TOLD", set())
    found: list[str] = []

    def watch(engine: type[engines.Engine], method: str) -> None:
        real = getattr(engine, method)

        def spy(self, *args, **options):
            if self.name not in found:
                found.append(self.name)
            return real(self, *args, **options)

        monkeypatch.setattr(engine, method, spy)

    for engine in (engines.FusedEngine, engines.NativeEngine, engines.ReferenceEngine):
        watch(engine, "run")
        watch(engine, "run_both")
    return found


def call(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = run([str(word) for word in words], debug=False)
    out, err = capfd.readouterr()
    return status, out, err


def train(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    sets = [word for item in (*SMALL, "train.epochs=1") for word in ("--set", item)]
    return call(capfd, "train", "--task", "sentiment", *sets, *words)


@pytest.mark.parametrize("command", [("evaluate",), ("predict", TEXT)])
def test_an_engine_for_one_run(
    capfd: pytest.CaptureFixture[str],
    toy_run: Path,
    used: list[str],
    command: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = (command[0], str(toy_run), *command[1:])
    _, usual, _ = call(capfd, *command)
    assert used == ["fused"]
    for engine in ("reference", "native"):
        used.clear()
        assert call(capfd, *command, "--engine", engine) == (0, usual, "")
        assert used == [engine]
    used.clear()
    monkeypatch.setenv("SEQNLP_ENGINE", "fused")
    assert call(capfd, *command)[1] == usual
    assert used == ["fused"]
    used.clear()
    assert call(capfd, *command, "--engine", "reference")[0] == 0
    assert used == ["reference"]


def test_the_option_of_training_is_saved_with_the_model(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path, used: list[str]
) -> None:
    words = ("--corpus", toy_corpus, "--output", tmp_path / "run", "--engine", "reference")
    status, _, err = train(capfd, *words)
    assert status == 0, err
    assert used == ["reference"]
    assert err.splitlines()[1] == "engine reference"
    assert 'engine = "reference"' in (tmp_path / "run" / "config.toml").read_text()
    first, *_ = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(first)["engines"] == {"reference": None}
    used.clear()
    assert call(capfd, "predict", tmp_path / "run", TEXT)[0] == 0
    assert call(capfd, "predict", tmp_path / "run", TEXT, "--engine", "auto")[0] == 0
    assert used == ["reference", "fused"]


def test_training_says_once_what_it_runs_on(
    capfd: pytest.CaptureFixture[str],
    toy_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("--corpus", toy_corpus, "--set", "train.refit=true", "--ensemble", 2)
    status, _, err = train(capfd, *words, "--output", tmp_path / "a", "--cell", "peephole")
    assert status == 0, err
    assert [line for line in err.splitlines() if "engine" in line] == ["engine fused (auto)"]
    monkeypatch.setenv("SEQNLP_ENGINE", "reference")
    _, _, err = train(capfd, "--corpus", toy_corpus, "--output", tmp_path / "b")
    assert "\nengine reference (SEQNLP_ENGINE=reference)\n" in err


def test_training_says_why_it_is_slow(
    capfd: pytest.CaptureFixture[str],
    toy_corpus: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = ("--corpus", toy_corpus, "--cell", "projected_lstm", "--output", tmp_path / "run")
    status, _, err = train(capfd, *words)
    assert status == 0
    assert "\nengine reference (auto)\n" in err
    (message,) = caplog.messages
    slow = "ProjectedLSTMCell runs in the slower reference loop: "
    assert message.startswith(slow)
    first, *_ = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(first)["engines"] == {"reference": message.removeprefix(slow)}


def test_show_says_what_runs_the_model(
    capfd: pytest.CaptureFixture[str], toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> list[list[str]]:
        _, out, _ = call(capfd, "show", toy_run)
        rows = out.partition("\nengine ")[2].partition("vocabulary:")[0].splitlines()
        table = [[each.strip() for each in row.split("│")[1:-1]] for row in rows if "│" in row]
        return [[rows[0].strip()], *table]

    title, *rows = shown()
    assert title == ["auto, on cpu"]
    task = load(toy_run).task
    cases = {
        "training, 16 texts of 30 tokens": (True, [30] * 16),
        "training, 16 texts of 15 to 30 tokens": (True, ragged_lengths(16, 30)),
        "one text of 30 tokens": (False, [30]),
    }
    expected = [
        [case, name, why or ""]
        for case, (training, lengths) in cases.items()
        for name, why in explain_engines(task, lengths, training=training).items()
    ]
    assert rows == expected
    monkeypatch.setenv("SEQNLP_ENGINE", "reference")
    title, *rows = shown()
    assert title == ["SEQNLP_ENGINE=reference, on cpu"]
    assert {row[1] for row in rows} == {"reference"}
    monkeypatch.setenv("SEQNLP_ENGINE", "refrence")
    assert call(capfd, "show", toy_run)[0] == 2


def test_show_counts_the_dropout_of_training(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    words = ("--corpus", toy_corpus, "--output", tmp_path / "run")
    assert train(capfd, *words, "--set", "hooks.dropout.recurrent=0.2")[0] == 0
    _, out, _ = call(capfd, "show", tmp_path / "run")
    assert re.search("training, 16 texts of 30 tokens +│ fused ", out)
    assert re.search("one text of 30 tokens +│ fused ", out)


@pytest.mark.parametrize(
    ("command", "variable", "message"),
    [
        (["predict", "{run}", TEXT, "--engine", "fusd"], "",
         "no engine is named 'fusd'; did you mean 'fused'? known: auto, "),
        (["evaluate", "{run}", "--engine", "fusd"], "", "no engine is named 'fusd'; did you mean"),
        (["train", "--corpus", "{toy}", "--engine", "fusd", "--output", "{tmp}/x"], "",
         "no engine is named 'fusd'; did you mean 'fused'? known: auto, "),
        (["train", "--corpus", "{toy}", "--output", "{tmp}/x"], "atuo",
         "SEQNLP_ENGINE: no engine is named 'atuo'; did you mean 'auto'?"),
        (["predict", "{run}", TEXT], "atuo", "SEQNLP_ENGINE: no engine is named 'atuo'; did you mean"),
        (["evaluate", "{run}"], "atuo", "SEQNLP_ENGINE: no engine is named 'atuo'; did you mean"),
        (["train", "--corpus", "{toy}", "--cell", "cifg", "--engine", "native", "--output", "{tmp}/x"],
         "", "the engine 'native' cannot run CIFGCell(100, 128): torch has no such recurrence; use "
         "'reference', which runs every cell, or 'auto'"),
        (["train", "--corpus", "{toy}", "--cell", "cifg", "--output", "{tmp}/x"], "native",
         "SEQNLP_ENGINE: the engine 'native' cannot run CIFGCell(100, 128): torch has no such"),
    ],
)  # fmt: skip
def test_a_wrong_engine_is_one_clear_line(
    capfd: pytest.CaptureFixture[str],
    toy_run: Path,
    toy_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    variable: str,
    message: str,
) -> None:
    monkeypatch.setenv("SEQNLP_ENGINE", variable)
    words = [word.format(tmp=tmp_path, run=toy_run, toy=toy_corpus) for word in command]
    status, _, err = call(capfd, *words)
    assert status == 2
    assert err.strip().splitlines()[-1].startswith(f"error: {message}")
    assert not (tmp_path / "x").exists()
