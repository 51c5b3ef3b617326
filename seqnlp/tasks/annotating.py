"""Answers to what others have: columns of a table, words of another tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from seqnlp.data.columns import shorten
from seqnlp.errors import InputError, suggest
from seqnlp.tasks.base import Task
from seqnlp.types import Prediction

WINDOW = 4096
"""Documents that are read at once; batches are of documents of like length among them."""


def annotate(
    task: Task, batch: Mapping[str, Sequence[Any]], *, column: str | None = None, batch_size: int
) -> dict[str, list[Any]]:
    """The answers to a column of texts.

    Args:
        task: answers them.
        batch: columns by name.
        column: the one with the texts; by default that with one of the task's names for them.

    Returns:
        predicted_NAME, where NAME is what the task calls its answers: "label", "target",
        "summary"; and `probabilities`, label to probability, where the task has labels.

    Raises:
        InputError: there is no such column, a value in it is no text, or it is a row and no batch.
    """
    name = _find(task, list(batch.keys()), column)
    if isinstance(batch[name], str):
        raise InputError(
            "annotate: one row, expected a batch: dataset.map(model.annotate, batched=True)"
        )
    texts = list(batch[name])
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"annotate: row {row} of the batch: the column {name!r} has {text!r:.60}, "
                "expected a text"
            )
    answers = task.answer_texts(texts, batch_size=batch_size)
    made: dict[str, list[Any]] = {f"predicted_{answer_name(task)}": [a.output for a in answers]}
    if any(answer.probabilities is not None for answer in answers):
        made["probabilities"] = [
            answer.probabilities and dict(answer.probabilities) for answer in answers
        ]
    return made


def answer_words(
    task: Task, documents: Iterable[Sequence[str]], *, batch_size: int
) -> Iterator[Prediction]:
    """Answer documents that another tokenizer has cut into words, in their order, lazily.

    Token i of a document is word i of it, normalized by itself.

    Raises:
        InputError: the task's own tokens are parts of words, it reads no tokens, or a document is
            a text.
    """
    if not task.pipeline_names:
        raise InputError(f"the task {task.settings.task!r} reads no texts, and so no words")
    tokenizer = task.pipeline.tokenizer
    if tokenizer.needs_training or tokenizer.lossless:
        raise InputError(
            f"this model's tokens are parts of words, made by its tokenizer {tokenizer.family!r}; "
            "words of another tokenizer are for one trained with text.tokenizer = 'spacy:en', "
            "'regex' or the like"
        )
    iterator = iter(documents)
    begin = 0
    while block := list(islice(iterator, WINDOW)):
        for number, words in enumerate(block, start=begin):
            if isinstance(words, str):
                raise InputError(
                    f"predict_tokens: document {number} is {words!r:.60}, expected a list of words"
                )
        begin += len(block)
        rows = task.read_tokens([task.pipeline.normalize_tokens(each) for each in block])
        yield from task.answer(rows, batch_size=batch_size)


def answer_name(task: Task | type[Task]) -> str:
    """What the task calls its answers: the second of its fields."""
    return task.fields[1].name if len(task.fields) > 1 else "output"


def _find(task: Task, names: Sequence[str], column: str | None) -> str:
    if not task.pipeline_names:
        raise InputError(f"annotate: the task {task.settings.task!r} reads no texts")
    if column is not None:
        if column not in names:
            raise InputError(f"annotate: no column {column!r}; {suggest(column, shorten(names))}")
        return column
    field = task.fields[0]
    plain = [name.strip().casefold() for name in names]
    for alias in (*field.aliases, field.name):
        if alias.casefold() in plain:
            return names[plain.index(alias.casefold())]
    raise InputError(
        f"annotate: no column for {field.name} among {', '.join(shorten(names))}; "
        "name it: column=..., or in dataset.map fn_kwargs={'column': ...}"
    )
