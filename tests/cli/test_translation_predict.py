"""`seqnlp predict` of texts that are searched for, as its users type it."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from seqnlp import load
from tests.cli.calling import call

TEXTS = ["Der Hund will den Ball sehen.", "Die Katze kann das Haus malen."]
ANSWERS = ["The dog wants to see the ball.", "The cat can draw the house."]


def test_outputs_stand_alone_and_an_empty_line_stays_empty(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "input.de", tmp_path / "output.en"
    source.write_text(f"{TEXTS[0]}\n\n   \n{TEXTS[1]}")
    assert call(capfd, "predict", pairs_run, source, "--output", target) == (0, "", "")
    assert target.read_text() == f"{ANSWERS[0]}\n\n\n{ANSWERS[1]}\n"
    status, out, _ = call(capfd, "predict", pairs_run, TEXTS[0], "", TEXTS[1], "--beam", 4)
    assert (status, out) == (0, f"{ANSWERS[0]}\n\n{ANSWERS[1]}\n")


def test_the_best_n_have_numbers_and_scores(
    capfd: pytest.CaptureFixture[str], pairs_run: Path
) -> None:
    words = ["predict", pairs_run, TEXTS[0], "", TEXTS[1], "--beam", 4, "--n-best", 2]
    status, out, _ = call(capfd, *words)
    assert status == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "2", "3", "3"]
    assert [rows[0][2], rows[2][2], rows[3][2]] == [ANSWERS[0], "", ANSWERS[1]]
    assert float(rows[0][1]) > float(rows[1][1])

    _, out, _ = call(capfd, *words, "--format", "tsv")
    header, *rows = (line.split("\t") for line in out.splitlines())
    assert header == ["number", "rank", "score", "log_probability", "output", "text"]
    assert [row[:2] for row in rows] == [["1", "1"], ["1", "2"], ["2", "1"], ["3", "1"], ["3", "2"]]
    assert rows[0][4:] == [ANSWERS[0], TEXTS[0]]
    assert rows[2] == ["2", "1", "0.000000", "0.000000", "", ""]

    _, out, _ = call(capfd, *words, "--format", "jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["text"] for record in records] == [TEXTS[0], "", TEXTS[1]]
    assert [record["output"] for record in records] == [ANSWERS[0], "", ANSWERS[1]]
    assert records[1]["hypotheses"] == []
    best = records[0]["hypotheses"][0]
    assert best["text"] == ANSWERS[0]
    assert best["tokens"] == [*ANSWERS[0].rstrip(".").split(), "."]
    assert best["score"] == pytest.approx(float(rows[0][2]), abs=1e-6)
    assert best["log_probability"] == pytest.approx(float(rows[0][3]), abs=1e-6)
    assert "attention" not in best
    assert records[0]["source_tokens"] == [*TEXTS[0].rstrip(".").split(), ".", "<eos>"]


@pytest.mark.parametrize(("options", "expected"), [
    (["--beam", 5, "--prefix", "A man"], "A man wants to see the ball."),
    (["--max-length", 3], "The dog wants"),
    (["--decode", "max_length=3"], "The dog wants"),
    (["--max-words", 2], "The dog"),
    (["--beam", 4, "--max-words", 2, "--coverage-penalty", 0.1, "--length-prior", 1], "The dog."),
    (["--prefix", "The the", "--no-repeat-ngram", 1, "--max-length", 3], "The the"),
    (["--sample", "--top-k", 1], "The dog wants to see the ball."),
    (["--sample", "--decode", "top_k=1"], "The dog wants to see the ball."),
])  # fmt: skip
def test_options_reach_the_search(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, options: list[object], expected: str
) -> None:
    status, out, err = call(capfd, "predict", pairs_run, TEXTS[0], *options)
    assert (status, err) == (0, "")
    assert out == f"{expected}\n"


def test_a_phrase_that_must_occur(capfd: pytest.CaptureFixture[str], pairs_run: Path) -> None:
    words = ["--beam", 8, "--constrain", "flower", "--constrain", "cat"]
    status, out, _ = call(capfd, "predict", pairs_run, TEXTS[0], *words)
    assert status == 0
    assert {"flower", "cat"} <= set(out.replace(".", " ").split())


def test_a_map_and_its_weights(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, tmp_path: Path
) -> None:
    status, out, err = call(capfd, "predict", pairs_run, "--attention", *TEXTS)
    assert (status, out) == (0, "".join(f"{text}\n" for text in ANSWERS))
    labels = [line.split()[0] for line in err.splitlines() if line[:6].strip() not in ("", "<")]
    assert labels.count("<eos>") == 2
    assert labels[:8] == ["The", "dog", "wants", "to", "see", "the", "ball", "."]
    _, out, err = call(capfd, "predict", pairs_run, TEXTS[0], "--attention", "--format", "jsonl")
    record = json.loads(out)
    weights = record["hypotheses"][0]["attention"]
    assert [len(row) for row in weights] == [len(record["source_tokens"])] * 9
    assert [sum(row) for row in weights] == pytest.approx([1] * 9, abs=1e-3)


def test_a_map_in_a_file(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "map.svg"
    status, out, err = call(capfd, "predict", pairs_run, *TEXTS, "--attention", file)
    assert (status, out, err) == (0, "".join(f"{text}\n" for text in ANSWERS), "")
    assert "<!-- Hund -->" in file.read_text()
    assert "<!-- Katze -->" in (tmp_path / "map-2.svg").read_text()


def test_alignments_are_of_words(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "words"
    status, _, err = call(capfd, "predict", pairs_run, TEXTS[0], "", "--alignments", file)
    assert (status, err) == (0, "")
    first, empty, end = file.read_text().split("\n")
    assert (empty, end) == ("", "")
    pairs = [tuple(map(int, pair.split("-"))) for pair in first.split()]
    assert pairs == sorted(set(pairs))
    weights = load(pairs_run)(TEXTS[0]).hypotheses[0].attention
    assert weights is not None
    # A full stop is of the word before it.
    source, target = [0, 1, 2, 3, 4, 5, 5], [0, 1, 2, 3, 4, 5, 6, 6]
    best = enumerate(weights[:-1].argmax(1))
    expected = {(source[s], target[t]) for t, s in best if s < len(source)}
    assert set(pairs) == expected


def start(run: Path, *words: str, **streams: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "seqnlp", "predict", str(run), *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **{**pipes, **streams})  # type: ignore[call-overload, no-any-return]


def test_each_line_is_answered_before_the_next_is_written(pairs_run: Path) -> None:
    process = start(pairs_run, "-", "--beam", "2")
    assert process.stdin is not None
    assert process.stdout is not None
    for text, expected in zip([*TEXTS, ""], [*ANSWERS, ""], strict=True):
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()
        assert select.select([process.stdout], [], [], 60)[0], text
        assert process.stdout.readline().decode() == f"{expected}\n"
    # A last line without its end is one, too.
    out, err = process.communicate(TEXTS[0].encode(), timeout=60)
    assert (process.returncode, out.decode(), err.decode()) == (0, f"{ANSWERS[0]}\n", "")


def test_a_terminal_is_answered_line_by_line(pairs_run: Path) -> None:
    screen, terminal = pty.openpty()
    process = start(pairs_run, stdin=terminal)
    assert process.stdout is not None
    for text, expected in zip(TEXTS, ANSWERS, strict=True):
        os.write(screen, f"{text}\n".encode())
        assert select.select([process.stdout], [], [], 60)[0]
        assert process.stdout.readline().decode() == f"{expected}\n"
    os.write(screen, b"\x04")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"", b"")
    os.close(screen)
    os.close(terminal)


def test_a_terminal_shows_how_far_a_file_is(pairs_run: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "input.de", tmp_path / "output.en"
    source.write_text(f"{TEXTS[0]}\n" * 50)
    screen, terminal = pty.openpty()
    process = start(pairs_run, str(source), "--output", str(target), stderr=terminal)
    out, _ = process.communicate(timeout=60)
    os.close(terminal)
    shown = b""
    while select.select([screen], [], [], 0)[0]:
        try:
            shown += os.read(screen, 65536)
        except OSError:  # the other end is closed
            break
    os.close(screen)
    assert (process.returncode, out) == (0, b"")
    assert b"50 answers in " in shown
    assert target.read_text() == f"{ANSWERS[0]}\n" * 50


@pytest.mark.parametrize(("words", "message"), [
    (["--n-best", 3], "decoding: n_best: at most beam, which is 1, not 3"),
    (["--beam", 0], "decoding: beam: Input should be greater than or equal to 1, not 0"),
    (["--beam", "x"], "Invalid value for '--beam': 'x' is not a valid integer"),
    (["--top-k", 3], "decoding: top_k: the default, 0, without sample = true, not 3"),
    (["--decode", "beem=3"], "decoding: no key 'beem'; did you mean 'beam'? known: beam, "),
    (["--decode", "beam"], "Invalid value for '--decode': 'beam' is not KEY=VALUE, such as "),
    (["--decode", "beam=wide"], "decoding: beam: Input should be a valid integer, "),
    (["--attention", "map.gif"], "--attention map.gif: a picture ends in .png, .svg, .pdf"),
    (["--attention", "map.BMP"], "--attention map.BMP: a picture ends in .png, .svg, .pdf"),
    (["--attention", "map.svgz"], "--attention map.svgz: a picture ends in .png, .svg, .pdf"),
    (["--alignments", "{tmp}/none/a"], "cannot write {tmp}/none/a: No such file or directory"),
    (["input.de"], "input.de: no such file; a text that looks like one goes through a pipe"),
    (["--stream"], "the task 'translation' cannot stream: "),
    (["--prefix", "Zug"], "decoding.prefix: 'Zug' has 'Zug', which the model cannot write: it is "),
])  # fmt: skip
def test_what_cannot_be_done_is_one_line(
    capfd: pytest.CaptureFixture[str],
    pairs_run: Path,
    tmp_path: Path,
    words: list[object],
    message: str,
) -> None:
    words = [str(word).format(tmp=tmp_path) for word in words]
    status, out, err = call(capfd, "predict", pairs_run, "Der Hund", *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {message.format(tmp=tmp_path)}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("words", "message"), [
    (["--output", "in"], "--output {tmp}/in: an input; give another file, to keep both"),
    (["--alignments", "link"], "--alignments {tmp}/link: an input; give another file, to keep "),
    (["--attention", "in.svg"], "--attention {tmp}/in.svg: an input; give another file, to keep "),
    (["--output", "x", "--alignments", "x"], "--alignments {tmp}/x: that of --output, too; give "),
    (["--output", "x.svg", "--attention", "x.svg"], "--attention {tmp}/x.svg: that of --output, "),
])  # fmt: skip
def test_no_file_is_lost_to_an_output(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], message: str
) -> None:
    inputs = [tmp_path / "in", tmp_path / "in.svg"]
    for file in inputs:
        file.write_text("Der Hund\n")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    given = [word if word.startswith("--") else tmp_path / word for word in words]
    status, out, err = call(capfd, "predict", tmp_path / "run", *inputs, *given)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {message.format(tmp=tmp_path)}")
    assert err.count("\n") == 1
    assert {file.name for file in tmp_path.iterdir()} == {"in", "in.svg", "link"}
    assert all(file.read_text() == "Der Hund\n" for file in inputs)


def test_what_is_no_file_may_be_named_twice(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["/dev/null", "--output", "/dev/null", "--alignments", "/dev/null"]
    status, _, err = call(capfd, "predict", tmp_path / "run", *words)
    assert (status, err) == (2, f"error: {tmp_path}/run: no such model folder\n")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(("words", "named"), [
    (["--beam", 5, "--decode", "n_best=2"], "beam, n_best"), (["--sample"], "sample"),
    (["--replace-unknown"], "replace_unknown"), (["--constrain", "x"], "constraints"),
])  # fmt: skip
def test_labels_are_not_searched_for(
    capfd: pytest.CaptureFixture[str], toy_run: Path, command: str, words: list[str], named: str
) -> None:
    status, out, err = call(capfd, command, toy_run, *words)
    assert (status, out) == (2, "")
    assert err == (
        f"error: the task 'sentiment' writes no texts, so there is nothing to set by {named}\n"
    )


@pytest.mark.parametrize("words", [["--attention"], ["--alignments", "{tmp}/a"]])
def test_labels_have_no_words_to_align(
    capfd: pytest.CaptureFixture[str], toy_run: Path, tmp_path: Path, words: list[str]
) -> None:
    words = [word.format(tmp=tmp_path) for word in words]
    status, _, err = call(capfd, "predict", toy_run, "a film", *words)
    assert status == 2
    assert err == f"error: {words[0]} is for tasks that write texts, and not for 'sentiment'\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [
    "Ωμέγα \U0001f600 Hund", "Hund " * 5000, "<eos> <pad> <bos>", "\x00\ufeff\u2028",
], ids=["never seen", "5,000 words", "special", "invisible"])  # fmt: skip
def test_any_text_has_one_line_of_answer(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "in").write_text(f"{text}\n{TEXTS[0]}\n")
    status, out, err = call(
        capfd, "predict", pairs_run, tmp_path / "in", "--beam", 2, "--replace-unknown",
        "--max-length", 60, "--alignments", tmp_path / "words",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert out.split("\n")[1:] == [ANSWERS[0], ""]
    assert (tmp_path / "words").read_text().count("\n") == 2
