"""The task of recalling a sequence: read it to its end, then write what was asked of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqnlp.config import Section, Settings, validate_section
from seqnlp.data import Corpus, LengthBuckets, Split
from seqnlp.errors import InputError
from seqnlp.tasks import Batch, Rows, Task, build_encoder
from seqnlp.types import Field, Loss, Prediction
from seqnlp_memory.codes import Code, code_from, find_code
from seqnlp_memory.figures import Reference, measure, score_of
from seqnlp_memory.sequences import MARKS, Request, SequenceBatch, SequenceRows

MOST_MEMBERS = 1000
MOST_STEPS = 100_000
"""Words that are written to a text that somebody types: a slip in its count costs no memory."""


class RecallOptions(Section):
    """The table `head` of a recipe."""

    words: Literal["auto", "bits", "symbols"] = "auto"
    """What a word is: bits that are guessed each by itself, or a symbol of an alphabet. By default
    bits, where all words of train are of one number of them above 1."""


class Recaller(nn.Module):
    """The network: any encoder over the steps, and a linear layer where an answer is asked for."""

    def __init__(self, settings: Settings, code: Code) -> None:
        super().__init__()
        self.encoder = build_encoder(settings.model, code.size + MARKS)
        self.output = nn.Linear(self.encoder.output_size, code.size + 1)

    def forward(self, batch: SequenceBatch, where: Tensor) -> Tensor:
        """Logits float [M, size + 1] of the steps that are True in `where` [B, T]."""
        logits: Tensor = self.output(self.encoder(batch.x, batch.lengths).states[where])
        return logits


class RecallTask(Task):
    """Sequences that are to be remembered to the last word: copied, repeated, reversed."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="sequence", aliases=("sequence", "input", "source")),
        Field(name="answer", aliases=("answer", "output", "target")),
    )
    Options = RecallOptions
    figures = ("accuracy", "recalled", "error", "loss")
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"loss", "error"})
    pipeline_names = ()
    defaults: ClassVar[Mapping[str, Any]] = {
        "corpus": {"name": "copy"},
        "model": {
            "cell": "ntm", "cell_options": {"controller": "feedforward"},
            "hidden_size": 100, "bidirectional": False,
        },
        "train": {
            "epochs": 4, "batch_size": 16, "lr": 1e-3, "optimizer": "Adam", "monitor": "loss",
        },
        "hooks": {
            "dropout": False, "early_stopping": False, "clip": {"norm": 10.0},
            "schedule": {"kind": "cosine", "warmup": 0.1},
        },
    }  # fmt: skip

    def __init__(self, settings: Settings, code: Code, *, ratio: float, members: int = 1) -> None:
        super().__init__()
        self.settings, self.code, self.ratio = settings, code, ratio
        self.options = validate_section(RecallOptions, settings.head, "head")
        self.members = nn.ModuleList(Recaller(settings, code) for _ in range(members))

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> Self:
        options = validate_section(RecallOptions, settings.head, "head")
        train = corpus.split("train")
        words: set[str] = set()
        ratio = 0.0
        for request, answer in _parse(train):
            words |= {*request.words, *answer}
            ratio = max(ratio, len(answer) / (len(request.words) * request.count))
        return cls(settings, find_code(words, kind=options.words), ratio=ratio)

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, Any], state: Mapping[str, Any]
    ) -> Self:
        members, ratio = int(state["members"]), float(state["ratio"])
        if not 0 <= members <= MOST_MEMBERS:
            raise ValueError(f"members must be 0 to {MOST_MEMBERS}, not {members}")
        if not 0 < ratio < math.inf:
            raise ValueError(f"ratio must be above 0, not {ratio}")
        return cls(settings, code_from(state["code"]), ratio=ratio, members=members)

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        first = tasks[0]
        if any(task.code.state() != first.code.state() for task in tasks):
            raise ValueError("tasks of different words cannot be combined")
        combined = cls(first.settings, first.code, ratio=max(t.ratio for t in tasks), members=0)
        combined.members.extend(member for task in tasks for member in task.members)
        return combined

    def state(self) -> dict[str, Any]:
        return {"members": len(self.members), "ratio": self.ratio, "code": self.code.state()}

    def read(self, split: Split, *, training: bool = False) -> SequenceRows:
        requests, inputs, answers, steps = [], [], [], []
        for index, (request, answer) in enumerate(_parse(split)):
            where = split.where(index)
            requests.append(request)
            inputs.append(self.code.encode(request.words, f"{where}: sequence"))
            answers.append(self.code.encode(answer, f"{where}: answer"))
            # While training nothing is asked for beyond the end.
            steps.append(len(answer) + 1 if training else self._steps(request, len(answer)))
        return SequenceRows(self.code, requests, inputs, answers, np.array(steps, dtype=np.int64))

    def read_texts(self, texts: Sequence[str]) -> SequenceRows:
        requests = [Request.parse(text, _short(text)) for text in texts]
        inputs = [
            self.code.encode(request.words, _short(text))
            for request, text in zip(requests, texts, strict=True)
        ]
        none = np.zeros((0, self.code.size), dtype=np.float32)
        steps = np.array([self._steps(request) for request in requests], dtype=np.int64)
        if len(steps) and steps.max() > MOST_STEPS:
            raise InputError(
                f"{_short(texts[int(steps.argmax())])}: its answer may take {steps.max():,} words; "
                f"expected at most {MOST_STEPS:,}"
            )
        return SequenceRows(self.code, requests, inputs, [none] * len(texts), steps)

    def _steps(self, request: Request, known: int = 0) -> int:
        """Those that an answer may take, from what the longest take in train, and the end."""
        return max(math.ceil(self.ratio * len(request.words) * request.count), known) + 1

    def loss(self, batch: Batch) -> Loss:
        """Nats, summed over bits (or symbols) and ends (and members)."""
        assert isinstance(batch, SequenceBatch)
        losses = [
            self.code.loss(member(batch, batch.scored), batch.targets) for member in self.members
        ]
        units = self.code.count_units(batch.targets) * len(self.members)
        return Loss(total=torch.stack(losses).sum(), units=units)

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        assert isinstance(rows, SequenceRows)
        return self._answer(rows, batch_size)[0]

    def _answer(self, rows: SequenceRows, batch_size: int) -> tuple[list[Prediction], float]:
        """Predictions, and nats a unit of the answers that are known."""
        found: dict[int, Prediction] = {}
        total, units = 0.0, 0
        buckets = LengthBuckets(rows.lengths, batch_size=batch_size, shuffle=False)
        with self.evaluating(), torch.inference_mode():
            for indices in buckets.batches():
                batch = rows.batch(indices).to(self.device)
                # The mean of logits: a geometric mean of the members' probabilities.
                each = torch.stack([member(batch, batch.asked) for member in self.members])
                logits = each.mean(0)
                scored = logits[batch.scored[batch.asked]]
                total += float(self.code.loss(scored, batch.targets))
                units += self.code.count_units(batch.targets)
                words, ends = self.code.decode(logits)
                begin = 0
                for index in indices.tolist():
                    end = begin + int(rows.steps[index])
                    found[index] = _prediction(words[begin:end], ends[begin:end])
                    begin = end
        return [found[index] for index in range(len(rows.lengths))], total / max(units, 1)

    def references(self, split: Split) -> list[Reference]:
        return [
            Reference(answer=answer, length=len(request.words), count=request.count)
            for request, answer in _parse(split)
        ]

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Reference]
    ) -> dict[str, float]:
        """accuracy, recalled and error, see `figures`."""
        return score_of(self.code, predictions, references)

    def validate(
        self, rows: Rows, references: Sequence[Reference], *, batch_size: int
    ) -> dict[str, float]:
        """Figures of the answers; `loss` in nats a bit or symbol."""
        assert isinstance(rows, SequenceRows)
        predictions, loss = self._answer(rows, batch_size)
        return {**self.score(predictions, references), "loss": loss}

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[Reference]
    ) -> dict[str, Any]:
        return measure(self.code, predictions, references)


def _parse(split: Split) -> list[tuple[Request, tuple[str, ...]]]:
    """The sequences of a split with their answers.

    Raises:
        InputError: one that is empty, by file and line.
    """
    made = []
    columns = zip(split.column("sequence"), split.column("answer"), strict=True)
    for index, (sequence, answer) in enumerate(columns):
        words = tuple(str(answer).split())
        if not words:
            raise InputError(f"{split.where(index)}: the answer has no words")
        made.append((Request.parse(str(sequence), split.where(index)), words))
    return made


def _prediction(words: list[str], ends: NDArray[np.bool_]) -> Prediction:
    """The words up to the first end; all of them, and where that was, are in the details."""
    end = int(ends.argmax()) if ends.any() else None
    return Prediction(output=" ".join(words[:end]), details={"words": words, "end": end})


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:27]}..."
