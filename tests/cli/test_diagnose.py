"""`seqnlp diagnose`, and `seqnlp train --diagnose`."""

from __future__ import annotations

import io
import json
import math
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from seqnlp import plotting
from seqnlp.cli.diagnosis_report import show
from seqnlp.diagnosis import Diagnosis
from seqnlp.diagnosis.course import COURSE
from seqnlp.diagnosis.report import WeightReport
from seqnlp.diagnosis.through_time import Flow
from tests.cli.calling import call, train
from tests.diagnosis.making import report

EXPECTED = f"{COURSE}:4: expected a diagnosis with seed, epoch, step, layers and weights"


@pytest.fixture(scope="module")
def watched(toy_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its course; made through the command line once."""
    from seqnlp.training import train
    from tests.toy import small_settings

    folder = tmp_path_factory.mktemp("watched") / "run"
    train(small_settings(toy_corpus, "train.epochs=3", "hooks.diagnose.apart=0"), folder)
    return folder


def test_the_tables_and_the_verdicts(watched: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capfd, "diagnose", watched, "--examples", 9)
    assert (status, err) == (0, "")
    head, *rest = out.splitlines()
    assert head.startswith(f"{watched}: 9 rows of ")
    assert " train, loss " in head
    text = "\n".join(rest)
    for each in ("carried back through the recurrence alone", "LSTMCell", "encoder layer 1 forward",
                 "encoder layer 1 backward", "the loss's gradient", "forget", "radius",
                 "in training: what was carried", "gradient over weight: "):  # fmt: skip
        assert each in text
    assert "▇" in text
    last = [line for line in out.splitlines() if line.strip()][-1]
    assert last.startswith(("+ encoder layer 1 backward: ", "  --", "! ", "- "))


def test_without_a_course_it_is_said_how_to_have_one(
    toy_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = call(capfd, "diagnose", toy_run, "--examples", 4)
    assert status == 0
    assert "in training:" not in out
    assert out.endswith("no diagnosis.jsonl here: train with --diagnose to see the course\n")


def test_json_is_the_whole_of_it(watched: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd, "diagnose", watched, "--json", "--split", "test", "--span", 3)
    assert status == 0
    found = json.loads(out)
    assert (found["split"], found["layers"][0]["flow"]["steps"]) == ("test", 3)
    assert {each["kind"] for each in found["verdicts"]}


def test_picture_and_page_are_written(
    watched: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture, html = tmp_path / "flow.svg", tmp_path / "flow.html"
    status, out, _ = call(capfd, "diagnose", watched, "--plot", picture, "--html", html)
    assert status == 0
    assert out.endswith(f"wrote {picture}\nwrote {html}\n")
    assert "<svg" in picture.read_text()
    assert "Carried to the farthest step" in picture.read_text() or "<svg" in html.read_text()
    assert f"<h1>Diagnosis of {watched.name}</h1>" in html.read_text()
    assert html.read_text().count("<svg") == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plot", "a.gif"], "error: --plot a.gif: a picture ends in .png, .svg, .pdf\n"),
        (["--plot", "none/a.png"], "error: --plot none/a.png: no folder none\n"),
        (["--html", "a.txt"], "error: --html a.txt: a page ends in .html\n"),
        (["--html", "none/a.html"], "error: --html none/a.html: no folder none\n"),
        (["--examples", "0"], "Invalid value for '--examples': 0 is not in the range x>=1; see "),
        (["--split", "tests"], "error: corpus 'toy0' has no tests split; did you mean 'test'? "),
        (["--html", "a.html", "--corpus", "nothing"], "error: no corpus is named 'nothing'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    watched: Path, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    status, out, err = call(capfd, "diagnose", watched, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_page_needs_matplotlib(
    watched: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plotting, "find_spec", lambda name: None)
    path = tmp_path / "a.html"
    status, _, err = call(capfd, "diagnose", watched, "--html", path)
    assert status == 2
    assert err == (
        f"error: --html {path}: a page needs the package matplotlib; pip install 'seqnlp[plot]'\n"
    )


def test_a_file_of_the_model_is_not_written_over(
    watched: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = watched / "notes.html"
    page.write_text("mine")
    status, _, err = call(capfd, "diagnose", watched, "--html", page)
    assert status == 2
    assert f"--html {page}: an input; give another file, to keep both" in err
    page.unlink()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken\n", f"{COURSE}:4: not JSON: "),
        ('{"seed": 0}\n', EXPECTED),
        ('{"seed": 0, "epoch": 1, "step": 2, "layers": 3, "weights": []}\n', EXPECTED),
        ('{"seed": 0, "epoch": 1, "step": 2, "layers": [{}], "weights": []}\n', EXPECTED),
        ('{"seed": 0, "epoch": 1, "step": "2", "layers": [], "weights": []}\n', EXPECTED),
    ],
)
def test_a_damaged_course_is_named_by_its_line(
    watched: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    shutil.copytree(watched, tmp_path / "run")
    with (tmp_path / "run" / COURSE).open("a") as file:
        file.write(line)
    status, _, err = call(capfd, "diagnose", tmp_path / "run")
    assert status == 2
    assert message in err


def test_a_line_that_was_cut_short_does_not_count(
    watched: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(watched, tmp_path / "run")
    with (tmp_path / "run" / COURSE).open("a") as file:
        file.write('{"seed": 0, "spl')
    assert call(capfd, "diagnose", tmp_path / "run", "--examples", 4)[0] == 0


def test_training_with_diagnose_writes_the_course(
    toy_corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, _, err = train(capfd, "--corpus", toy_corpus, "--output", tmp_path / "run",
                           "--diagnose", "--set", "hooks.diagnose.examples=3")  # fmt: skip
    assert status == 0
    assert "note: encoder layer 1 forward: " in err
    looks = (tmp_path / "run" / COURSE).read_text().splitlines()
    assert [json.loads(look)["rows"] for look in looks] == [3, 3]


def test_gradients_beyond_all_numbers_leave_the_rest_to_be_read() -> None:
    out = io.StringIO()
    beyond = Flow(state=(1.0, 1e-3, math.inf), output=(1.0, 0.0, 0.0), carry=(1.0, 1e38, 1e76))
    found = Diagnosis(
        split="train", rows=8, loss=0.25, layers=(report(flow=beyond),), verdicts=(),
        weights=(
            WeightReport(name="a", norm=1.0, gradient=math.nan),
            WeightReport(name="b", norm=1.0, gradient=0.5),
        ),
    )  # fmt: skip
    show(Console(file=out, width=120), found, name="m", corpus="c")
    text = out.getvalue()
    assert "█▅·" in text  # the state's: 1, 1e-3, and what is no number
    assert "gradient over weight: 5.0e-01 (b) to 5.0e-01 (b)" in text
    assert "1.0e+76   1.0e+38" in text
