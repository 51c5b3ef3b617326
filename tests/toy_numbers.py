"""A task that reads no texts: the mean of a row of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.config import Section, Settings
from seqnlp.data import Corpus, CorpusRequest, Split
from seqnlp.tasks import Batch, Rows, Task, bounds, build_encoder, resampled
from seqnlp.types import Field, Loss, Prediction


@dataclass(frozen=True, kw_only=True)
class NumberBatch(Batch):
    x: Tensor
    lengths: Tensor
    goals: Tensor

    def to(self, device: torch.device | str) -> Self:
        return type(self)(
            x=self.x.to(device), lengths=self.lengths.to(device), goals=self.goals.to(device)
        )


class NumberRows(Rows):
    def __init__(self, values: Sequence[Sequence[float]]) -> None:
        self.values = values
        self.lengths = np.array([len(row) for row in values], dtype=np.int64)

    def batch(self, indices: NDArray[np.int64]) -> NumberBatch:
        rows = [torch.tensor(self.values[index]) for index in indices]
        return NumberBatch(
            x=nn.utils.rnn.pad_sequence(rows, batch_first=True).unsqueeze(2),
            lengths=torch.from_numpy(self.lengths[indices]),
            goals=torch.stack([row.mean() for row in rows]),
        )


class MeanTask(Task):
    """The mean of a row of numbers."""

    fields: ClassVar[tuple[Field, ...]] = (Field(name="values", aliases=("values",)),)
    Options = Section
    figures = ("error",)
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"error"})
    pipeline_names = ()
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "corpus": {"name": "numbers"},
            "model": {"hidden_size": 4, "bidirectional": False},
            "train": {"monitor": "error", "epochs": 2, "lr": 0.01},
            "hooks": {"dropout": False},
        }
    )

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = build_encoder(settings.model, 1)
        self.head = nn.Linear(self.encoder.output_size, 1)

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> Self:
        return cls(settings)

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, object], state: Mapping[str, Any]
    ) -> Self:
        assert not pipelines
        return cls(settings)

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        return tasks[0]

    @classmethod
    def example(cls, split: Split) -> str:
        return " ".join(map(str, split[0]["values"]))

    def state(self) -> dict[str, Any]:
        return {}

    def read(self, split: Split, *, training: bool = False) -> Rows:
        return NumberRows(list(split.column("values")))

    def read_texts(self, texts: Sequence[str]) -> Rows:
        return NumberRows([[float(word) for word in text.split()] for text in texts])

    def _means(self, batch: NumberBatch) -> Tensor:
        means: Tensor = self.head(self.encoder(batch.x, batch.lengths).summary).squeeze(1)
        return means

    def loss(self, batch: Batch) -> Loss:
        assert isinstance(batch, NumberBatch)
        total = (self._means(batch) - batch.goals).square().sum()
        return Loss(total=total, units=len(batch.goals))

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        with self.evaluating(), torch.no_grad():
            means = [
                self._means(rows.batch(np.array([row]))).item() for row in range(len(rows.lengths))
            ]
        return [Prediction(output=f"{mean:.3f}", details={"mean": mean}) for mean in means]

    def references(self, split: Split) -> list[float]:
        return [float(np.mean(row)) for row in split.column("values")]

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[float]
    ) -> Mapping[str, float]:
        return {"error": float(self._errors(predictions, references).mean())}

    def _errors(
        self, predictions: Sequence[Prediction], references: Sequence[float]
    ) -> NDArray[np.float64]:
        found = [float(answer.output) for answer in predictions]
        return np.abs(np.array(found) - np.array(references))

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[float]
    ) -> dict[str, Any]:
        errors = self._errors(predictions, references)
        spread = bounds(resampled(errors[:, None])[:, 0] / len(errors))
        figure = {"value": float(errors.mean()), **spread, "unit": "plain", "better": "lower"}
        return {"examples": len(errors), "error": {**figure, "name": "MAE"}}


def open_numbers(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Rows of numbers, some from a file `numbers:FILE`."""
    generator = np.random.default_rng(0)
    splits = {}
    for name, count in (("train", 64), ("validation", 8), ("test", 8)):
        rows = [generator.normal(size=1 + i % 5).round(3).tolist() for i in range(count)]
        table = pa.table({"values": pa.array(rows, pa.list_(pa.float64()))})
        splits[name] = Split(name, table, origin="numbers", fingerprint=f"{name} {argument}")
    return Corpus(name="numbers", splits=splits, license="MIT", description="Rows of numbers.")


@contextmanager
def registered_numbers() -> Iterator[None]:
    """The task `mean` and the corpus `numbers`, for a while."""
    registry.tasks.register("mean")(MeanTask)
    registry.corpora.register("numbers")(open_numbers)
    try:
        yield
    finally:
        registry.tasks._local.pop("mean")
        registry.corpora._local.pop("numbers")
