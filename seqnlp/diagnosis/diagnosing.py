"""Diagnosing a model: a batch through it once, and every figure of what happened there."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import torch

from seqnlp.bundle import Model
from seqnlp.data.corpus import Corpus
from seqnlp.diagnosis.capture import Captured, capture
from seqnlp.diagnosis.gates import dead_units, measure_blocks, measure_gates
from seqnlp.diagnosis.reading import readings
from seqnlp.diagnosis.report import (
    Clipping,
    Diagnosis,
    LayerReport,
    WeightReport,
    short_names,
)
from seqnlp.diagnosis.through_time import measure_flow
from seqnlp.diagnosis.verdict import judge
from seqnlp.errors import InputError
from seqnlp.nn.cells.base import Role
from seqnlp.nn.modes import in_mode
from seqnlp.tasks.base import Batch, Rows, Task

SPAN = 1000


def diagnose(
    model: Model | Task,
    corpus: Corpus | None = None,
    *,
    split: str = "train",
    examples: int = 32,
    span: int = SPAN,
) -> Diagnosis:
    """Say how gradients flow through a model, and what to do about it.

    The model is left as it is, and so are the generators of random numbers.

    Args:
        model: saved or in memory.
        corpus: with that split; the model's own by default.
        split: that the rows are drawn from, always the same ones.
        examples: the most rows.
        span: the most steps back from the last of a row.

    Raises:
        InputError: no such split, no rows to learn from, or a model without a recurrent layer.
    """
    if examples < 1 or span < 1:
        raise InputError(f"examples and span must be at least 1, not {examples} and {span}")
    task = model.task if isinstance(model, Model) else model
    if corpus is None:
        corpus = (model if isinstance(model, Model) else Model(model, {})).corpus()
    # Reading for training may fit what the task derives from references: of a copy, not of it.
    rows = deepcopy(task).read(corpus.split(split), training=True)
    if not len(rows.lengths):
        raise InputError(f"{corpus.name}: the split {split!r} has no rows to learn from")
    batch = choose_rows(rows, examples)
    return examine(task, batch.to(task.device), split=split, span=span)


def choose_rows(rows: Rows, examples: int) -> Batch:
    """A batch of so many rows, or of all, drawn by a generator of its own."""
    count = len(rows.lengths)
    drawn = np.random.default_rng(0).permutation(count)[:examples]
    return rows.batch(np.sort(drawn).astype(np.int64))


def examine(
    task: Task,
    batch: Batch,
    *,
    split: str,
    span: int = SPAN,
    updates: Mapping[str, float] | None = None,
    clipping: Clipping | None = None,
    epoch: int | None = None,
    step: int | None = None,
    thorough: bool = True,
) -> Diagnosis:
    """`diagnose` of one batch on the task's device.

    Args:
        task: in any mode, which it keeps.
        batch: of rows that it learns from.
        split: that they are from.
        span: see `diagnose`.
        updates: norm of each parameter's last change over its norm.
        clipping: what was cut.
        epoch: of the training.
        step: of the training.
        thorough: whether recurrent weights are looked at of cells with several, too, which takes
            longer than all the rest in large ones.
    """
    devices = [] if task.device.type == "cpu" else [task.device]
    with in_mode(task, training=False), torch.random.fork_rng(devices):
        captured = capture(task, batch)
        layers = _layers(captured, span, thorough=thorough)
    weights = _weights(task, captured, updates or {})
    return Diagnosis(
        split=split,
        rows=max((layer.rows for layer in layers), default=0),
        loss=captured.loss,
        layers=layers,
        weights=weights,
        verdicts=tuple(judge(layers, weights, clipping, task.settings, loss=captured.loss)),
        clipping=clipping,
        epoch=epoch,
        step=step,
    )


def _layers(captured: Captured, span: int, *, thorough: bool) -> tuple[LayerReport, ...]:
    names = short_names(list(captured.calls))
    found = []
    for path, calls in captured.calls.items():
        for direction, cell, each in readings(calls):
            if not each:
                continue
            lengths = torch.cat([reading.lengths for reading in each])
            found.append(
                LayerReport(
                    name=f"{names[path]} {direction}".rstrip(),
                    path=path,
                    cell=type(cell).__name__,
                    remembers=any(role is Role.FORGET_BIAS for role, _ in cell.weight_blocks()),
                    units=cell.hidden_size,
                    dead_units=dead_units(each),
                    rows=len(lengths),
                    median_steps=int(lengths.median()),
                    flow=measure_flow(each, span=span),
                    gates=measure_gates(each),
                    blocks=measure_blocks(cell, most=None if thorough else 1),
                )
            )
    return tuple(found)


def _weights(
    task: Task, captured: Captured, updates: Mapping[str, float]
) -> tuple[WeightReport, ...]:
    found = []
    for name, weight in task.named_parameters():
        if name in captured.gradients:
            gradient, norm = captured.gradients[name], weight.detach().norm().item()
            size = 0.0 if gradient is None else gradient.norm().item()
            found.append(
                WeightReport(
                    name=name,
                    norm=norm,
                    gradient=size / norm if norm else 0.0,
                    update=updates.get(name),
                )
            )
    return tuple(found)
