"""`seqnlp predict --stream` as its users type it."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seqnlp.training.run import train
from tests.cli.calling import call
from tests.toy import small_settings

PIECES = ["The film was great", "and then poor .", "", "  ", "The plot was dull", "and then fine ."]
TEXTS = [
    "The film was great", "The film was great and then poor .",
    "The plot was dull", "The plot was dull and then fine .",
]  # fmt: skip


@pytest.fixture(scope="module")
def live_run(toy_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that reads in one direction."""
    folder = tmp_path_factory.mktemp("runs") / "live"
    train(small_settings(toy_corpus, "model.bidirectional=false", "train.epochs=3"), folder)
    return folder


def test_each_piece_is_answered_as_the_text_so_far_would_be(
    capfd: pytest.CaptureFixture[str], live_run: Path, tmp_path: Path
) -> None:
    pieces, texts = tmp_path / "pieces.txt", tmp_path / "texts.txt"
    pieces.write_text("\n".join(PIECES) + "\n")
    texts.write_text("\n".join(TEXTS) + "\n")
    status, out, _ = call(capfd, "predict", live_run, pieces, "--stream", "--format", "jsonl")
    assert status == 0
    running = [json.loads(line) for line in out.splitlines()]
    assert [record["text"] for record in running] == [piece for piece in PIECES if piece.strip()]
    _, out, _ = call(capfd, "predict", live_run, texts, "--format", "jsonl")
    for record, whole in zip(running, map(json.loads, out.splitlines()), strict=True):
        assert record["label"] == whole["label"]
        assert record["probabilities"] == pytest.approx(whole["probabilities"], abs=1e-6)
    assert running[0]["label"] == "positive"
    assert running[1]["label"] == "negative"


def test_pieces_may_be_arguments_and_the_layouts_are_the_same(
    capfd: pytest.CaptureFixture[str], live_run: Path, tmp_path: Path
) -> None:
    _, out, _ = call(capfd, "predict", live_run, *PIECES[:2], "--stream")
    assert [line.split("\t")[2] for line in out.splitlines()] == PIECES[:2]
    file = tmp_path / "answers"
    assert call(capfd, "predict", live_run, *PIECES[:2], "--stream", "--format", "tsv",
                "--output", file) == (0, "", "")  # fmt: skip
    header, *lines = file.read_text().splitlines()
    assert header == "label\tp(negative)\tp(positive)\ttext"
    assert [line.split("\t")[0] for line in lines] == [line.split("\t")[0] for line in out.splitlines()]  # fmt: skip


@pytest.mark.parametrize("end", ["end of input", "Ctrl-C"])
def test_an_answer_comes_before_the_next_piece_and_the_end_is_quiet(
    live_run: Path, end: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "seqnlp", "predict", str(live_run), "--stream"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    for piece in (*PIECES[:2], *PIECES[4:]):
        process.stdin.write(f"{piece}\n")
        assert select.select([process.stdout], [], [], 60)[0]
        assert process.stdout.readline().split("\t")[2] == f"{piece}\n"
    if end == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_model_that_reads_both_ways_is_refused_before_anything_is_read(
    capfd: pytest.CaptureFixture[str], toy_run: Path
) -> None:
    status, out, err = call(capfd, "predict", toy_run, "a fine film", "--stream")
    assert (status, out) == (2, "")
    assert err == (
        "error: a bidirectional encoder cannot stream, since it reads every text from its end "
        "too; one that can is trained with --set model.bidirectional=false\n"
    )
