"""From splits and texts to the rows of a task that writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from seqnlp.config import Settings
from seqnlp.data.corpus import Split
from seqnlp.data.tokens import TokenizedText, tokenize_split
from seqnlp.errors import InputError
from seqnlp.tasks.copy_rows import CopyTable
from seqnlp.tasks.rows import TokenRows
from seqnlp.tasks.sequence_rows import PairRows, SampledText, Sides, SourceRows
from seqnlp.tasks.writing_options import WritingOptions, target_text
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sampling import SegmentSampler
from seqnlp.text.vocabulary import BOS, EOS


class PairReader:
    """Reads sources, and targets beside them.

    Args:
        settings, options: of the task.
        pipelines: of the two fields, by their names.
        outputs: how many tokens of the target's vocabulary can be generated.
        cuts_sources: see `WritingTask`.
    """

    def __init__(
        self,
        settings: Settings,
        options: WritingOptions,
        pipelines: Mapping[str, TokenPipeline],
        *,
        outputs: int,
        cuts_sources: bool,
    ) -> None:
        self.settings, self.options, self.pipelines = settings, options, pipelines
        self.outputs, self.cuts_sources = outputs, cuts_sources
        self.names = tuple(pipelines)
        self.source, self.target = pipelines.values()

    def sources(self, split: Split) -> SourceRows:
        """A split to be answered, with those pairs of it that could be learned from."""
        texts = self._tokenized(split)
        pairs = PairRows(self._sides(*texts), chosen=self._fit(*texts))
        return self._sources(texts[0], partial(split.column, self.names[0]), pairs)

    def texts(self, texts: Sequence[str]) -> SourceRows:
        """Plain texts to be answered."""
        return self.tokens([self.source.tokens(each) for each in texts], texts)

    def tokens(self, documents: Sequence[Sequence[str]], texts: Sequence[str]) -> SourceRows:
        """Texts to be answered, with their tokens."""
        return self._sources(TokenizedText.from_tokens(documents), lambda: texts, None)

    def pairs(self, split: Split) -> PairRows:
        """A split to be learned from.

        Raises:
            InputError: no pair of it is.
        """
        texts = self._tokenized(split)
        chosen = self._fit(*texts)
        missing = len(split) - len(chosen)
        long = [f"{most} in {name}" for most, name in zip(self._limits(), self.names, strict=True)]
        why = f"empty, or longer than max_tokens = {' or '.join(long[self.cuts_sources :])}"
        if not len(chosen):
            raise InputError(f"{split.origin}: all {missing:,} pairs are {why}")
        note = f"train: {missing:,} of {len(split):,} pairs are left out: {why}"
        return PairRows(
            self._sides(*texts),
            chosen=chosen,
            again=self._sampled(split) if self.options.subword_sampling else None,
            own_share=self.options.own_share,
            notes=(note,) if missing else (),
        )

    def _tokenized(self, split: Split) -> list[TokenizedText]:
        return [tokenize_split(split, name, each) for name, each in self.pipelines.items()]

    def _limits(self) -> tuple[int, int]:
        """The most tokens of a source and of a target."""
        return self.settings.text.max_tokens, target_text(self.settings, self.options).max_tokens

    def _fit(self, source: TokenizedText, target: TokenizedText) -> Any:
        """Int64 [R], the documents that can be learned from."""
        most = self._limits()
        fit = (source.lengths > 0) & (target.lengths > 0) & (target.lengths <= most[1])
        return np.flatnonzero(fit if self.cuts_sources else fit & (source.lengths <= most[0]))

    def _sources(
        self, text: TokenizedText, texts: Callable[[], Iterable[str]], pairs: PairRows | None
    ) -> SourceRows:
        limits = self.settings.text
        rows = TokenRows(
            text,
            self.source,
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
            source=TokenRows(source, self.source, end=EOS, **{**whole, **cut}),
            target=TokenRows(target, self.target, begin=BOS, end=EOS, **whole),
            outputs=self.outputs,
            copies=self._copies(source),
            target_types=target.types,
            mixed=self.cuts_sources,
        )

    def _sampled(self, split: Split) -> Callable[[int], Sides]:
        rate, seed = self.options.subword_sampling, self.settings.seed
        source, target = (
            SampledText(each, SegmentSampler(each, split.column(name), rate=rate, seed=seed))
            for name, each in self.pipelines.items()
        )
        return lambda epoch: self._sides(source.text(epoch), target.text(epoch))
