"""Options of a search reach it, and what a writer cannot do is said in a line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from seqnlp_runtime import FolderError, RunnerError, load
from seqnlp_runtime.command import run
from seqnlp_runtime.writing import WriterModel

MODELS = Path(__file__).parent / "models"
TEXT = "Der Hund will den Ball sehen."


@pytest.fixture(scope="module")
def model() -> WriterModel:
    found = load(MODELS / "writes")
    assert isinstance(found, WriterModel)
    return found


def test_a_beam_gives_several_outputs_best_first(model: WriterModel) -> None:
    answer = model(TEXT, decoding={"beam": 4, "n_best": 3})
    scores = [each.score for each in answer.hypotheses]
    assert len({each.text for each in answer.hypotheses}) == 3
    assert scores == sorted(scores, reverse=True)
    assert answer.output == answer.hypotheses[0].text
    assert len(model(TEXT).hypotheses) == 1
    assert answer.source_tokens[-1] == "<eos>"


def test_draws_depend_on_the_text_alone(model: WriterModel) -> None:
    options = {"sample": True, "n_best": 3, "temperature": 2.0, "seed": 1}
    alone = model(TEXT, decoding=options)
    (*_, last) = model.predict(["Eine Frau kann das Haus malen.", TEXT], decoding=options)
    assert [each.tokens for each in alone.hypotheses] == [each.tokens for each in last.hypotheses]
    other = model(TEXT, decoding={**options, "seed": 2})
    assert [each.tokens for each in alone.hypotheses] != [each.tokens for each in other.hypotheses]


def test_nothing_is_answered_to_nothing(model: WriterModel) -> None:
    assert [each.output for each in model.predict(["", " \n"])] == ["", ""]
    assert model("").hypotheses == ()
    with pytest.raises(RunnerError, match=r"^batch_size = 0: expected 1 or more$"):
        model.predict([TEXT], batch_size=0)


def test_options_on_the_command_line(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    words = [str(MODELS / "writes"), TEXT, "--decode"]
    assert run([*words, "beam=3", "--decode", "n_best=2"]) == 0
    (line,) = capsysbinary.readouterr().out.splitlines()
    assert len(json.loads(line)["hypotheses"]) == 2
    for option, message in (
        ("beam", "--decode beam: expected KEY=VALUE"),
        ("bean=3", "decoding: no option is named 'bean'; did you mean 'beam'?"),
        ("beam=many", "decoding.beam: expected a whole number of 1 or more, at most 1000; found 'many'"),
    ):  # fmt: skip
        assert run([*words, option]) == 2
        assert capsysbinary.readouterr().err.decode() == f"error: {message}\n"
    assert run([str(MODELS / "labels"), "fine", "--decode", "beam=3"]) == 2
    assert capsysbinary.readouterr().err.decode() == (
        "error: a model of the task 'sentiment' does not search for its answers\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda described: described.pop("outputs"),
        lambda described: described.update(fields=["source"]),
        lambda described: described.update(fields=["source", "elsewhere"]),
        lambda described: described.update(decoding=3),
        lambda described: described.update(usual_length={"slope": 1.0}),
        lambda described: described.update(truecase={"usual": []}),
        lambda described: described["pipelines"]["source"]["specials"].remove("<eos>"),
    ],
)
def test_a_damaged_description_is_said(
    change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(MODELS / "writes", tmp_path / "model"))
    described = json.loads((folder / "seqnlp.json").read_text(encoding="utf-8"))
    change(described)
    (folder / "seqnlp.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(FolderError, match=rf"^{folder}/seqnlp\.json: damaged: "):
        load(folder)
