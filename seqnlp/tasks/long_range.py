"""The task of remembering: problems of the literature that ask for what was read long ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.config import Names, Section, Settings, build, validate_section
from seqnlp.data.batching import LengthBuckets
from seqnlp.data.corpus import Corpus, Split
from seqnlp.errors import InputError, SettingsError
from seqnlp.nn.dropout import DropoutSite
from seqnlp.tasks.adding import MARK, Adding
from seqnlp.tasks.base import Batch, Rows, Task
from seqnlp.tasks.classifier import build_encoder
from seqnlp.tasks.copy_memory import WRITE, CopyMemory, find_symbols
from seqnlp.tasks.long_range_problem import LongRangeBatch, LongRangeRows, Problem
from seqnlp.tasks.metrics import p_value
from seqnlp.tasks.resampling import bounds, resampled
from seqnlp.types import Field, Loss, Prediction

MOST_MEMBERS = 1000
LAST = ("last",)


class LongRangeOptions(Section):
    """The table `head` of a recipe."""

    problem: Literal["auto", "adding", "copy_memory"] = "auto"
    """What is asked; by default found out from the training sequences."""
    pooling: Names = LAST
    """What is made of the states, where one answer is asked for; several are concatenated."""
    attention: str | None = None
    """An attention whose pooling is added to the others."""
    attention_options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it

    @property
    def poolings(self) -> tuple[str, ...]:
        """All of them."""
        others = tuple(name for name in self.pooling if name != "attention")
        return self.pooling if self.attention is None else (*others, "attention")


class Rememberer(nn.Module):
    """The network: any encoder over the steps, and a linear layer; its dropout site is "output"."""

    def __init__(self, settings: Settings, options: LongRangeOptions, problem: Problem) -> None:
        super().__init__()
        self.encoder = build_encoder(settings.model, problem.input_size)
        size = self.encoder.output_size
        self.poolings: nn.ModuleList | None = None
        if not problem.every_step:
            attention: dict[str, object] = {"attention_options": options.attention_options}
            attention |= {"attention": options.attention} if options.attention else {}
            self.poolings = nn.ModuleList(
                build(
                    registry.poolings.get(name),
                    attention if name == "attention" else {},
                    where="head.attention_options",
                    size=size,
                )
                for name in options.poolings
            )
            size = sum(layer.output_size for layer in self.poolings)  # type: ignore[misc]
        self.output_dropout = DropoutSite("output")
        self.output = nn.Linear(size, problem.output_size)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Float [B, output_size], or [B, T, output_size] where each step is answered."""
        encoded = self.encoder(x, lengths)
        if self.poolings is None:
            features = encoded.states
        else:
            features = torch.cat([layer(encoded) for layer in self.poolings], dim=-1)
        outputs: Tensor = self.output(self.output_dropout(features))
        return outputs


class LongRangeTask(Task):
    """Problems that ask for a long memory: the sum of marked numbers, symbols after a pause."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="inputs", aliases=("inputs", "input", "sequence")),
        Field(name="targets", aliases=("targets", "target", "answer", "output")),
    )
    Options = LongRangeOptions
    figures = ("solved", "accuracy", "mse", "loss")
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"loss", "mse"})
    pipeline_names = ()
    defaults: ClassVar[Mapping[str, Any]] = {
        "corpus": {"name": "adding"},
        "model": {"hidden_size": 64, "bidirectional": False},
        "train": {
            "epochs": 8, "batch_size": 32, "lr": 3e-3, "optimizer": "Adam", "monitor": "loss",
        },
        "hooks": {"dropout": False, "early_stopping": False, "clip": {"norm": 1.0}},
    }  # fmt: skip

    def __init__(self, settings: Settings, problem: Problem, *, members: int = 1) -> None:
        super().__init__()
        self.settings, self.problem = settings, problem
        self.options = validate_section(LongRangeOptions, settings.head, "head")
        if problem.every_step and self.options.poolings != LAST:
            raise SettingsError(
                f"head.pooling: {problem.name} asks for an answer at every step; pooling and "
                "attention are for problems that ask for one, such as adding"
            )
        if not self.options.poolings:
            raise SettingsError("head.pooling: name at least one, or an attention")
        self.members = nn.ModuleList(
            Rememberer(settings, self.options, problem) for _ in range(members)
        )

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> Self:
        options = validate_section(LongRangeOptions, settings.head, "head")
        inputs = [str(text) for text in corpus.split("train").column("inputs")]
        return cls(settings, find_problem(inputs, kind=options.problem))

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, Any], state: Mapping[str, Any]
    ) -> Self:
        members = int(state["members"])
        if not 0 <= members <= MOST_MEMBERS:
            raise ValueError(f"members must be 0 to {MOST_MEMBERS}, not {members}")
        return cls(settings, problem_from(state), members=members)

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        first = tasks[0]
        if any(task.problem.state() != first.problem.state() for task in tasks):
            raise ValueError("tasks of different problems cannot be combined")
        combined = cls(first.settings, first.problem, members=0)
        combined.members.extend(member for task in tasks for member in task.members)
        return combined

    @classmethod
    def named_parts(cls, settings: Settings) -> list[tuple[str, str]]:
        options = validate_section(LongRangeOptions, settings.head, "head")
        return [
            *super().named_parts(settings),
            *(("poolings", name) for name in options.poolings),
            *([("attentions", options.attention)] if options.attention else []),
        ]

    @classmethod
    def example(cls, split: Split) -> str:
        """A sequence short enough to be typed: of many numbers the marked ones and a few."""
        words = str(split[0]["inputs"]).split()
        numbers = [n for n, word in enumerate(words) if word.endswith(MARK)]
        return " ".join(w for n, w in enumerate(words) if not numbers or n < 4 or n in numbers)

    def state(self) -> dict[str, Any]:
        return {"members": len(self.members), **self.problem.state()}

    def read(self, split: Split, *, training: bool = False) -> LongRangeRows:
        steps, targets = self._parse(split)
        rows = LongRangeRows(self.problem, steps, targets)
        if training:
            guesses = self.problem.guess(targets, steps)
            loss = self.score(guesses, targets)["loss"]
            rows.notes = (f"who remembers nothing has a loss of {loss:.4g} at best",)
        return rows

    def read_texts(self, texts: Sequence[str]) -> LongRangeRows:
        return LongRangeRows(self.problem, [self.problem.parse(t, _short(t)) for t in texts], None)

    def _parse(self, split: Split) -> tuple[list[NDArray[Any]], list[Any]]:
        steps, targets = [], []
        columns = zip(split.column("inputs"), split.column("targets"), strict=True)
        for index, (inputs, target) in enumerate(columns):
            where = split.where(index)
            steps.append(self.problem.parse(str(inputs), where))
            targets.append(self.problem.parse_target(str(target), steps[-1], where))
        return steps, targets

    def loss(self, batch: Batch) -> Loss:
        """Squared errors, or nats, summed over sequences or steps (and members)."""
        assert isinstance(batch, LongRangeBatch)
        assert batch.goals is not None
        found = [self.problem.loss(member(batch.x, batch.lengths), batch.goals)
                 for member in self.members]  # fmt: skip
        total = torch.stack([each for each, _ in found]).sum()
        return Loss(total=total, units=sum(units for _, units in found))

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        assert isinstance(rows, LongRangeRows)
        found: dict[int, Prediction] = {}
        buckets = LengthBuckets(rows.lengths, batch_size=batch_size, shuffle=False)
        with self.evaluating(), torch.inference_mode():
            for indices in buckets.batches():
                batch = rows.batch(indices).to(self.device)
                each = [member(batch.x, batch.lengths) for member in self.members]
                steps = [rows.steps[index] for index in indices]
                made = self.problem.predict(self.problem.average(each), steps)
                found.update(zip(indices.tolist(), made, strict=True))
        return [found[index] for index in range(len(rows.lengths))]

    def references(self, split: Split) -> list[Any]:
        return self._parse(split)[1]

    def figures_on(self, rows: Rows) -> tuple[str, ...]:
        return tuple({**self.problem.shown, "loss": {}})

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Any]
    ) -> dict[str, float]:
        """solved: share of sequences whose sum is off by less than 0.04, or whose symbols are all
        right. mse: of sums. accuracy: share of symbols that are right. loss: the mean squared
        error, or nats a step.
        """
        sums = self.problem.statistics(predictions, references).sum(0)
        figures = self.problem.figures(sums, len(references))
        return {name: float(value) for name, value in figures.items()}

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[Any]
    ) -> dict[str, Any]:
        if not references:
            raise InputError("there are no examples to measure")
        statistics = self.problem.statistics(predictions, references)
        values = self.problem.figures(statistics.sum(0), len(statistics))
        spread = self.problem.figures(resampled(statistics), len(statistics))
        report: dict[str, Any] = {"examples": len(statistics)}
        for name, about in self.problem.shown.items():
            report[name] = {"value": float(values[name]), **bounds(spread[name]), **about}
        return report

    def compare(
        self,
        first: Sequence[Prediction],
        second: Sequence[Prediction],
        references: Sequence[Any],
    ) -> dict[str, dict[str, Any]]:
        """See `Task.compare`; by paired bootstrap."""
        pair = [self.problem.statistics(each, references) for each in (first, second)]
        one, other = (self.problem.figures(each.sum(0), len(each)) for each in pair)
        # The draws depend on the number of examples alone: the same for both.
        drawn = [self.problem.figures(resampled(each), len(each)) for each in pair]
        made = {}
        for name, about in self.problem.shown.items():
            change = float(other[name] - one[name])
            changes = drawn[1][name] - drawn[0][name]
            better = changes < 0 if about.get("better") == "lower" else changes > 0
            made[name] = {
                **about,
                "first": float(one[name]),
                "second": float(other[name]),
                "difference": {"value": change, **bounds(changes)},
                "wins": float(better.mean()),
                "p_value": p_value(changes, change),
            }
        return made

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        """Of whoever remembers nothing; on the test split, or validation where there is none."""
        split = corpus.split("test" if "test" in corpus.splits else "validation")
        steps, references = self._parse(split)
        return {"no memory": self.report(self.problem.guess(references, steps), references)}


def find_problem(inputs: Sequence[str], *, kind: str = "auto") -> Problem:
    """The problem that training sequences pose: copying, where the first ends with the sign.

    Args:
        inputs: at least one.
        kind: its name, where it is not to be found out.

    Raises:
        InputError: there are too many symbols.
    """
    writes = inputs[0].split()[-1:] == [WRITE]
    if kind == Adding.name or (kind == "auto" and not writes):
        return Adding()
    try:
        return CopyMemory(find_symbols(inputs))
    except ValueError as error:
        raise InputError(f"the symbols of the training sequences: {error}") from error


def problem_from(state: Mapping[str, Any]) -> Problem:
    """The problem whose state this is; a ValueError, TypeError or KeyError where it is none."""
    if state["problem"] == Adding.name:
        return Adding()
    if state["problem"] == CopyMemory.name:
        return CopyMemory([str(symbol) for symbol in state["alphabet"]])
    raise ValueError(f"no problem {state['problem']!r}")


def _short(text: str) -> str:
    if not text.strip():
        return "an empty text"
    return text if len(text) <= 30 else f"{text[:27]}..."
