"""What a task is: a pipeline, an encoder and a head that learn from examples and answer them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import device as Device

from seqnlp.config import Section, Settings
from seqnlp.data.corpus import Corpus, Split
from seqnlp.errors import InputError
from seqnlp.nn.modes import in_mode
from seqnlp.tasks.classifier import encoder_keywords, unread_by_encoder
from seqnlp.tasks.examples import short_example
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.types import Beginning, Field, Loss, Prediction

if TYPE_CHECKING:
    from seqnlp.tasks.decoding import Decoding
    from seqnlp.tasks.extraction_options import Selection


class Batch(ABC):
    """Rows ready for the model; frozen, and moved between devices as a whole."""

    @abstractmethod
    def to(self, device: Device | str) -> Self: ...


class Rows(ABC):
    """Examples turned into numbers: what the trainer draws its batches from.

    lengths: int64 [R], tokens of each row, by which batches are bucketed; [R, 2] where rows have
    two sides. A long document may be several rows.
    """

    lengths: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    """What a person should know of them, such as how many examples are left out."""

    @abstractmethod
    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """The rows of these indices, padded to the longest among them."""

    def for_epoch(self, epoch: int) -> Rows:
        """The rows as an epoch (from 1) reads them; others where something is drawn anew."""
        return self


class Stream(ABC):
    """Answers a text while it arrives.

    A text is its pieces, joined by single spaces; after each piece the answer is that to the text
    so far, to rounding.
    """

    @abstractmethod
    def push(self, piece: str) -> Prediction:
        """Read the next piece; the answer to the text so far."""

    @abstractmethod
    def reset(self) -> None:
        """Begin another text."""


class Task(nn.Module, ABC):
    """A trainable answer to one kind of question.

    A task is made once by `create`, from settings and a corpus; its weights are then found by the
    trainer. What is not a weight and cannot be derived from the settings (label names) is its
    `state`.
    """

    fields: ClassVar[tuple[Field, ...]]
    """The columns that it reads from a corpus."""
    Options: ClassVar[type[Section]]
    """Its own settings, the table `head` of a recipe."""
    figures: ClassVar[tuple[str, ...]]
    """The names of the figures that `validate` gives."""
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"loss"})
    """Those of them that are better when lower."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Settings that suit the task where a recipe does not say otherwise."""

    pipeline_names: ClassVar[tuple[str, ...]] = ("text",)
    """What its pipelines are called. The first is `pipeline`; without texts there is none."""
    reads_files: ClassVar[bool] = False
    """Whether an input that is a file is an example, by its path, and not a file of lines."""

    pipeline: TokenPipeline
    settings: Settings
    decoding: Decoding | Selection | None = None
    """How the texts that it gives are found; None where it gives none. May be replaced."""

    @classmethod
    @abstractmethod
    def create(cls, settings: Settings, corpus: Corpus) -> Self:
        """Fit the pipeline on the training split and make the model, its weights drawn at random.

        Raises:
            InputError: the corpus cannot be learnt from.
        """

    @classmethod
    @abstractmethod
    def restore(
        cls,
        settings: Settings,
        pipelines: Mapping[str, TokenPipeline],
        state: Mapping[str, Any],
    ) -> Self:
        """Make the model that `state` was taken from, its weights still to be loaded."""

    @classmethod
    @abstractmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        """One task that answers with the average of several, trained on the same corpus."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `restore` needs beside the settings and the pipelines, as JSON values."""

    @abstractmethod
    def read(self, split: Split, *, training: bool = False) -> Rows:
        """The rows of a split with their references.

        Args:
            training: the rows are for the trainer: what the task derives from the references of
                this split is fitted now, and no row shows anything that knows its own.

        Raises:
            InputError: an example that the task cannot score, by file and line.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Loss:
        """The training loss of a batch, a sum in nats."""

    @abstractmethod
    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        """Predictions for the documents behind the rows, in their order."""

    @abstractmethod
    def read_texts(self, texts: Sequence[str]) -> Rows:
        """The rows of plain texts, without references."""

    def answer_texts(self, texts: Sequence[str], *, batch_size: int) -> list[Prediction]:
        """Predictions for texts in memory. Override where one text alone can be answered sooner."""
        return self.answer(self.read_texts(texts), batch_size=batch_size)

    def read_tokens(self, documents: Sequence[Sequence[str]]) -> Rows:
        """The rows of texts that are tokenized and normalized already, without references.

        Raises:
            InputError: the task reads whole texts only.
        """
        raise InputError(f"the task {self.settings.task!r} reads texts, and no tokens")

    def watch(self, text: str) -> Generator[Beginning | Prediction, None, None]:
        """Answer a text step by step: what is certain so far, as often as wished, then the answer.

        Whoever stops asking stops the work. Override where an answer is written bit by bit.
        """
        yield self.answer_texts([text], batch_size=1)[0]

    def stream(self) -> Stream:
        """Answer texts while they arrive.

        Raises:
            InputError: the task or its encoder cannot; the message says what could.
        """
        raise InputError(
            f"the task {self.settings.task!r} cannot stream: it reads whole texts only"
        )

    @abstractmethod
    def references(self, split: Split) -> Sequence[Any]:
        """What the predictions of a split are scored against, one for each example."""

    def references_in(self, corpus: Corpus, split: str) -> Sequence[Any]:
        """The references of a split for a report, with what the rest of the corpus says of them."""
        return self.references(corpus.split(split))

    @abstractmethod
    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Any]
    ) -> Mapping[str, float]:
        """Figures of predictions, by name; quick, since it is called after every epoch."""

    def figures_on(self, rows: Rows) -> tuple[str, ...]:
        """The names of the figures that `validate` gives of these rows; by default all.

        Args:
            rows: with references, not for training.
        """
        return self.figures

    def validate(
        self, rows: Rows, references: Sequence[Any], *, batch_size: int
    ) -> Mapping[str, float]:
        """Figures of rows with references, by name: what the trainer looks at after an epoch.

        Override where a figure comes from elsewhere than the answers.
        """
        return self.score(self.answer(rows, batch_size=batch_size), references)

    @abstractmethod
    def report(
        self, predictions: Sequence[Prediction], references: Sequence[Any]
    ) -> dict[str, Any]:
        """All figures of predictions with their intervals, as JSON values."""

    def compare(
        self,
        first: Sequence[Prediction],
        second: Sequence[Prediction],
        references: Sequence[Any],
    ) -> dict[str, dict[str, Any]]:
        """Figures of two models that answered the same examples, and whether they differ by chance.

        Each has `first`, `second`, `difference` (`value`, `low`, `high`), `wins`, the share of
        resamples in which the second is better, and `p_value`.

        Raises:
            InputError: the task has no such comparison.
        """
        raise InputError(f"the task {self.settings.task!r} does not compare models")

    @classmethod
    def named_parts(cls, settings: Settings) -> list[tuple[str, str]]:
        """The registered parts that a model of these settings is made of, as (kind, name).

        Raises:
            SettingsError: an option that the task does not have.
        """
        text, model = settings.text, settings.model
        parts = [
            ("tasks", settings.task),
            ("encoders", model.encoder),
            *([("cells", model.cell)] if "cell" in encoder_keywords(model) else []),
            *([("engines", model.engine)] if model.engine != "auto" else []),
        ]
        if cls.pipeline_names:
            parts.append(("tokenizers", text.tokenizer.partition(":")[0]))
            parts += [("normalizers", name) for name in text.normalizers]
        return parts

    @classmethod
    def unread(cls, settings: Settings) -> list[str]:
        """The keys, as "model.cell", that were changed and that no part of the model reads.

        Raises:
            SettingsError: an option that the task does not have.
        """
        return [f"model.{key}" for key in unread_by_encoder(settings.model)]

    @classmethod
    def example(cls, split: Split) -> str:
        """An input of a split to try a model on: the first short one, or the beginning of one."""
        values = (str(value) for value in islice(split.column(split.fields[0]), 100))
        # A part of a path leads nowhere.
        return next(values, "") if cls.reads_files else short_example(values)

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        """Reports on the test split of models that anybody should beat, by name."""
        return {}

    def predict(
        self, texts: Iterable[str], *, batch_size: int = 64, window: int = 4096
    ) -> Iterator[Prediction]:
        """Answer any number of texts in constant memory, in their order.

        Texts of a window are sorted by length, so that batches carry little padding.
        """
        iterator = iter(texts)
        while block := list(islice(iterator, window)):
            yield from self.answer_texts(block, batch_size=batch_size)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode for a while; what was before comes back."""
        if not self.training:
            yield
            return
        with in_mode(self, training=False):
            yield

    @property
    def pipelines(self) -> Mapping[str, TokenPipeline]:
        """All pipelines by name, in the order of `pipeline_names`."""
        return {self.pipeline_names[0]: self.pipeline} if self.pipeline_names else {}

    @property
    def device(self) -> Device:
        """Where the weights are."""
        parameter: Tensor = next(self.parameters())
        return parameter.device
