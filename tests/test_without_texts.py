"""A task that reads no texts goes all the way that others go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import seqnlp
from seqnlp.bundle import read_manifest
from seqnlp.cli.inputs import count_lines, read_blocks
from seqnlp.data import Split
from seqnlp.tasks import Task
from tests.cli.calling import call
from tests.toy_numbers import MeanTask, registered_numbers


@pytest.fixture(autouse=True)
def _numbers() -> Iterator[None]:
    with registered_numbers():
        yield


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    status, _, err = call(capfd, "train", "--task", "mean", "--output", folder, "--seed", "3")
    assert status == 0, err
    assert "mean on numbers, 1 x lstm of 4, seed 3\n" in err
    assert "figures, with 95 % bootstrap intervals; MAE is better when lower" in " ".join(
        err.split()
    )
    return folder


def test_it_is_saved_without_a_pipeline_and_loaded(
    capfd: pytest.CaptureFixture[str], run: Path
) -> None:
    assert read_manifest(run).format == 3
    assert sorted(path.name for path in run.iterdir()) == [
        "README.md", "bundle.json", "config.toml", "log.jsonl", "metrics.json",
        "weights.safetensors",
    ]  # fmt: skip
    model = seqnlp.load(run)
    error = model.metrics["test"]["error"]
    assert model.evaluate(model.corpus())["error"] == error
    assert f"| test | 8 | {error['value']:.3f} [" in (run / "README.md").read_text()
    status, out, _ = call(capfd, "show", run)
    assert status == 0
    assert "vocabulary" not in out


def test_its_answers_are_printed_as_they_are(capfd: pytest.CaptureFixture[str], run: Path) -> None:
    answer = seqnlp.load(run)("1 2 3")
    assert call(capfd, "predict", run, "1 2 3")[1] == f"{answer.output}\n"
    out = call(capfd, "predict", run, "1 2 3", "--format", "tsv")[1]
    assert out == f"output\ttext\n{answer.output}\t1 2 3\n"
    record = json.loads(call(capfd, "predict", run, "1 2 3", "--format", "jsonl")[1])
    assert record == {"text": "1 2 3", "output": answer.output, **(answer.details or {})}


def test_the_epoch_of_the_least_error_is_kept(run: Path) -> None:
    course = seqnlp.load(run).metrics["training"][0]
    errors = [epoch["error"] for epoch in course["epochs"]]
    assert course["best_epoch"] == 1 + errors.index(min(errors))


def test_a_path_behind_a_family_is_kept_as_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqnlp.training.preparation import complete

    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.csv").write_text("")
    (tmp_path / "word").write_text("")
    base = MeanTask.defaults
    for given, kept in (
        ("numbers:some.csv", f"numbers:{tmp_path / 'some.csv'}"),
        ("numbers:./word", f"numbers:{tmp_path / 'word'}"),
        ("numbers:word", "numbers:word"),
        ("numbers:other.csv", "numbers:other.csv"),
        ("some.csv", str(tmp_path / "some.csv")),
    ):
        settings = seqnlp.load_settings(overrides=["task=mean", f"corpus.name={given}"], base=base)
        assert complete(settings).corpus.name == kept


def test_the_path_of_an_example_is_whole() -> None:
    class ReadsFiles(MeanTask):
        reads_files = True
        example = classmethod(Task.example.__func__)  # type: ignore[attr-defined]

    path = f"/{'long/' * 40}a.wav"
    split = Split.from_examples("test", [{"audio": path}, {"audio": "b.wav"}])
    assert ReadsFiles.example(split) == path


def test_a_file_may_be_an_example(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"\xff\n\xff")
    inputs = (str(path), "missing.txt")
    assert list(read_blocks(inputs, size=8, whole=True)) == [list(inputs)]
    assert count_lines(inputs, whole=True) == 2
