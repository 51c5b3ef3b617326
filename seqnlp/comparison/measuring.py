"""The answers of runs to the same examples, and their figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqnlp import registry
from seqnlp.bundle import load
from seqnlp.comparison.runs import Run
from seqnlp.config import CorpusSettings, Settings
from seqnlp.data.corpus import Corpus
from seqnlp.errors import InputError
from seqnlp.model_folder import corpus_of
from seqnlp.tasks.base import Task
from seqnlp.types import Prediction

BATCH_SIZE = 64
"""Examples that are answered at once, where nothing else is said."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a run answered. report: as of `Task.report`. parameters: numbers that are trained."""

    run: Run
    answers: Sequence[Prediction]
    references: Sequence[Any]
    report: Mapping[str, Any]
    parameters: int
    fingerprint: str
    """Of the examples."""


@dataclass(frozen=True, kw_only=True)
class Exam:
    """What all runs answer, and how.

    corpus: one by name, or that of each run, cut as its seed says. prepare: is given each task
    before it answers.
    """

    corpus: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    batch_size: int | None = None
    device: str = "cpu"
    engine: str | None = None
    prepare: Callable[[Task], None] = lambda _: None
    _opened: list[tuple[tuple[object, ...], Corpus]] = field(default_factory=list, init=False)

    def corpus_for(self, settings: Settings) -> Corpus:
        """What a run of these settings answers, opened once for all that it is cut alike for."""
        chosen = settings.corpus
        fields = registry.tasks.get(settings.task).fields
        key: tuple[object, ...] = (fields, chosen.source, chosen.target)
        if self.corpus is None:
            shares = chosen.model_copy(update={"columns": self.columns or chosen.columns})
            key = (*key, settings.seed, shares)
        for known, corpus in self._opened:
            if known == key:
                return corpus
        corpus = corpus_of(settings, fields, self.corpus, self.columns)
        self._opened.append((key, corpus))
        return corpus

    def measure(self, run: Run, split: str) -> tuple[Measured, Task]:
        """Let a run answer a split; with its task, which knows how answers are compared.

        Raises:
            InputError: no such split, or a model or a reference that cannot be used.
        """
        model = load(run.folder, device=self.device, engine=self.engine)
        task = model.task
        self.prepare(task)
        corpus = self.corpus_for(run.settings)
        examples = corpus.split(split)
        answers = task.answer(task.read(examples), batch_size=self.batch_size or BATCH_SIZE)
        parameters = sum(each.numel() for each in task.parameters() if each.requires_grad)
        measured = Measured(
            run=run,
            answers=answers,
            references=task.references(examples),
            report=task.report(answers, task.references_in(corpus, split)),
            parameters=parameters,
            fingerprint=examples.fingerprint,
        )
        return measured, task


def check_same_examples(one: Measured, other: Measured, split: str) -> None:
    """Raise an InputError, unless two runs have answered the same examples."""
    if one.fingerprint == other.fingerprint:
        return
    if one.run.seed != other.run.seed and _cut(one.run.settings.corpus, split):
        raise InputError(
            f"{one.run.folder} and {other.run.folder} have cut {split} off train by their seeds, "
            f"{one.run.seed} and {other.run.seed}, so that each has learned from what the other is "
            "measured on; compare runs of the same seeds, or name another corpus by --corpus"
        )
    raise InputError(
        f"{one.run.folder} and {other.run.folder} have other examples in {split}: name the corpus "
        "to compare them on by --corpus"
    )


def _cut(corpus: CorpusSettings, split: str) -> bool:
    return split == "validation" or corpus.test_share > 0
