"""`--quantize int8` as its users type it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from seqnlp import load
from seqnlp.errors import InputError
from seqnlp.nn import QuantizedCell
from seqnlp.training.run import train
from tests.cli.calling import call
from tests.toy import small_settings


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqnlp.cli.quantized._SECONDS", 0.0)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_float_and_int8_are_shown_side_by_side(
    capfd: pytest.CaptureFixture[str], toy_run: Path
) -> None:
    before = digests(toy_run)
    status, out, err = call(capfd, "evaluate", toy_run, "--quantize", "int8")
    assert status == 0, err
    for expected in ("float32", "int8", "int8 changes accuracy by", "probabilities by at most 0.", "answers differ",
                     "recurrent layers, MB", "whole model, MB", "texts a second, one by one",
                     "texts a second, in batches of 64"):  # fmt: skip
        assert expected in out + err, expected
    assert digests(toy_run) == before


def test_the_figures_of_both_as_json(capfd: pytest.CaptureFixture[str], toy_run: Path) -> None:
    status, out, err = call(capfd, "evaluate", toy_run, "--quantize", "int8", "--json")
    assert status == 0, err
    record = json.loads(out)
    assert record["split"] == "test"
    _, alone, _ = call(capfd, "evaluate", toy_run, "--json")
    assert record["float32"]["accuracy"] == json.loads(alone)["accuracy"]
    examples = record["int8"]["examples"]
    lost = record["float32"]["accuracy"]["value"] - record["int8"]["accuracy"]["value"]
    assert abs(lost) * examples <= record["answers_that_differ"] + 1e-9
    assert record["answers_that_differ"] <= 0.05 * examples
    assert 0 < record["largest_change_of_a_probability"] < 0.1
    sizes = [record[name]["bytes"]["recurrent"] for name in ("float32", "int8")]
    cells = [record[name]["bytes"]["all"] for name in ("float32", "int8")]
    assert sizes[1] < 0.75 * sizes[0]  # the hidden size is 12, which is filled up to 16
    assert cells[0] - cells[1] == sizes[0] - sizes[1]
    for name in ("float32", "int8"):
        assert all(speed > 0 for speed in record[name]["texts_per_second"].values())


def test_answers_are_nearly_those_of_the_float_model(
    capfd: pytest.CaptureFixture[str], toy_run: Path
) -> None:
    texts = ["The film was great and then dull .", "The plot was poor and then lovely ."]
    answers = []
    for more in ((), ("--quantize", "int8")):
        status, out, err = call(capfd, "predict", toy_run, *texts, "--format", "jsonl", *more)
        assert status == 0, err
        answers.append([json.loads(line) for line in out.splitlines()])
    for exact, near in zip(*answers, strict=True):
        assert exact["label"] == near["label"]
        assert exact["probabilities"] != near["probabilities"]
        assert near["probabilities"] == pytest.approx(exact["probabilities"], abs=0.02)


def test_a_quantized_model_streams_and_is_not_saved(
    toy_corpus: Path, tmp_path: Path, toy_run: Path
) -> None:
    folder = tmp_path / "live"
    train(small_settings(toy_corpus, "model.bidirectional=false", "train.epochs=1"), folder)
    model = load(folder).quantize("int8")
    assert any(isinstance(part, QuantizedCell) for part in model.task.modules())
    stream = model.stream()
    text = "The film was great and then dull ."
    for word in text.split():
        answer = stream.push(word)
    assert answer.probabilities == pytest.approx(model(text).probabilities, abs=1e-3)
    with pytest.raises(InputError, match=r"^an int8 model is not saved: save the float one, and "):
        model.save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("command", ["evaluate", "predict"])
@pytest.mark.parametrize(("words", "message"), [
    (["--quantize", "int4"], "error: Invalid value for '--quantize': 'int4' is not 'int8'"),
    (["--quantize", "int8", "--device", "cuda"],
     "error: --quantize int8 is for the CPU, not for --device cuda"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_line(
    capfd: pytest.CaptureFixture[str], toy_run: Path, command: str, words: list[str], message: str
) -> None:
    status, out, err = call(capfd, command, toy_run, *words)
    assert (status, out) == (2, "")
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_a_model_without_gated_cells_says_so(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    train(small_settings(toy_corpus, "model.cell=min_gru", "train.epochs=1"), tmp_path / "run")
    status, _, err = call(capfd, "evaluate", tmp_path / "run", "--quantize", "int8")
    assert status == 2
    assert err == ("error: nothing here can be int8: MinGRUCell is not a GatedCell\n")
