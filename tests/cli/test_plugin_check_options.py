"""`seqnlp plugin check --set` for parts whose checks have options of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import call


def test_a_task_takes_its_own_and_those_of_settings(capfd: pytest.CaptureFixture[str]) -> None:
    sets = ["--set", "corpus=reviews", "--set", "rows=24", "--set", "model.bidirectional=false"]
    check = "streams, or says that it cannot"
    status, out, _ = call(
        capfd, "plugin", "check", "sentiment", *sets, "--set", "pooling=['mean']", "--only", check
    )
    assert status == 0
    assert "passed" in out.splitlines()[1]
    assert out.splitlines()[1].endswith("streams")


def test_a_corpus_takes_an_argument(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = call(
        capfd, "plugin", "check", "hf", "--set", f"argument=./{tmp_path.name}", "--only",
        "opens, and downloads nothing",
    )  # fmt: skip
    assert status == 1
    assert f"hf:./{tmp_path.name}: no such folder" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["sentiment", "--set", "poling=mean"], "no key 'poling'; did you mean 'pooling'?"),
        (["sentiment", "--set", "model.cel=gru"], "no key 'model.cel'; did you mean 'model.cell'?"),
        (["hf", "--set", "arguments=x"], "no key 'arguments'; did you mean 'argument'?"),
        (["lowercase", "--set", "a=1"], "no key 'a'; none is known"),
    ],
)
def test_a_misspelled_option_is_refused(
    capfd: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    status, _, err = call(capfd, "plugin", "check", *words)
    assert status == 2
    assert complaint in " ".join(err.split())
