"""The task of remembering, from a name to figures."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import seqnlp
from seqnlp.data import Corpus, Split, open_corpus
from seqnlp.errors import InputError, SettingsError
from seqnlp.tasks.adding import Adding
from seqnlp.tasks.copy_memory import CopyMemory
from seqnlp.tasks.long_range import LongRangeTask, find_problem, problem_from
from seqnlp.testing import check_task
from tests.cli.calling import call

SIZES = "train=60,validation=20,test=30"
ADDING, COPY = f"adding:8,{SIZES}", f"copy_memory:4,symbols=3,alphabet=4,{SIZES}"
TINY = ("model.hidden_size=4", "train.epochs=1", "threads=1")


def settings(name: str, *overrides: str) -> Any:
    return seqnlp.load_settings(
        overrides=[f"corpus.name={name}", "task=long_range", *TINY, *overrides],
        base=LongRangeTask.defaults,
    )


def made(name: str, *overrides: str) -> tuple[LongRangeTask, Corpus]:
    torch.manual_seed(0)
    corpus = open_corpus(name, fields=LongRangeTask.fields)
    return LongRangeTask.create(settings(name, *overrides), corpus), corpus


@pytest.mark.parametrize("name", [ADDING, COPY])
def test_it_keeps_the_contract_of_tasks(name: str) -> None:
    report = check_task(LongRangeTask, corpus=name)
    assert report.ok, "\n".join(report.lines())


def test_numbers_are_read_with_their_marks() -> None:
    rows = made(ADDING)[0].read_texts(["0.3 0.8* .5", "1*"])
    batch = rows.batch(np.array([0, 1]))
    expected = torch.tensor([[[0.3, 0], [0.8, 1], [0.5, 0]], [[1, 1], [0, 0], [0, 0]]])
    torch.testing.assert_close(batch.x, expected)
    assert batch.lengths.tolist() == [3, 1]
    assert batch.goals is None


def test_symbols_are_read_as_the_steps_of_the_literature() -> None:
    problem = CopyMemory(["a", "b"])
    steps = problem.parse("b a -x2 - ?", "here")
    # b a, three blanks, the sign, and a blank for each symbol that is to be written.
    assert steps.tolist() == [1, 0, 2, 2, 2, 3, 2, 2]
    x = problem.features([steps, steps[:3]], 8)
    assert x.argmax(2)[0].tolist() == steps.tolist()
    assert x.sum(2).tolist() == [[1] * 8, [1] * 3 + [0] * 5]
    goals = problem.goals([steps, problem.parse("a ?", "here")], [("b", "a"), ("a",)], 8)
    assert goals.tolist() == [[2] * 6 + [1, 0], [2, 2, 0] + [-100] * 5]
    assert len(CopyMemory(list("abcdefgh")).parse("a " * 10 + "-x99 ?", "here")) == 100 + 20


def test_the_losses_are_those_of_torch() -> None:
    task, corpus = made(ADDING)
    batch = task.read(corpus.split("train")).batch(np.arange(5))
    found = task.loss(batch)
    sums = task.members[0](batch.x, batch.lengths).squeeze(1)
    torch.testing.assert_close(found.mean, functional.mse_loss(sums, batch.goals))
    task, corpus = made(COPY)
    split = corpus.split("validation")
    batch = task.read(split).batch(np.arange(20))
    logits = task.members[0](batch.x, batch.lengths)
    expected = functional.cross_entropy(logits.flatten(0, 1), batch.goals.flatten())
    torch.testing.assert_close(task.loss(batch).mean, expected)
    # Figures of answers say the same, and so they do of rows of several lengths.
    figures = task.validate(task.read(split), task.references(split), batch_size=7)
    assert figures["loss"] == pytest.approx(expected.item(), rel=1e-5)
    right = (logits[:, -3:].argmax(2) == batch.goals[:, -3:]).float()
    assert figures["accuracy"] == pytest.approx(right.mean().item())
    assert figures["solved"] == pytest.approx(right.prod(1).mean().item())


def test_who_remembers_nothing_gets_what_theory_says() -> None:
    task, corpus = made("copy_memory:90,train=5,validation=5,test=5")
    guess = task.baselines(corpus)["no memory"]
    assert guess["loss"]["value"] == pytest.approx(10 * math.log(8) / (90 + 20))
    assert task.read(corpus.split("train"), training=True).notes == (
        f"who remembers nothing has a loss of {10 * math.log(8) / 110:.4g} at best",
    )
    task, corpus = made("adding:4,train=5,validation=5,test=4000")
    guess = task.baselines(corpus)["no memory"]
    assert guess["mse"]["low"] < 1 / 6 < guess["mse"]["high"]
    assert guess["solved"]["value"] == pytest.approx(1 - (1 - 0.04) ** 2, abs=0.02)


def test_solved_is_within_four_hundredths() -> None:
    problem = Adding()
    outputs = torch.tensor([[1.0], [0.539], [0.541], [0.461]])
    answers = problem.predict(outputs, [])
    figures = problem.figures(problem.statistics(answers, [0.0, 0.5, 0.5, 0.5]).sum(0), 4)
    assert figures["solved"] == 0.5
    assert figures["mse"] == pytest.approx((1 + 0.039**2 + 0.041**2 + 0.039**2) / 4)
    assert [each.output for each in answers] == ["1.000", "0.539", "0.541", "0.461"]


def test_members_are_averaged() -> None:
    for name in (ADDING, COPY):
        tasks = [made(name)[0] for _ in range(2)]
        torch.nn.init.normal_(tasks[1].members[0].output.weight)
        both = LongRangeTask.combine(tasks)
        text = "0.1 0.2* 0.3*" if name == ADDING else "a c b -x3 ?"
        one, other, mean = (task.answer_texts([text], batch_size=1)[0] for task in (*tasks, both))
        details = [dict(each.details or {}) for each in (one, other, mean)]
        if name == ADDING:
            sums = [each["sum"] for each in details]
            assert sums[2] == pytest.approx((sums[0] + sums[1]) / 2)
        else:
            shares = [math.exp(each["log_probabilities"][0]["b"]) for each in details]
            assert shares[2] == pytest.approx((shares[0] + shares[1]) / 2)
    with pytest.raises(ValueError, match="different problems"):
        LongRangeTask.combine([made(ADDING)[0], made(COPY)[0]])


def test_the_problem_is_found_out_or_named() -> None:
    assert find_problem(["0.1 0.2*"]).state() == {"problem": "adding"}
    assert find_problem(["b -x9 ?", "a b - ?"]).state()["alphabet"] == ["a", "b"]
    assert find_problem(["3 1 ?"], kind="adding").name == "adding"
    for problem in (Adding(), CopyMemory(["x", "y"])):
        assert problem_from(json.loads(json.dumps(problem.state()))).state() == problem.state()
    with pytest.raises(ValueError, match="no problem 'other'"):
        problem_from({"problem": "other"})
    with pytest.raises(InputError, match="an alphabet must have 1 to 1000 symbols"):
        find_problem(["?"])


@pytest.mark.parametrize(
    ("problem", "text", "message"),
    [
        (Adding(), "", "here: the sequence has no numbers"),
        (Adding(), "0.1 0,2", r"here: number 2 is '0,2'; expected such as 0.31, or 0.31\* where"),
        (Adding(), "0.1 nan*", r"here: number 2 is 'nan\*'"),
        (Adding(), "0.1 1e39*", r"here: number 2 is '1e39\*'"),
        (Adding(), "-inf", r"here: number 1 is '-inf'"),
        (Adding(), "0.1 *", r"here: number 2 is '\*'"),
        (CopyMemory(["up", "down"]), "up down", r"here: the sequence does not end with '\?'"),
        (CopyMemory(["up", "down"]), "dwn ?", "'dwn' is no symbol of the training sequences; did you mean 'down'"),
        (CopyMemory(["up", "down"]), "-x3 ?", "here: the sequence has no symbols"),
        (CopyMemory(["up", "down"]), "up -x2000000 ?", "a pause of 2,000,000; expected at most 1,000,000"),
    ],
)  # fmt: skip
def test_a_sequence_that_cannot_be_is_refused(problem: Any, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        problem.parse(text, "here")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        ("0.1* 0.2*", "0.3*", r"row 1: the sum is '0.3\*'; expected a number"),
        ("0.1* 0.2*", "1e300", "row 1: the sum is '1e300'; expected a number"),
        ("0.1* 0.2*", "much", "row 1: the sum is 'much'; expected a number"),
        ("a b ?", "a", "row 1: 1 symbols are to be written; expected as many as are read, 2"),
        ("a b ?", "a c", "row 1: 'c' is no symbol of the training sequences"),
    ],
)
def test_a_reference_that_cannot_be_is_refused(inputs: str, targets: str, message: str) -> None:
    split = Split.from_examples("train", [{"inputs": inputs, "targets": targets}], origin="mine")
    corpus = Corpus(name="mine", splits={"train": split})
    task = LongRangeTask.create(settings(ADDING), corpus)
    with pytest.raises(InputError, match=message):
        task.read(split)


def test_pooling_is_for_one_answer_a_sequence() -> None:
    task, corpus = made(ADDING, 'head.pooling=["last", "attention"]')
    assert task.members[0].output.in_features == 8
    assert ("poolings", "attention") in LongRangeTask.named_parts(task.settings)
    assert task.answer(task.read(corpus.split("test")), batch_size=8)
    other, _ = made(ADDING, "head.attention=dot", 'head.pooling=["mean", "attention"]')
    assert LongRangeTask.named_parts(other.settings)[-3:] == [
        ("poolings", "mean"), ("poolings", "attention"), ("attentions", "dot"),
    ]  # fmt: skip
    assert other.members[0].poolings[1].attention.__class__.__name__ == "DotAttention"
    for override in ("head.pooling=attention", "head.attention=dot"):
        with pytest.raises(SettingsError, match=r"head\.pooling: copy_memory asks for an answer"):
            made(COPY, override)
    with pytest.raises(SettingsError, match=r"head\.pooling: name at least one, or an attention"):
        made(ADDING, "head.pooling=[]")


def test_models_are_compared_by_the_same_draws() -> None:
    task, corpus = made(ADDING)
    split = corpus.split("test")
    references = task.references(split)
    close = task.problem.predict(torch.tensor(references).unsqueeze(1) + 0.01, [])
    far = task.problem.predict(torch.tensor(references).unsqueeze(1) + 0.1, [])
    found = task.compare(far, close, references)
    assert found["mse"]["difference"]["value"] == pytest.approx(0.01**2 - 0.1**2, rel=1e-4)
    assert found["mse"]["wins"] == 1  # which is lower
    assert found["solved"]["second"] == 1
    assert found["solved"]["p_value"] < 0.01


def test_an_example_to_try_is_short() -> None:
    corpus = open_corpus("adding:50,train=5,validation=5,test=5", fields=LongRangeTask.fields)
    words = LongRangeTask.example(corpus.split("test")).split()
    assert 4 <= len(words) <= 6
    assert sum(word.endswith("*") for word in words) == 2
    memory = open_corpus(f"copy_memory:50,{SIZES}", fields=LongRangeTask.fields).split("test")
    assert LongRangeTask.example(memory) == memory[0]["inputs"]


def test_it_goes_all_the_way_on_the_command_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, text in ((ADDING, "0.3 0.8* 0.1 0.5*"), (COPY, "a c b -x3 ?")):
        folder = tmp_path / name[:4]
        sets = [word for item in TINY for word in ("--set", item)]
        status, _, err = call(
            capfd, "train", "--task", "long_range", "--corpus", name, "--cell", "gru",
            "--set", "ensemble=2", "--output", folder, *sets,
        )  # fmt: skip
        assert status == 0, err
        assert "no memory" in err
        model = seqnlp.load(folder)
        assert call(capfd, "predict", folder, text)[1] == f"{model(text).output}\n"
        figure = "mse" if name == ADDING else "loss"
        value = model.metrics["test"][figure]["value"]
        assert model.evaluate(model.corpus())[figure]["value"] == pytest.approx(value)
        assert f"{value:.5f}" in (folder / "README.md").read_text()
        other = shutil.copytree(folder, tmp_path / f"{name[:4]}-other")
        status, _, _ = call(capfd, "compare", folder, other)
        assert status == 0
    status, _, err = call(capfd, "predict", tmp_path / "addi", "0.3 x")
    assert status == 2
    assert "0.3 x: number 2 is 'x'; expected such as 0.31" in err
    status, _, err = call(capfd, "predict", tmp_path / "addi", "")
    assert (status, err) == (2, "error: an empty text: the sequence has no numbers\n")
