"""What translation and summarization share: an answer is a text, written token by token."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from seqnlp.config import Settings
from seqnlp.data.batching import LengthBuckets
from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.tokens import TokenizedText, tokenize_split
from seqnlp.errors import InputError
from seqnlp.tasks.base import Batch, Rows, Stream, Task
from seqnlp.tasks.choosing import Chooser
from seqnlp.tasks.copy_rows import CopyTable
from seqnlp.tasks.decoding import Decoding, UsualLength
from seqnlp.tasks.metrics import Floats
from seqnlp.tasks.neighbors import NeighborIndex
from seqnlp.tasks.pipelines import fit_joint_pipelines, fit_pipeline
from seqnlp.tasks.rows import TokenRows
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.tasks.sequence_rows import (
    SOURCE_SPECIALS,
    TARGET_SPECIALS,
    PairRows,
    SampledText,
    SequenceBatch,
    Sides,
    SourceRows,
)
from seqnlp.tasks.vectors import start_both_sides
from seqnlp.tasks.writing import Writer
from seqnlp.tasks.writing_options import (
    WritingOptions,
    decoder_options,
    options_of,
    target_text,
)
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sampling import SegmentSampler
from seqnlp.text.truecase import Truecaser
from seqnlp.text.vocabulary import BOS, EOS
from seqnlp.types import Loss, Prediction

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
        *,
        members: int = 1,
        length_ratio: float = 1.0,
        outputs: int | None = None,
        neighbors: NeighborIndex | None = None,
        usual_length: UsualLength | None = None,
        truecaser: Truecaser | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.options = settings, options_of(settings)
        self.pipeline, self.target = (pipelines[name] for name in self.pipeline_names)
        self.decoding: Decoding = self.options.decoding
        self.length_ratio, self.neighbors = length_ratio, neighbors
        self.usual_length, self.truecaser = usual_length, truecaser
        sizes = [len(each.vocabulary or ()) for each in (self.pipeline, self.target)]
        self.outputs = sizes[1] if outputs is None else outputs
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
        train = corpus.split("train")
        task = cls(
            settings,
            pipelines,
            **_lengths(train, pipelines, settings.text.max_tokens),
            outputs=outputs,
            neighbors=NeighborIndex.of(train, source, target) if options.neighbors else None,
            truecaser=Truecaser.fit(
                zip(train.column(source), train.column(target), strict=True),
                texts[target].normalizers,
            )
            if options.truecase
            else None,
        )
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
        ratio = float(state.get("length_ratio", 1.0))
        if not 0 < ratio < math.inf:
            raise ValueError(f"length_ratio must be positive, not {ratio}")
        outputs, size = state.get("outputs"), len(pipelines[cls.pipeline_names[1]].vocabulary or ())
        if outputs is not None and not 0 < outputs <= size:
            raise ValueError(f"outputs must be 1 to {size}, not {outputs}")
        sizes = state.get("neighbors")
        usual = state.get("usual_length")
        own = options_of(settings).truecase
        normalizers = pipelines[cls.pipeline_names[1]].normalizers
        return cls(
            settings,
            pipelines,
            members=members,
            length_ratio=ratio,
            usual_length=None if usual is None else UsualLength(**usual),
            outputs=outputs,
            neighbors=None if sizes is None else NeighborIndex.restore(sizes),
            truecaser=Truecaser.restore(state["truecase"], normalizers) if own else None,
        )

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        first = tasks[0]
        for name, pipeline in first.pipelines.items():
            if any(task.pipelines[name].vocabulary != pipeline.vocabulary for task in tasks):
                raise ValueError("tasks of different vocabularies cannot be combined")
        if any(task.truecaser != first.truecaser for task in tasks):
            raise ValueError("tasks whose targets differ in letter case cannot be combined")
        combined = cls(
            first.settings,
            first.pipelines,
            members=0,
            length_ratio=first.length_ratio,
            usual_length=first.usual_length,
            outputs=first.outputs,
            neighbors=first.neighbors,
            truecaser=first.truecaser,
        )
        combined.members.extend(member for task in tasks for member in task.members)
        return combined

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "members": len(self.members),
            "length_ratio": self.length_ratio,
            "outputs": self.outputs,
        }
        if self.usual_length is not None:
            state["usual_length"] = asdict(self.usual_length)
        if self.truecaser is not None:
            state["truecase"] = self.truecaser.state()
        return state if self.neighbors is None else {**state, "neighbors": self.neighbors.state()}

    def read(self, split: Split, *, training: bool = False) -> Rows:
        texts = [tokenize_split(split, name, each) for name, each in self.pipelines.items()]
        most = self.settings.text.max_tokens, target_text(self.settings, self.options).max_tokens
        limits = sys.maxsize if self.cuts_sources else most[0], most[1]
        fit = [
            (text.lengths > 0) & (text.lengths <= limit)
            for text, limit in zip(texts, limits, strict=True)
        ]
        chosen = np.flatnonzero(fit[0] & fit[1])
        pairs = PairRows(self._sides(*texts), chosen=chosen)
        if not training:
            return self._sources(texts[0], partial(split.column, self.pipeline_names[0]), pairs)
        missing = len(split) - len(chosen)
        target = self.pipeline_names[1]
        long = [
            f"{limit} in {name}"
            for limit, name in zip(most, self.pipeline_names, strict=True)
            if name == target or not self.cuts_sources
        ]
        why = f"empty, or longer than max_tokens = {' or '.join(long)}"
        if not len(chosen):
            raise InputError(f"{split.origin}: all {missing:,} pairs are {why}")
        note = f"train: {missing:,} of {len(split):,} pairs are left out: {why}"
        return PairRows(
            pairs.sides,
            chosen=chosen,
            again=self._sampled(split) if self.options.subword_sampling else None,
            own_share=self.options.own_share,
            notes=(note,) if missing else (),
        )

    def read_texts(self, texts: Sequence[str]) -> SourceRows:
        text = TokenizedText.from_tokens(self.pipeline.tokens(each) for each in texts)
        return self._sources(text, lambda: texts, None)

    def _sources(
        self, text: TokenizedText, texts: Callable[[], Iterable[str]], pairs: PairRows | None
    ) -> SourceRows:
        limits = self.settings.text
        rows = TokenRows(
            text,
            self.pipeline,
            max_tokens=limits.max_tokens,
            long_documents=limits.long_documents,
            end=EOS,
            sentences=self.options.sentence_tokens > 0,
        )
        blank = np.fromiter((not each.strip() for each in texts()), np.bool_, len(text))
        return SourceRows(
            rows,
            blank=blank | (text.lengths == 0),
            texts=texts,
            pairs=pairs,
            copies=self._copies(text),
        )

    def _copies(self, source: TokenizedText) -> CopyTable | None:
        if not self.options.copying:
            return None
        assert self.target.vocabulary is not None
        return CopyTable(source, self.target.vocabulary, self.outputs)

    def _sides(self, source: TokenizedText, target: TokenizedText) -> Sides:
        """A row for each document; whole, but for sources that may be cut."""
        whole: dict[str, Any] = {"max_tokens": sys.maxsize, "long_documents": "truncate"}
        cut: dict[str, Any] = {"sentences": self.options.sentence_tokens > 0}
        if self.cuts_sources:
            cut["max_tokens"] = self.settings.text.max_tokens
        return Sides(
            source=TokenRows(source, self.pipeline, end=EOS, **{**whole, **cut}),
            target=TokenRows(target, self.target, begin=BOS, end=EOS, **whole),
            outputs=self.outputs,
            copies=self._copies(source),
            target_types=target.types,
            mixed=self.cuts_sources,
        )

    def _sampled(self, split: Split) -> Any:
        rate, seed = self.options.subword_sampling, self.settings.seed
        sampled = [
            SampledText(each, SegmentSampler(each, split.column(name), rate=rate, seed=seed))
            for name, each in self.pipelines.items()
        ]

        def again(epoch: int) -> Sides:
            return self._sides(*(side.text(epoch) for side in sampled))

        return again

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
        longest = {"max_ratio": decoding.max_ratio * self.length_ratio}
        return Writer(
            list(self.members),  # type: ignore[arg-type]
            self.pipeline,
            self.target,
            Chooser(
                decoding=decoding.model_copy(update=longest),
                utility=self.utility,
                index=self.neighbors,
            ),
            usual_length=self.usual_length,
            sentence_case=self.options.sentence_case,
            truecaser=self.truecaser,
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
        options = options_of(settings)
        target = target_text(settings, options)
        found = [
            *super().named_parts(settings),
            ("cells", decoder_options(settings, options).cell),
            ("attentions", options.attention),
            ("tokenizers", target.tokenizer.partition(":")[0]),
            *(("normalizers", name) for name in target.normalizers),
        ]
        return list(dict.fromkeys(found))


def _lengths(train: Split, pipelines: Mapping[str, TokenPipeline], most: int) -> dict[str, Any]:
    """Target tokens for each source token, what characters are to words; and usual lengths.

    Sources are read up to `most` tokens.
    """
    source, target = (
        tokenize_split(train, name, pipeline).lengths for name, pipeline in pipelines.items()
    )
    real = (source > 0) & (target > 0)
    ratio = max(float(target.sum()) / max(float(source.sum()), 1.0), 1.0)
    if not real.any():
        return {"length_ratio": ratio}
    usual = UsualLength.measured(source[real].clip(max=most) + 1, target[real] + 1)
    return {"length_ratio": ratio, "usual_length": usual}
