"""Our tasks keep their contract; broken ones are caught."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import pytest
import torch
from pydantic import BaseModel
from torch.nn.functional import cross_entropy

from seqnlp import registry
from seqnlp.config import Settings
from seqnlp.data import Corpus
from seqnlp.tasks import Batch, Rows, Task
from seqnlp.tasks.labeled import LabeledBatch
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.testing import Report, check_task
from seqnlp.testing.toys import toy_corpus
from seqnlp.text import TokenPipeline
from seqnlp.types import Loss, Prediction
from tests.testing.test_networks import names


@pytest.mark.parametrize("name", names("tasks"))
def test_tasks(name: str) -> None:
    report = check_task(name)
    assert {each.check for each in report.findings if each.outcome == "skipped"} == {
        "streams, or says that it cannot"
    }


@pytest.mark.parametrize(
    "options",
    [
        {"settings": {"model": {"bidirectional": False}}},
        {"attention": "additive", "evidence": "naive_bayes", "class_weights": "balanced"},
        {"corpus": "reviews", "rows": 24, "settings": {"text": {"max_tokens": 5}}},
    ],
)
def test_sentiment_with_options(options: dict[str, Any]) -> None:
    streams = {each.check: each for each in check_task("sentiment", **options).findings}
    outcome = streams["streams, or says that it cannot"].outcome
    assert outcome == ("passed" if "model" in options.get("settings", {}) else "skipped")


def test_a_corpus_that_cannot_be_opened_is_told() -> None:
    report = check_task.examine("sentiment", corpus="no-such-corpus")
    (found,) = report.failed
    assert found.what.startswith("there is nothing to try it on: no corpus is named")
    assert "check_task(NAME, corpus=...)" in found.remedy


class MeanLoss(SentimentTask):
    """A loss that is divided already."""

    def loss(self, batch: Batch) -> Loss:
        return Loss(total=super().loss(batch).mean, units=1.0)


class WrongUnits(SentimentTask):
    """Units that are batches."""

    def loss(self, batch: Batch) -> Loss:
        return Loss(total=super().loss(batch).total, units=1.0)


class OfTheBatch(SentimentTask):
    """Logits that depend on the other rows."""

    def loss(self, batch: Batch) -> Loss:
        assert isinstance(batch, LabeledBatch)
        assert batch.labels is not None
        logits = self.members[0](batch.tokens)
        logits = logits - logits.mean(0)
        return Loss(total=cross_entropy(logits, batch.labels, reduction="sum"), units=len(logits))


class Detached(SentimentTask):
    """An encoder that learns nothing."""

    def loss(self, batch: Batch) -> Loss:
        for parameter in self.members[0].encoder.parameters():  # type: ignore[union-attr]
            parameter.grad = None
        with torch.no_grad():
            assert isinstance(batch, LabeledBatch)
            assert batch.labels is not None
            member = self.members[0]
            encoded = member.encoder(member.embedding(batch.tokens), batch.tokens.lengths)  # type: ignore[operator]
        logits = member.classify(encoded)  # type: ignore[operator]
        return Loss(total=cross_entropy(logits, batch.labels, reduction="sum"), units=len(logits))


class Uphill(SentimentTask):
    """A loss that grows with what is right."""

    def loss(self, batch: Batch) -> Loss:
        loss = super().loss(batch)
        return Loss(total=-loss.total, units=loss.units)


class Shuffled(SentimentTask):
    """Answers in the order of lengths."""

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        found = super().answer(rows, batch_size=batch_size)
        return sorted(found, key=lambda each: max((each.probabilities or {}).values()))


class StaysInEvaluation(SentimentTask):
    """Forgets that it was training."""

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        self.eval()
        return super().answer(rows, batch_size=batch_size)


class NoLabels(SentimentTask):
    """Saves its labels in another order."""

    def state(self) -> dict[str, Any]:
        state = super().state()
        return {**state, "labels": state["labels"][::-1]}


class Unwritable(SentimentTask):
    """A state that is no JSON."""

    def state(self) -> dict[str, Any]:
        return {**super().state(), "known": {"good"}}


class SecretFigure(SentimentTask):
    """Gives a figure that it does not name."""

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, float]:
        return {**super().score(predictions, references), "acuracy": 1.0}


class OtherReport(SentimentTask):
    """Reports another accuracy than it scores."""

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, Any]:
        report = super().report(predictions, references)
        return {**report, "accuracy": {**report["accuracy"], "value": 0.123}}


class Fragile(SentimentTask):
    """Cannot cope with a blank text."""

    def answer_texts(self, texts: Sequence[str], *, batch_size: int) -> list[Prediction]:
        assert all(text.strip() for text in texts)
        return super().answer_texts(texts, batch_size=batch_size)


class FixedSeed(SentimentTask):
    """The same weights for every seed."""

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> SentimentTask:
        torch.manual_seed(0)
        return super().create(settings, corpus)


class NoMonitor(SentimentTask):
    """Names other figures than its settings look at."""

    figures = ("loss",)  # type: ignore[assignment]


class LooseOptions(SentimentTask):
    """Options of any name."""

    class Options(BaseModel):  # type: ignore[assignment]
        """Takes all."""


class Summed(SentimentTask):
    """Members whose logits are summed."""

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        combined = super().combine(tasks)
        with torch.no_grad():
            for member in combined.members:
                member.output.weight.mul_(20)  # type: ignore[union-attr, operator]
        return combined


class Unregistered(SentimentTask):
    """Names a part that is none."""

    @classmethod
    def named_parts(cls, settings: Settings) -> list[tuple[str, str]]:
        return [*super().named_parts(settings), ("poolings", "whatever")]


class Unfinished(Task):
    """Lacks most of what a task is."""

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, TokenPipeline], state: Mapping[str, Any]
    ) -> Self:
        raise NotImplementedError


FAULTS = {
    MeanLoss: ("the loss is a sum over its rows", "sum, do not average"),
    WrongUnits: ("the loss is a sum over its rows", "count the same units"),
    OfTheBatch: ("the loss is a sum over its rows", "let each row be what it is alone"),
    Detached: ("gradients reach every weight", "use them in `loss`"),
    Uphill: ("learns", ""),
    Shuffled: ("every example has an answer", "in the order of the rows"),
    StaysInEvaluation: ("every example has an answer", "with self.evaluating()"),
    NoLabels: ("restored from its state it answers the same", "put in state()"),
    Unwritable: ("restored from its state it answers the same", "give plain numbers"),
    SecretFigure: ("figures are those that it names", "did you mean 'accuracy'"),
    OtherReport: ("figures are those that it names", "compute both by one function"),
    Fragile: ("what a user types is answered", ""),
    FixedSeed: ("is made from settings and a corpus", "set no seed in create"),
    NoMonitor: ("says what it reads and gives", "set defaults ="),
    LooseOptions: ("options are typed", "write class Options(Section)"),
    Summed: ("several are combined", "average what the members say"),
    Unregistered: ("a run saves a model that answers the same", "name registered parts"),
    Unfinished: ("says what it reads and gives", "see seqnlp.tasks.Task"),
}


def failed(report: Report) -> dict[str, str]:
    return {each.check: each.remedy for each in report.failed}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught_by_its_check(fault: type[Task]) -> None:
    check, remedy = FAULTS[fault]
    report = check_task.examine(fault, corpus=toy_corpus())
    assert remedy in failed(report).get(check, "no failure"), report.lines()
    assert fault.__name__ not in json.dumps(list(registry.tasks.names()))
