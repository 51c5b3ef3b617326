"""What a task says of itself, and how it learns."""

from __future__ import annotations

import inspect

import numpy as np
import torch
from numpy.typing import NDArray

from seqnlp.config import Section, load_settings, validate_section
from seqnlp.errors import SettingsError
from seqnlp.tasks import Batch, Rows, Task
from seqnlp.testing.contract import Violation
from seqnlp.testing.requiring import require
from seqnlp.testing.signature import check_described
from seqnlp.testing.tasks.subject import Subject
from seqnlp.testing.tensors import require_finite
from seqnlp.types import Field, Loss


def check_itself(subject: Subject) -> str | None:
    kind = subject.task_class
    require(
        inspect.isclass(kind) and issubclass(kind, Task),
        f"{subject.part.name} is no subclass of seqnlp.tasks.Task",
        "derive it: class MyTask(Task)",
    )
    missing = sorted(getattr(kind, "__abstractmethods__", ()))
    require(not missing, f"it lacks {', '.join(missing)}", "write them; see seqnlp.tasks.Task")
    for name in ("fields", "Options", "figures"):
        require(
            hasattr(kind, name), f"it has no {name}",
            f"set {name} on the class; see seqnlp.tasks.Task",
        )  # fmt: skip
    require(
        isinstance(kind.fields, tuple) and all(isinstance(each, Field) for each in kind.fields),
        "fields is no tuple of seqnlp.types.Field",
        'write fields = (Field(name="text", aliases=("text", "sentence")),)',
    )
    unknown = sorted(kind.lower_is_better - {*kind.figures, "loss"})
    require(
        not unknown, f"lower_is_better has {', '.join(unknown)}, which figures lacks",
        "name in it figures that `validate` gives",
    )  # fmt: skip
    settings = load_settings(None, base=kind.defaults)
    require(
        settings.train.monitor in kind.figures,
        f"train.monitor is {settings.train.monitor!r}, but the figures are "
        f"{', '.join(kind.figures)}",
        f'set defaults = {{"train": {{"monitor": "{kind.figures[0]}"}}}} on the class',
    )
    return check_described(subject.part)


def check_options(subject: Subject) -> str | None:
    options = subject.task_class.Options
    require(
        inspect.isclass(options) and issubclass(options, Section),
        "Options is no subclass of seqnlp.config.Section",
        "write class Options(Section), with a type and a default for each key",
    )
    validate_section(options, {}, "head")
    try:
        validate_section(options, {"no_such_option": 1}, "head")
    except SettingsError:
        names = ", ".join(options.model_fields)
        return f"options: {names}" if names else "no options"
    raise Violation("Options takes a key that it does not have", "leave extra='forbid' of Section")


def check_made(subject: Subject) -> str | None:
    first, again, other = subject.create(), subject.create(), subject.create(seed=1)
    weights, same = first.state_dict(), again.state_dict()
    for name, value in weights.items():
        require_finite(value, f"the weights {name} before training", "draw them finite")
        require(
            torch.equal(value, same[name]), f"{name} of two tasks of one seed differ",
            "draw first weights by torch alone, which the run seeds",
        )  # fmt: skip
    drawn = [name for name, value in other.state_dict().items() if name in weights]
    require(
        any(not torch.equal(other.state_dict()[name], weights[name]) for name in drawn),
        "tasks of two seeds have the same weights", "set no seed in create",
    )  # fmt: skip
    require(
        first.settings == subject.settings, "its settings are not those that it was made with",
        "keep them: self.settings = settings",
    )  # fmt: skip
    names = tuple(first.pipelines)
    require(
        names == tuple(first.pipeline_names),
        f"its pipelines are {names}, but pipeline_names is {first.pipeline_names}",
        "let `pipelines` give one for each name, in their order",
    )
    size = sum(each.numel() for each in first.parameters() if each.requires_grad)
    return f"{size:,} weights on {len(subject.split('train'))} rows of {subject.corpus.name}"


def check_rows(subject: Subject) -> str | None:
    for split, training in (("train", True), (subject.held_out, False)):
        rows = subject.task.read(subject.split(split), training=training)
        require(isinstance(rows, Rows), f"read gives {type(rows).__name__}", "return Rows")
        lengths = np.asarray(rows.lengths)
        require(
            lengths.dtype == np.int64 and lengths.ndim in (1, 2) and len(lengths) > 0
            and int(lengths.min()) >= 0,
            f"lengths of {split} are {lengths.dtype} {list(lengths.shape)}",
            "set lengths to int64 [R], the tokens or steps of each row, at least one row",
        )  # fmt: skip
    batch = subject.rows.batch(chosen_rows(subject.rows))
    require(isinstance(batch, Batch), f"a batch is {type(batch).__name__}", "derive it from Batch")
    moved = batch.to("cpu")
    require(
        isinstance(moved, type(batch)), f"batch.to gives {type(moved).__name__}",
        "return a batch of the same kind on the device",
    )  # fmt: skip
    again = subject.rows.for_epoch(1)
    require(isinstance(again, Rows), f"for_epoch gives {type(again).__name__}", "return Rows")
    return f"{len(subject.rows.lengths)} rows to learn from"


def chosen_rows(rows: Rows, count: int = 6) -> NDArray[np.int64]:
    """Rows of lengths as different as there are."""
    lengths = np.asarray(rows.lengths).reshape(len(rows.lengths), -1).sum(1)
    order = np.argsort(lengths, kind="stable")
    return order[np.unique(np.linspace(0, len(order) - 1, count).astype(np.int64))]


def check_loss(subject: Subject) -> str | None:
    task, indices = subject.task, chosen_rows(subject.rows)
    whole = task.loss(subject.rows.batch(indices))
    require(
        isinstance(whole, Loss) and whole.total.dim() == 0, "loss gives no scalar in a Loss",
        "return Loss(total=the sum in nats, units=how many it is summed over)",
    )  # fmt: skip
    require_finite(whole.total.detach(), "the loss", "divide by no sum that may be zero")
    require(
        isinstance(whole.units, float | int) and whole.units > 0, f"units are {whole.units!r}",
        "count what the sum is over, as a float: examples, tokens",
    )  # fmt: skip
    require(
        whole.total.requires_grad, "the loss has no gradient",
        "compute it in torch, without item(), detach() or no_grad()",
    )  # fmt: skip
    alone = [task.loss(subject.rows.batch(indices[[n]])) for n in range(len(indices))]
    turned = task.loss(subject.rows.batch(indices[::-1].copy()))
    remedy = (
        'sum, do not average (reduction="sum"), count the same units, and let each row be what it '
        "is alone: hide padding by lengths"
    )
    for name, found, expected in (
        ("losses of rows one by one", float(sum(each.total.item() for each in alone)), whole),
        ("the loss in another order", turned.total.item(), whole),
    ):
        total = expected.total.item()
        require(
            abs(found - total) <= 1e-3 * max(1.0, abs(total)),
            f"{name} sum up to {found:.5g}, that of their batch is {total:.5g}", remedy,
        )  # fmt: skip
    units = sum(each.units for each in alone)
    require(
        abs(units - whole.units) <= 1e-4 * whole.units,
        f"units of rows one by one sum up to {units:g}, those of their batch are {whole.units:g}",
        remedy,
    )
    return f"{whole.mean.item():.3f} a unit before training"


def check_gradients(subject: Subject) -> str | None:
    task = subject.create().train()
    rows = task.read(subject.split("train"), training=True)
    chosen = chosen_rows(rows, 48)
    for indices in np.array_split(chosen, max(1, len(chosen) // 8)):
        task.loss(rows.batch(indices)).mean.backward()  # type: ignore[no-untyped-call]
    weights = {name: each for name, each in task.named_parameters() if each.requires_grad}
    still = [name for name, each in weights.items() if each.grad is None]
    require(
        not still, f"no gradient reaches {', '.join(still[:4])}",
        "use them in `loss`, or do not make them",
    )  # fmt: skip
    for name, each in weights.items():
        assert each.grad is not None
        require_finite(each.grad, f"the gradient of {name}", "keep clear of log(0) and x / 0")
    zero = [name for name, each in weights.items() if each.grad is not None and not each.grad.any()]
    return f"all zero at first: {', '.join(zero[:4])}" if zero else None


def check_learning(subject: Subject) -> str | None:
    task = subject.create().train()
    rows = task.read(subject.split("train"), training=True)
    batch = rows.batch(chosen_rows(rows))
    optimizer = torch.optim.Adam(
        [each for each in task.parameters() if each.requires_grad], lr=0.01
    )
    losses = []
    for _ in range(20):
        loss = task.loss(batch).mean
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    require(
        losses[-1] < losses[0], f"20 steps on one batch take the loss from {losses[0]:.4f} to "
        f"{losses[-1]:.4f}", "see that the loss is lower where answers are better",
    )  # fmt: skip
    return f"loss {losses[0]:.3f} to {losses[-1]:.3f} in 20 steps on one batch"
