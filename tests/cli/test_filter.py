"""`seqnlp predict` between other commands: `cat texts | seqnlp predict runs/x | head`."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from seqnlp.cli import inputs
from seqnlp.cli.inputs import read_blocks
from seqnlp.errors import InputError
from tests.cli.calling import call

PREDICT = [sys.executable, "-m", "seqnlp", "predict"]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Lets standard input be a pipe that such bytes come through."""

    def write(descriptor: int, data: bytes) -> None:
        with os.fdopen(descriptor, "wb") as file, suppress(BrokenPipeError):
            file.write(data)

    with ExitStack() as opened:

        def send(data: bytes) -> None:
            reading, writing = os.pipe()
            writer = threading.Thread(target=write, args=(writing, data))
            writer.start()
            opened.callback(writer.join)
            buffer = opened.enter_context(os.fdopen(reading, "rb"))
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))

        yield send


def test_each_line_is_answered_before_the_next_and_ctrl_c_ends_without_a_word(
    toy_run: Path,
) -> None:
    process = subprocess.Popen(
        [*PREDICT, str(toy_run), "--format", "jsonl"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    for text in ("The film was great .", "", '\u2028 \x85 \t "', "The plot was dull ."):
        process.stdin.write(f"{text}\n")
        assert select.select([process.stdout], [], [], 60)[0]
        assert json.loads(process.stdout.readline())["text"] == text
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_leaves_ends_it_as_any_filter(
    capfd: pytest.CaptureFixture[str], toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=gone, fileno=gone.fileno))
        status, _, err = call(capfd, "predict", toy_run, "fine")
    assert (status, err) == (128 + signal.SIGPIPE, "")


@pytest.mark.slow
def test_nothing_complains_of_a_reader_that_has_left(toy_run: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PREDICT, str(toy_run)], input=b"The film was fine .\n" * 2000, stdout=writing,
        stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_order_is_kept(
    capfd: pytest.CaptureFixture[str], toy_run: Path, pipe: Callable[[bytes], None]
) -> None:
    random.seed(0)
    texts = [f"{n} {'fine film ' * random.randrange(40)}".strip() for n in range(1500)]
    pipe("\n".join(texts).encode())
    status, out, _ = call(capfd, "predict", toy_run, "--format", "jsonl", "--batch-size", "7")
    assert status == 0
    assert [json.loads(line)["text"] for line in out.splitlines()] == texts


@pytest.mark.parametrize("through", ["pipe", "file"])
def test_what_stands_before_bad_bytes_is_answered(
    capfd: pytest.CaptureFixture[str], toy_run: Path, tmp_path: Path,
    pipe: Callable[[bytes], None], through: str,
) -> None:  # fmt: skip
    data = b"fine\npoor\nna\xefve\nfine\n"
    pipe(data)
    (tmp_path / "texts").write_bytes(data)
    name = "standard input" if through == "pipe" else str(tmp_path / "texts")
    given = [] if through == "pipe" else [tmp_path / "texts"]
    status, out, err = call(capfd, "predict", toy_run, *given)
    assert status == 2
    assert [line.split("\t")[2] for line in out.splitlines()] == ["fine", "poor"]
    assert err == f"error: {name}:3: not valid UTF-8\n"
    # A file is whole or not there.
    pipe(data)
    status, _, _ = call(capfd, "predict", toy_run, *given, "--output", tmp_path / "answers")
    assert status == 2
    assert not (tmp_path / "answers").exists()


def test_arguments_that_are_no_text(capfd: pytest.CaptureFixture[str], toy_run: Path) -> None:
    status, out, err = call(capfd, "predict", toy_run, "fine", os.fsdecode(b"caf\xe9"))
    assert (status, out) == (2, "")  # all are there before the first is answered
    assert err == "error: the text b'caf\\xe9': not valid UTF-8\n"


def test_no_place_for_the_answers(
    capfd: pytest.CaptureFixture[str], toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=full))
        status, _, err = call(capfd, "predict", toy_run, "fine")
    assert (status, err) == (1, "error: output: No space left on device\n")
    monkeypatch.setattr(sys, "stdout", None)
    status, _, err = call(capfd, "predict", toy_run, "fine")
    assert (status, err) == (2, "error: standard output is closed; name a file by --output\n")


def test_blocks_of_long_texts_are_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_CHARACTERS", 10)
    texts = ("word", "a longer text", "b", "c", "two words", "d")
    assert list(read_blocks(texts, size=3)) == [
        ["word", "a longer text"],
        ["b", "c", "two words"],
        ["d"],
    ]
    (tmp_path / "bad").write_bytes(b"a\nb\n\xff\n")
    blocks = read_blocks((str(tmp_path / "bad"),), size=10)
    assert next(blocks) == ["a", "b"]
    with pytest.raises(InputError):
        next(blocks)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_lines(toy_run: Path) -> None:
    """No two lines have a word in common, so that nothing can be kept of any."""
    process = subprocess.Popen(
        [*PREDICT, str(toy_run), "--format", "jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    count = 150_000
    words = " ".join(
        f"{word}{{0}} {word}s{{0}}"
        for word in ("fine", "dull", "bad", "plot", "cast", "film", "end")
    )

    def write() -> None:
        assert process.stdin is not None
        with process.stdin as file:
            for number in range(count):
                file.write(f"{words.format(number)}\n".encode())

    threading.Thread(target=write, daemon=True).start()
    assert process.stdout is not None
    resident: dict[int, int] = {}
    for number, line in enumerate(process.stdout):
        assert json.loads(line)["text"].startswith(f"fine{number} ")
        # Before, what is kept of the last words fills up.
        if number in (100_000, count - 5_000):
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident[number] = int(status.split("VmRSS:")[1].split()[0])
    process.stdout.close()
    assert process.wait(60) == 0
    assert number == count - 1
    assert resident[count - 5_000] < 1.01 * resident[100_000], resident
