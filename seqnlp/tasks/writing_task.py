"""What translation and summarization share: an answer is a text, written token by token."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import nn

from seqnlp.config import Settings
from seqnlp.data.batching import LengthBuckets
from seqnlp.data.corpus import Corpus, Split
from seqnlp.errors import InputError
from seqnlp.tasks.base import Batch, Rows, Stream, Task
from seqnlp.tasks.choosing import Chooser
from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.learned import Learned
from seqnlp.tasks.metrics import Floats
from seqnlp.tasks.pair_reader import PairReader
from seqnlp.tasks.pipelines import fit_joint_pipelines, fit_pipeline
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.tasks.sequence_rows import (
    SOURCE_SPECIALS,
    TARGET_SPECIALS,
    SequenceBatch,
    SourceRows,
)
from seqnlp.tasks.vectors import start_both_sides
from seqnlp.tasks.watching import watch
from seqnlp.tasks.writing import Writer
from seqnlp.tasks.writing_options import (
    WritingOptions,
    decoder_options,
    options_of,
    parts_of_writer,
    target_text,
    unread_keys,
)
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.types import Beginning, Loss, Prediction

MOST_MEMBERS = 1000
RULES = (
    "min_length",
    "max_length",
    "max_words",
    "max_ratio",
    "max_extra",
    "no_repeat_ngram",
    "tidy",
)
"""What holds of answers while the model learns, too."""


class WritingTask(Task):
    """A task that answers a text with another one, by a decoder with attention to it.

    Its first two fields are what is read and what is written; its pipelines have their names.
    """

    Options = WritingOptions
    cuts_sources: ClassVar[bool] = False
    """Whether sources are long and targets short: one cut at `text.max_tokens` still goes with its
    target, and batches are of sources of like length alone."""

    def __init__(
        self,
        settings: Settings,
        pipelines: Mapping[str, TokenPipeline],
        learned: Learned,
        *,
        members: int = 1,
    ) -> None:
        super().__init__()
        self.settings, self.options = settings, options_of(settings)
        self.pipeline, self.target = (pipelines[name] for name in self.pipeline_names)
        self.decoding: Decoding = self.options.decoding
        self.learned, self.outputs = learned, learned.outputs
        # What has buffers is a part by itself.
        self.neighbors = learned.neighbors
        sizes = [len(each.vocabulary or ()) for each in (self.pipeline, self.target)]
        self.members = nn.ModuleList(
            EncoderDecoder(
                settings.model,
                decoder_options(settings, self.options),
                source_size=sizes[0],
                target_size=sizes[1],
                outputs=self.outputs,
                buckets=settings.text.ngram_buckets,
            )
            for _ in range(members)
        )

    @property
    def pipelines(self) -> Mapping[str, TokenPipeline]:
        return dict(zip(self.pipeline_names, (self.pipeline, self.target), strict=True))

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> Self:
        options = options_of(settings)
        source, target = cls.pipeline_names
        texts = {source: settings.text, target: target_text(settings, options)}
        outputs = None
        if options.joint:
            first = target if options.outputs == "targets" else None
            pipelines, outputs = fit_joint_pipelines(
                texts, corpus, specials=TARGET_SPECIALS, first=first
            )
        else:
            pipelines = {
                field: fit_pipeline(
                    texts[field], corpus, field, specials=specials, complete=True, where=where
                )
                for field, specials, where in (
                    (source, SOURCE_SPECIALS, "text"),
                    (target, TARGET_SPECIALS, "head.target"),
                )
            }
        size = len(pipelines[target].vocabulary or ()) if outputs is None else outputs
        learned = Learned.of(corpus.split("train"), settings, options, pipelines, size)
        task = cls(settings, pipelines, learned)
        start_both_sides(
            [member.source_embedding for member in task.members],  # type: ignore[misc]
            [member.target_embedding for member in task.members],  # type: ignore[misc]
            settings.text,
            corpus,
            task.pipelines,
            joint=options.joint,
        )
        return task

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, TokenPipeline], state: Mapping[str, Any]
    ) -> Self:
        members = state["members"]
        if not 0 <= members <= MOST_MEMBERS:
            raise ValueError(f"members must be 0 to {MOST_MEMBERS}, not {members}")
        target = pipelines[cls.pipeline_names[1]]
        learned = Learned.restore(state, options_of(settings), target)
        return cls(settings, pipelines, learned, members=members)

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        first = tasks[0]
        for name, pipeline in first.pipelines.items():
            if any(task.pipelines[name].vocabulary != pipeline.vocabulary for task in tasks):
                raise ValueError("tasks of different vocabularies cannot be combined")
        if any(task.learned.truecaser != first.learned.truecaser for task in tasks):
            raise ValueError("tasks whose targets differ in letter case cannot be combined")
        combined = cls(first.settings, first.pipelines, first.learned, members=0)
        combined.members.extend(member for task in tasks for member in task.members)
        return combined

    def state(self) -> dict[str, Any]:
        return {"members": len(self.members), **self.learned.state()}

    def read(self, split: Split, *, training: bool = False) -> Rows:
        return self._reader.pairs(split) if training else self._reader.sources(split)

    def read_texts(self, texts: Sequence[str]) -> SourceRows:
        return self._reader.texts(texts)

    def read_tokens(self, documents: Sequence[Sequence[str]]) -> SourceRows:
        # What is near them among the training examples is found by their words alone.
        return self._reader.tokens(documents, [" ".join(each) for each in documents])

    @property
    def _reader(self) -> PairReader:
        return PairReader(
            self.settings,
            self.options,
            self.pipelines,
            outputs=self.outputs,
            cuts_sources=self.cuts_sources,
        )

    def loss(self, batch: Batch) -> Loss:
        """Smoothed cross-entropy summed over target tokens (and members), in nats."""
        assert isinstance(batch, SequenceBatch)
        smoothing = self.options.label_smoothing if self.training else 0.0
        return self._loss(batch, smoothing)

    def _loss(self, batch: SequenceBatch, smoothing: float) -> Loss:
        assert batch.target is not None
        losses: list[Loss] = [
            member.loss(  # type: ignore[operator]
                batch.source,
                batch.target,
                copies=batch.copies,
                goals=batch.goals,
                smoothing=smoothing,
                own_share=batch.own_share,
            )
            for member in self.members
        ]
        total = torch.stack([loss.total for loss in losses]).sum()
        return Loss(total=total, units=sum(loss.units for loss in losses))

    def answer(self, rows: Rows, *, batch_size: int, want_copies: bool = False) -> list[Prediction]:
        """See `Task.answer`; with `want_copies` the best hypotheses say what was copied.

        Raises:
            InputError: that is wanted of a model that copies nothing.
        """
        assert isinstance(rows, SourceRows)
        if want_copies and not self.options.copying:
            raise InputError("this model copies nothing; one trained with head.copying = true does")
        with self.evaluating(), torch.inference_mode():
            writer = self._writer(self.decoding, want_weights=True, want_copies=want_copies)
            return writer.write(rows, batch_size=batch_size)

    @torch.inference_mode()
    def watch(self, text: str) -> Generator[Beginning | Prediction, None, None]:
        """See `Task.watch`: a `Beginning` after each step of the search."""
        with self.evaluating():
            writer = self._writer(self.decoding, want_weights=True)
            yield from watch(writer, self.read_texts([text]))

    @staticmethod
    @abstractmethod
    def utility(candidates: Sequence[str], references: Sequence[str]) -> Floats:
        """How good C texts are against R others, [C, R], of 1: what `decoding.mbr` goes by."""

    def _writer(
        self, decoding: Decoding, *, want_weights: bool, want_copies: bool = False
    ) -> Writer:
        if decoding.neighbors and self.neighbors is None:
            raise InputError(
                f"decoding.neighbors: {decoding.neighbors} are asked for, but this model keeps no "
                "training examples; train it with head.neighbors = true"
            )
        longest = {"max_ratio": decoding.max_ratio * self.learned.length_ratio}
        return Writer(
            list(self.members),  # type: ignore[arg-type]
            self.pipeline,
            self.target,
            Chooser(
                decoding=decoding.model_copy(update=longest),
                utility=self.utility,
                index=self.neighbors,
            ),
            usual_length=self.learned.usual_length,
            sentence_case=self.options.sentence_case,
            truecaser=self.learned.truecaser,
            want_weights=want_weights,
            want_copies=want_copies,
        )

    def figures_on(self, rows: Rows) -> tuple[str, ...]:
        assert isinstance(rows, SourceRows)
        none = rows.pairs is None or not len(rows.pairs.lengths)
        return tuple(name for name in self.figures if name != "loss" or not none)

    def validate(
        self, rows: Rows, references: Sequence[Any], *, batch_size: int
    ) -> dict[str, float]:
        """The quick figures of greedy answers; `loss` in nats a token, not smoothed.

        Where no pair is short enough to be learned from there is no loss.
        """
        assert isinstance(rows, SourceRows)
        assert rows.pairs is not None
        with self.evaluating(), torch.inference_mode():
            greedy = {key: getattr(self.decoding, key) for key in RULES}
            writer = self._writer(Decoding(**greedy), want_weights=False)
            figures = self.score(writer.write(rows, batch_size=batch_size), references)
            buckets = LengthBuckets(rows.pairs.lengths, batch_size=batch_size, shuffle=False)
            losses = [
                self._loss(rows.pairs.batch(indices).to(self.device), 0.0)
                for indices in buckets.batches()
            ]
        if not (units := sum(loss.units for loss in losses)):
            return {**figures}
        return {**figures, "loss": sum(loss.total.item() for loss in losses) / units}

    def stream(self) -> Stream:
        raise InputError(
            f"the task {self.settings.task!r} cannot stream: it reads whole texts; "
            "`seqnlp predict MODEL -` answers line by line"
        )

    @classmethod
    def named_parts(cls, settings: Settings) -> list[tuple[str, str]]:
        found = [*super().named_parts(settings), *parts_of_writer(settings)]
        return list(dict.fromkeys(found))

    @classmethod
    def unread(cls, settings: Settings) -> list[str]:
        return unread_keys(settings)
