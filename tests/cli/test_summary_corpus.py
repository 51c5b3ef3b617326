"""`seqnlp corpus show` of documents and their summaries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.calling import call
from tests.toy_summarization import write_reports


def test_documents_are_shown_with_their_summaries(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = write_reports(tmp_path / "toy")
    train = folder / "train.jsonl"
    again = '{"document": "See.", "summary": "%s"}\n'
    train.write_text(train.read_text() + again % "One" + again % "One two")
    status, out, _ = call(capfd, "corpus", "show", folder, "--task", "summarization")
    assert status == 0
    assert re.search(r"test +│ +32 │ references", out)
    assert "words of the summary for one of the document" in out
    assert re.search(r"^test: On Monday (\w+) bought .* -> \1 buys ", out, re.MULTILINE)
    assert "references': " not in out
    assert re.search(r"^note: train: 1 row with a document shorter than its summary", out, re.M)
    assert "duplicates: 1 texts within train, 1 with another summary" in out


def test_the_bundled_reports(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd, "corpus", "show", "reports", "--task", "summarization")
    assert status == 0
    assert re.search(r"train +│ +8,000 │ summary", out)
    assert "note:" not in out
    assert "duplicates" not in out
    status, _, err = call(capfd, "corpus", "show", "reports")
    assert (status, err) == (
        2, "error: the corpus 'reports' has documents and summaries, for --task summarization; "
        "this task reads text and label\n",
    )  # fmt: skip
    status, _, err = call(capfd, "corpus", "show", "reports:x", "--task", "summarization")
    assert (status, err) == (2, "error: the corpus 'reports' takes no argument; found 'x'\n")
