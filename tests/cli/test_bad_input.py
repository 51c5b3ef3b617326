"""Files that a person may well hand over: each is one clear line, and nothing is lost."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from tests.cli.calling import train

GOOD = "label\ttext\n" + "good\tfine\nbad\tpoor\n" * 10


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.tsv": b""}, r"train\.tsv.*empty"),
        ({"train.tsv": b"label\ttext\n"}, r"train\.tsv"),
        ({"train.tsv": GOOD.replace("\t", ",").encode()}, r"train\.tsv:1.*(comma|delimiter|csv)"),
        ({"train.tsv": GOOD.replace("text", "words").encode()}, r"train\.tsv:1: .*text"),
        ({"train.tsv": GOOD.encode() + b"good\tcaf\xe9\n"}, r"train\.tsv:22: .*UTF-8"),
        ({"train.tsv": GOOD.encode() + b"good\n"}, r"train\.tsv:22: "),
        ({"train.tsv": b"label\ttext\n" + b"good\tfine\n" * 20}, "at least two labels"),
        ({"train.tsv": GOOD.encode(), "test.tsv": b"label\ttext\nugly\tx\n"},
         r"test\.tsv:2: the label 'ugly' does not occur in train"),
        ({"train.tsv.gz": gzip.compress(GOOD.encode(), mtime=0)[:-12]}, r"train\.tsv\.gz"),
        ({"train.jsonl": b'{"text": "a", "label": "b"}\n{"text"\n'}, r"train\.jsonl:2: .*JSON"),
        ({"train.parquet": b"PAR1 no"}, r"train\.parquet"),
        ({}, "no .*(file|split|corpus)"),
    ],
    ids=["empty", "header-only", "delimiter", "column", "utf8", "short-row", "one-class",
         "unknown-label", "cut-gzip", "json", "parquet", "no-file"],
)  # fmt: skip
def test_a_bad_corpus_is_one_clear_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    status, _, err = train(capfd, "--corpus", folder, "--output", tmp_path / "run", "--quiet")
    last = err.strip().splitlines()[-1]
    assert status == 2, err
    assert last.startswith("error: ")
    assert re.search(message, last), last


def test_empty_and_very_long_texts_are_read(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = GOOD + "good\t\n" + "bad\t" + "poor " * 200_000 + "\n"
    (folder / "train.tsv").write_text(rows)
    (folder / "test.tsv").write_text("label\ttext\ngood\t\nbad\tpoor\n")
    status, _, err = train(capfd, "--corpus", folder, "--output", tmp_path / "run",
                           "--epochs", 1, "--set", "text.long_documents=truncate")  # fmt: skip
    assert status == 0, err
    assert re.search(r"note: train: 1 row with an empty text skipped.*train\.tsv:22", err)
    assert "test: 1 row with an empty text kept" in err


def test_a_loss_that_is_no_number_fails_the_run_and_keeps_the_log(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    status, _, err = train(capfd, "--corpus", toy_corpus, "--output", tmp_path / "run", "--quiet",
                           "--lr", "1e30", "--set", "hooks.penalty.l2=1e30", "--set", "hooks.clip=false",
                           "--set", "train.optimizer=SGD")  # fmt: skip
    assert status == 1, err
    last = err.strip().splitlines()[-1]
    assert re.match(r"error: the loss became (nan|inf) in epoch 1 at step \d+; try a lower", last)
    assert '"fit_start"' in (tmp_path / "run" / "log.jsonl").read_text()
    # The folder holds no model, so the next try needs no --force.
    assert train(capfd, "--corpus", toy_corpus, "--output", tmp_path / "run", "--epochs", 1)[0] == 0
