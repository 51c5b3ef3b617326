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


DAMAGES: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("no outputs", lambda d: d.pop("outputs"), "damaged: the key 'outputs' is missing"),
    ("few outputs", lambda d: d.update(outputs=1),
     "damaged: outputs: expected 4 to 25, found 1"),
    ("many outputs", lambda d: d.update(outputs=26),
     "damaged: outputs: expected 4 to 25, found 26"),
    ("one field", lambda d: d.update(fields=["source"]),
     "damaged: fields: expected two of source, target"),
    ("other fields", lambda d: d.update(fields=["source", "elsewhere"]),
     "damaged: fields: expected two of source, target"),
    ("copies", lambda d: d.update(copies="no"),
     "damaged: copies: expected true or false, found 'no'"),
    ("no copies", lambda d: d.update(copies=False),
     "damaged: the step reads ids, copy_ids, first, slots, memory_0, "),
    ("no weights", lambda d: d.update(weights=False),
     "damaged: the step gives log_probabilities, weights, next_state_0, "),
    ("encoder", lambda d: d["graphs"].update(encoder=d["graphs"]["step"]),
     "damaged: the encoder reads ids, copy_ids, first, slots, memory_0, "),
    ("options", lambda d: d.update(decoding=3), "damaged: decoding: expected an object, found 3"),
    ("option", lambda d: d["decoding"].update(beam="x"),
     "damaged: decoding.beam: expected a whole number of 1 or more, at most 1000; found 'x'"),
    ("no option", lambda d: d["decoding"].update(bean=1),
     "damaged: decoding: no option is named 'bean'; did you mean 'beam'?"),
    ("options at odds", lambda d: d["decoding"].update(n_best=2),
     "damaged: decoding.n_best: expected at most beam, which is 1; found 2"),
    ("ratio", lambda d: d.update(length_ratio=10**400),
     "damaged: length_ratio: expected a number of 1e-06 to 1e+06, found 10000"),
    ("no number", lambda d: d.update(length_ratio=float("nan")),
     "damaged: length_ratio: expected a number of 1e-06 to 1e+06, found nan"),
    ("no length", lambda d: d.update(usual_length={"slope": 1.0}),
     "damaged: the key 'intercept' is missing"),
    ("slope", lambda d: d["usual_length"].update(slope=None),
     "damaged: slope: expected a number of -1e+06 to 1e+06, found None"),
    ("spread", lambda d: d["usual_length"].update(spread=0.0),
     "damaged: spread: expected a number of 1e-06 to 1e+06, found 0.0"),
    ("no case", lambda d: d.update(truecase={"usual": []}),
     "damaged: the key 'normalizers' is missing"),
    ("case", lambda d: d.update(
        truecase={"normalizers": ["rot13"], "usual": [], "trusted": [], "capital": True}),
     "damaged: truecase: no normalizer is named 'rot13'"),
    ("no end", lambda d: d["pipelines"]["source"]["specials"].remove("<eos>"),
     "damaged: specials: expected <pad>, <unk>, <eos> among <pad>, <unk>"),
    ("no begin", lambda d: d["pipelines"]["target"]["specials"].remove("<bos>"),
     "damaged: specials: expected <pad>, <unk>, <bos>, <eos> among <pad>, <unk>, <eos>"),
    ("no unknown", lambda d: d["pipelines"]["target"]["specials"].pop(1),
     "damaged: specials: expected <pad>, <unk> first, found <pad>, <bos>"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS / "writes", tmp_path / "model"))


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    described = json.loads((folder / "seqnlp.json").read_text(encoding="utf-8"))
    change(described)
    (folder / "seqnlp.json").write_text(json.dumps(described), encoding="utf-8")


@pytest.mark.parametrize(("_", "change", "message"), DAMAGES, ids=[name for name, *_ in DAMAGES])
def test_a_damaged_description_is_said(
    _: str, change: Callable[[dict[str, Any]], object], message: str, folder: Path
) -> None:
    _edit(folder, change)
    with pytest.raises(FolderError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"{folder}/seqnlp.json: {message}")
    assert "\n" not in str(caught.value)


def test_a_graph_of_other_outputs_is_said(folder: Path) -> None:
    _edit(folder, lambda described: described.update(outputs=20))
    with pytest.raises(FolderError) as caught:
        load(folder)(TEXT)
    assert str(caught.value) == (
        f"{folder}/step.onnx: gives 25 log-probabilities of tokens, where 20 are described"
    )


def test_a_choice_by_risk_is_refused_with_the_text_and_not_before(folder: Path) -> None:
    _edit(folder, lambda described: described["decoding"].update(mbr=True, neighbors=2))
    model = load(folder)
    assert isinstance(model, WriterModel)
    with pytest.raises(RunnerError, match=r"^decoding\.mbr: a choice by risk needs"):
        model(TEXT)
    assert model(TEXT, decoding={"mbr": False, "neighbors": 0}).output
