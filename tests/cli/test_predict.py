"""`seqnlp predict` of labels, as its users type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calling import call


def test_predict_answers_texts_files_and_pipes_in_three_layouts(
    capfd: pytest.CaptureFixture[str], toy_run: Path, tmp_path: Path
) -> None:
    good, bad = "The film was poor and then great .", "The film was great and then poor ."
    status, out, _ = call(capfd, "predict", toy_run, good, bad)
    assert status == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == ["positive", "negative"]
    assert [line.split("\t")[2] for line in out.splitlines()] == [good, bad]
    path = tmp_path / "texts.txt"
    path.write_text(f"{good}\n\n{bad}\n")
    status, out, _ = call(capfd, "predict", toy_run, path, "--format", "jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["text"] for record in records] == [good, "", bad]
    assert sum(records[0]["probabilities"].values()) == pytest.approx(1)
    status, _, _ = call(
        capfd, "predict", toy_run, path, "--format", "tsv", "--output", tmp_path / "o"
    )
    lines = (tmp_path / "o").read_text().splitlines()
    assert lines[0] == "label\tp(negative)\tp(positive)\ttext"
    assert len(lines) == 4
    piped = subprocess.run(
        [sys.executable, "-m", "seqnlp", "predict", str(toy_run), "-"],
        input=f"{good}\n{bad}\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [line.split("\t")[0] for line in piped.stdout.splitlines()] == ["positive", "negative"]


def test_a_byte_order_mark_is_no_part_of_the_first_text(
    capfd: pytest.CaptureFixture[str], toy_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "bom").write_bytes("\ufefffine film\r\nfine film".encode())
    _, out, _ = call(capfd, "predict", toy_run, tmp_path / "bom")
    first, second = out.splitlines()
    assert first == second
