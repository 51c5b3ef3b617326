"""Mistakes on the command line: one clear line each."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calling import call


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["trian"], 2, "no command is named 'trian'; did you mean 'train'"),
        (["train", "--cel", "gru"], 2, "No such option.*--cel"),
        (["train", "--epochs", "0"], 2, "0 is not in the range x>=1"),
        (["train", "--task", "sentimen"], 2, "no task is named 'sentimen'; did you mean 'sentiment'"),
        (["train", "--cell", "gruu", "--output", "{tmp}/x"], 2, "did you mean 'gru'"),
        (["train", "nope.toml"], 2, "nope.toml: no such recipe; known: .*sst2"),
        (["train", "--set", "model.cel=1"], 2, "no key 'model.cel'; did you mean 'cell'"),
        (["train", "--corpus", "nope", "--output", "{tmp}/x"], 2, "no corpus is named 'nope'"),
        (["train", "--columns", "text"], 2, "'text' is not FIELD=COLUMN"),
        (["train", "--device", "cuda", "--output", "{tmp}/x"], 2, "torch finds no GPU; use cpu"),
        (["train", "--device", "tpux", "--output", "{tmp}/x"], 2, "no device 'tpux'"),
        (["train", "--output", "/proc/x"], 2, "cannot write /proc/x"),
        (["train", "--output", "{run}"], 2, "is in use: it holds a model; --force replaces it"),
        (["train", "--output", "{run}/bundle.json"], 2, "is a file; name a folder"),
        (["evaluate", "{tmp}"], 2, "not a saved model: it has no bundle.json"),
        (["evaluate", "{run}", "--split", "tset"], 2, "no tset split; did you mean 'test'"),
        (["predict", "{tmp}/none", "x"], 2, "none: no such model folder"),
        (["predict", "{run}", "{tmp}/latin"], 2, "latin:2: not valid UTF-8"),
        (["predict", "{run}", "{tmp}/mistyped.txt"], 2, "mistyped.txt: no such file"),
        (["predict", "{run}", "{tmp}"], 2, "is a folder; give texts or files"),
        (["predict", "{run}", "x", "--output", "{tmp}"], 2, "cannot write .*Is a directory"),
        (["train", "--device", "meta", "--output", "{tmp}/x"], 2, "'meta' is not supported; expected auto"),
        (["train", "--output", "{tmp}", "--force"], 2, "holds files that are no model; name another"),
        (["train", "--threads", "100000"], 2, "threads: .*less than or equal to 512"),
        (["train", "--seed", "99999999999999"], 2, "seed: .*less than 4294967296"),
        (["train", "--set", "hooks.foo=1", "--output", "{tmp}/x"], 2, "no hook is named 'foo'"),
        (["train", "--set", "train=3"], 2, "settings: train: Input should be a valid table, not 3"),
        (["train", "--columns", "text=a", "text=b"], 2, "the field 'text' is named twice"),
        (["train", "--corpus", "{toy}", "--set", "text.min_count=999", "--output", "{tmp}/x"], 2,
         "no token of train is left for the vocabulary"),
        (["predict", "{run}", "x", "--output", "{tmp}/none/o"], 2, "cannot write .*none/o"),
        (["predict", "{run}", "x", "--format", "xml"], 2, "'xml' is not one of"),
        (["list", "cell"], 2, "no kind is named 'cell'; did you mean 'cells'"),
        (["show", "{tmp}"], 2, "not a saved model"),
        (["corpus", "show", "{tmp}/none/x"], 2, "none/x"),
        (["corpus", "show", "{run}", "--task", "x"], 2, "no task is named 'x'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(
    capfd: pytest.CaptureFixture[str],
    toy_run: Path,
    toy_corpus: Path,
    tmp_path: Path,
    words: list[str],
    status: int,
    message: str,
) -> None:
    (tmp_path / "latin").write_bytes("well\ntrès bien\n".encode("latin-1"))
    before = sorted(path.name for path in toy_run.iterdir())
    words = [word.format(tmp=tmp_path, run=toy_run, toy=toy_corpus) for word in words]
    found, _, err = call(capfd, *words)
    assert found == status, err
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert re.search(message, last), last
    assert "Traceback" not in err
    assert sorted(path.name for path in toy_run.iterdir()) == before


def test_debug_shows_the_traceback(toy_run: Path) -> None:
    command = [sys.executable, "-m", "seqnlp", "evaluate", str(toy_run), "--split", "x", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
