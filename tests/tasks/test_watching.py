"""An answer while it is written: it grows, and ends as the answer that is given at once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

import seqnlp
from seqnlp.bundle import Model
from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.writing import Writer
from seqnlp.tasks.writing_task import WritingTask
from seqnlp.types import Beginning, Prediction

SENTENCE = "Der Hund will den Ball sehen."
REPORT = "On Monday Kalomi bought a boat. Tevosa was there and saw it."


def watched(model: Model, text: str, **decoding: Any) -> tuple[list[Beginning], Prediction]:
    """All that is said of a text; the model keeps these options."""
    task = model.task
    assert isinstance(task, WritingTask)
    task.decoding = task.decoding.model_copy(update=decoding)
    *begun, answer = model.watch(text)
    assert isinstance(answer, Prediction)
    found = [each for each in begun if isinstance(each, Beginning)]
    assert len(found) == len(begun)
    return found, answer


@pytest.mark.parametrize(
    "decoding",
    [
        {},
        {"beam": 4, "n_best": 2},
        {"sample": True, "seed": 3},
        {"beam": 3, "prefix": "The dog"},
        {"beam": 4, "constraints": ("ball",)},
    ],
)
def test_tokens_add_up_to_the_answer(pairs_run: Path, decoding: dict[str, Any]) -> None:
    model = seqnlp.load(pairs_run)
    begun, answer = watched(model, SENTENCE, **decoding)
    assert answer == model(SENTENCE)
    tokens = [token for each in begun for token in each.tokens]
    assert tuple(tokens) == answer.hypotheses[0].tokens
    assert begun[-1].text == answer.output
    said = [each.text for each in begun if each.tokens]
    assert all(answer.output.startswith(text) for text in said)
    assert all(len(text) < len(more) for text, more in pairwise(said))


def test_a_greedy_answer_grows_by_a_token_a_step(pairs_run: Path) -> None:
    begun, answer = watched(seqnlp.load(pairs_run), SENTENCE)
    tokens = answer.hypotheses[0].tokens
    # The end is a step, too.
    assert [len(each.tokens) for each in begun] == [1] * len(tokens) + [0]
    assert [each.text for each in begun[:3]] == ["The", "The dog", "The dog wants"]


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_text_has_its_answer_at_once(pairs_run: Path, text: str) -> None:
    assert watched(seqnlp.load(pairs_run), text) == ([], Prediction(output=""))


def test_parts_of_a_long_text_follow_each_other(reports_run: Path) -> None:
    model = seqnlp.load(reports_run)
    task = model.task
    text = task.settings.text.model_copy(update={"max_tokens": 8, "long_documents": "chunk"})
    task.settings = task.settings.model_copy(update={"text": text})
    begun, answer = watched(model, " ".join([REPORT] * 3), beam=3)
    assert answer == model(" ".join([REPORT] * 3))
    tokens = [token for each in begun for token in each.tokens]
    assert tuple(tokens) == answer.hypotheses[0].tokens
    assert begun[-1].text == answer.output
    assert len(answer.output.split()) > 8


def test_unknown_words_are_replaced_in_what_is_certain(pairs_run: Path) -> None:
    model = seqnlp.load(pairs_run)
    with torch.no_grad():
        model.task.get_parameter("members.0.output.bias")[1] = 100.0
    begun, answer = watched(model, SENTENCE, replace_unknown="attention", max_length=4)
    assert answer == model(SENTENCE)
    tokens = tuple(token for each in begun for token in each.tokens)
    assert tokens == answer.hypotheses[0].tokens
    assert set(tokens) <= {"Der", "Hund", "will", "den", "Ball", "sehen", "."}
    assert begun[-1].text == answer.output


def test_nothing_is_certain_where_a_neighbor_may_be_chosen(keeping_run: Path) -> None:
    model = seqnlp.load(keeping_run)
    begun, answer = watched(model, REPORT, beam=3, mbr=True, neighbors=2)
    assert answer.output == model(REPORT).output
    assert begun
    assert set(begun) == {Beginning(text="", tokens=())}


def test_where_all_hypotheses_choose_they_share_what_is_certain(pairs_run: Path) -> None:
    model = seqnlp.load(pairs_run)
    begun, answer = watched(model, SENTENCE, beam=3, mbr=True)
    tokens = tuple(token for each in begun for token in each.tokens)
    assert answer == model(SENTENCE)
    assert answer.hypotheses[0].tokens[: len(tokens)] == tokens


def test_who_stops_asking_stops_the_work(pairs_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = seqnlp.load(pairs_run)
    steps = 0
    step = Writer.searching

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal steps
        for each in step(self, *args, **options):
            steps += 1
            yield each

    monkeypatch.setattr(Writer, "searching", counted)
    watcher = model.watch(SENTENCE)
    next(watcher)
    next(watcher)
    assert not torch.is_inference_mode_enabled()
    watcher.close()
    assert steps == 2
    assert model.watch(SENTENCE) is not watcher


def test_two_answers_can_be_written_in_turns(pairs_run: Path) -> None:
    model = seqnlp.load(pairs_run)
    other = "Die Katze kann einen Baum malen."
    first, second = model.watch(SENTENCE), model.watch(other)
    found: dict[str, Prediction] = {}
    while len(found) < 2:
        for text, watcher in ((SENTENCE, first), (other, second)):
            each = next(watcher, None)
            if isinstance(each, Prediction):
                found[text] = each
    assert found == {SENTENCE: model(SENTENCE), other: model(other)}


def test_a_label_comes_at_once(toy_run: Path) -> None:
    model = seqnlp.load(toy_run)
    text = "The film was dull and then great ."
    assert list(model.watch(text)) == [model(text)]


def test_options_are_read_when_the_answer_is_begun(pairs_run: Path) -> None:
    model = seqnlp.load(pairs_run)
    watcher = model.watch(SENTENCE)
    begun = next(watcher)
    model.task.decoding = Decoding(prefix="A cat")
    assert isinstance(begun, Beginning)
    assert [*watcher][-1] == seqnlp.load(pairs_run)(SENTENCE)
