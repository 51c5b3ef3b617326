"""What quantization costs and gains: a float model and its quantized copy side by side."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from torch import nn

from seqnlp.bundle import Model
from seqnlp.cli.report import figures
from seqnlp.cli.screen import open_screen
from seqnlp.cli.tables import plain_table
from seqnlp.data.corpus import Corpus
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.quantization import weight_bytes
from seqnlp.tasks.metrics import heading, in_hundreds, intervals_of
from seqnlp.types import Prediction

_ONE_BY_ONE, _IN_BATCHES = 64, 512
"""So many texts are timed."""
_ROUNDS, _FEWEST, _SECONDS = 15, 3, 4.0
"""Of each timing: at most so many rounds, fewer where they take longer than that."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one of the models is and does.

    speed: texts a second, one by one and in batches.
    """

    model: Model
    report: dict[str, Any]
    answers: Sequence[Prediction]
    speed: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Bytes of the recurrent layers and of everything."""
        parts = [each for each in self.model.task.modules() if isinstance(each, RecurrentLayer)]
        return weight_bytes(nn.ModuleList(parts)), weight_bytes(self.model.task)

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        recurrent, everything = self.size
        alone, batched = self.speed
        return {
            **self.report,
            "bytes": {"recurrent": recurrent, "all": everything},
            "texts_per_second": {"one_by_one": alone, "in_batches": batched},
        }


def compare(
    model: Model, kind: str, corpus: Corpus, split: str, *, batch_size: int, as_json: bool
) -> None:
    """Measure a model and its quantized copy on a split, and print both.

    Raises:
        InputError: the model cannot be quantized, or see `Model.evaluate`.
    """
    before, after = measure(model, model.quantize(kind), corpus, split, batch_size=batch_size)
    pairs = list(zip(before.answers, after.answers, strict=True))
    differing = sum(a.output != b.output for a, b in pairs)
    moved = max((_moved(a, b) for a, b in pairs), default=0.0)
    if as_json:
        record = {
            "corpus": corpus.name, "split": split,
            "float32": before.record(), kind: after.record(), "answers_that_differ": differing,
            "largest_change_of_a_probability": moved,
        }  # fmt: skip
        click.echo(json.dumps(record))
        return
    screen = open_screen()
    where = f"{corpus.name} {split}"
    screen.print(figures([(where, "float32", before.report), (where, kind, after.report)]))
    figure, change = main_change(before.report, after.report)
    shares = any(answer.probabilities for answer in before.answers)
    probabilities = f" and probabilities by at most {moved:.4f}" if shares else ""
    screen.print(
        f"{kind} changes {figure} by {change:+.2f} points{probabilities}; {differing:,} of "
        f"{len(pairs):,} answers differ\n",
        highlight=False,
    )
    table = plain_table("size and speed, on this machine, tokenizing included")
    for title in ("", "float32", kind, "ratio"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    for name, old, new in zip(
        ("recurrent layers", "whole model"), before.size, after.size, strict=True
    ):
        table.add_row(f"{name}, MB", f"{old / 1e6:.2f}", f"{new / 1e6:.2f}", f"{new / old:.2f}")
    names = ("texts a second, one by one", f"texts a second, in batches of {batch_size}")
    for name, old_speed, new_speed in zip(names, before.speed, after.speed, strict=True):
        ratio = f"{new_speed / old_speed:.2f}"
        table.add_row(name, f"{old_speed:,.0f}", f"{new_speed:,.0f}", ratio)
    screen.print(table)


def _moved(before: Prediction, after: Prediction) -> float:
    """The largest change of a probability."""
    old, new = before.probabilities or {}, after.probabilities or {}
    return max((abs(share - new[label]) for label, share in old.items()), default=0.0)


def main_change(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, float]:
    """The first figure that has an interval, and by how many points it changed."""
    name, old = next(iter(intervals_of(before).items()))
    return heading(name, old), in_hundreds(after[name])[0] - in_hundreds(old)[0]


def measure(
    model: Model, quantized: Model, corpus: Corpus, split: str, *, batch_size: int
) -> tuple[Side, Side]:
    """Both models on a split. Times are medians of turns that alternate.

    Raises:
        InputError: see `Model.evaluate`.
    """
    examples = corpus.split(split)
    references = model.task.references(examples)
    texts = list(examples.column(model.task.fields[0].name))
    pair = model, quantized
    answers = [each.task.answer(each.task.read(examples), batch_size=batch_size) for each in pair]
    few = texts[:: max(1, len(texts) // _ONE_BY_ONE)][:_ONE_BY_ONE]
    many = texts[:: max(1, len(texts) // _IN_BATCHES)][:_IN_BATCHES]
    alone = _seconds([lambda each=each: [each(text) for text in few] for each in pair])  # type: ignore[misc]
    together = _seconds(
        [lambda each=each: list(each.predict(many, batch_size=batch_size)) for each in pair]  # type: ignore[misc]
    )
    before, after = (
        Side(
            model=each,
            report=each.task.report(found, references),
            answers=found,
            speed=(len(few) / alone[side], len(many) / together[side]),
        )
        for side, (each, found) in enumerate(zip(pair, answers, strict=True))
    )
    return before, after


def _seconds(calls: Sequence[Callable[[], object]]) -> list[float]:
    """How long each call takes: medians, the calls by turns after one each that does not count."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + _SECONDS
    while len(times[0]) < _ROUNDS:
        if len(times[0]) >= _FEWEST and time.perf_counter() > end:
            break
        for own, call in zip(times, calls, strict=True):
            began = time.perf_counter()
            call()
            own.append(time.perf_counter() - began)
    return [statistics.median(own) for own in times]
