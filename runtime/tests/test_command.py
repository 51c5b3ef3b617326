"""The runner's command is a filter: a line of JSON for each text, a line for each mistake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from seqnlp_runtime.command import run

MODELS = Path(__file__).parent / "models"
FOLDER = str(MODELS / "labels")


def test_texts_are_answered_in_lines_of_json(capsysbinary: Any) -> None:
    found = json.loads((MODELS / "labels.json").read_text(encoding="utf-8"))
    texts, wanted = found["texts"], found["probabilities"]
    assert run([FOLDER, *texts, "--batch-size", "2"]) == 0
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == texts
    for line, each in zip(lines, wanted, strict=True):
        assert line["probabilities"] == pytest.approx(each, abs=1e-5)
        assert line["label"] == max(each, key=each.__getitem__)


def pipe(data: bytes, *more: str) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "seqnlp_runtime.command", FOLDER, *more]
    return subprocess.run(words, input=data, capture_output=True)


def test_standard_input_is_read_by_lines() -> None:
    done = pipe("\ufeffa fine film\r\ndull – poor\n".encode())
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["text"], line["label"]) for line in lines] == [
        ("a fine film", "good"),
        ("dull – poor", "bad"),
    ]


def test_bad_input_is_one_line() -> None:
    done = pipe(b"a fine film\n\xff\n", "--batch-size", "8")
    assert done.returncode == 2
    assert done.stderr == b"error: standard input:2: not valid UTF-8\n"
    assert len(done.stdout.splitlines()) == 1


def test_it_is_a_filter() -> None:
    words = [sys.executable, "-m", "seqnlp_runtime.command", FOLDER]
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words, **ends) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"a fine film\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["label"] == "good"
        process.stdout.close()
        process.stdin.write(b"a dull film\n")
        process.stdin.close()
        assert process.wait() == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("words", "message"),
    [(["nowhere", "x"], "error: nowhere: no such folder\n"),
     ([FOLDER, "x", "--batch-size", "0"], "error: --batch-size 0: expected 1 or more\n"),
     ([FOLDER, "x", "--threads", "0"], "error: threads = 0: expected 1 or more\n")],
)  # fmt: skip
def test_mistakes_are_one_line(words: list[str], message: str, capsys: Any) -> None:
    assert run(words) == 2
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["labels", "--nope"], "unrecognized arguments: --nope"),
        ([], "the following arguments are required: folder"),
        (["labels", "--threads", "two"], "argument --threads: invalid int value: 'two'"),
    ],
)
def test_what_was_mistyped_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"error: .*({message}).*; see seqnlp-run --help\n", err)
