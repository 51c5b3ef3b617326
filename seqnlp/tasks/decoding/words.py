"""How many whole words an output has, where that is limited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class WordMarks:
    """Where words begin, by tokens alone.

    A token begins a word if it is marked so and the one before it does not join the next to its
    own word, as a hyphen does; the first of an output always does.

    begins, joins: bool [B, V], or [1, V] where they are the same for all sources.
    """

    begins: Tensor
    joins: Tensor

    @classmethod
    def of(cls, begins: Sequence[bool], joins: Sequence[bool], device: torch.device) -> WordMarks:
        """The same marks of V tokens for all sources."""
        return cls(
            begins=torch.tensor([begins], dtype=torch.bool, device=device),
            joins=torch.tensor([joins], dtype=torch.bool, device=device),
        )

    def extended(self, begins: Tensor, joins: Tensor) -> WordMarks:
        """With bool [B, X] marks of further tokens, which are each source's own."""
        return WordMarks(
            begins=torch.cat([self.begins.expand(len(begins), -1), begins], 1),
            joins=torch.cat([self.joins.expand(len(joins), -1), joins], 1),
        )

    def of_sources(self, count: int) -> WordMarks:
        """A row for each of `count` sources."""
        return WordMarks(begins=self.begins.expand(count, -1), joins=self.joins.expand(count, -1))


@dataclass(frozen=True, kw_only=True)
class WordLimit:
    """At most so many words in each output.

    marks: of B sources. most: int64 [B].
    """

    marks: WordMarks
    most: Tensor

    @classmethod
    def of(
        cls,
        marks: WordMarks,
        most: int,
        prefixes: Sequence[Sequence[int]],
        constraints: Sequence[Sequence[Sequence[int]]],
    ) -> WordLimit:
        """At most `most`, or the words of what each output has in any case."""
        limit = cls(
            marks=marks.of_sources(len(prefixes)),
            most=torch.full((len(prefixes),), most, device=marks.begins.device),
        )
        forced = [
            limit._words_of(source, prefix) + sum(limit._words_of(source, one) for one in phrases)
            for source, (prefix, phrases) in enumerate(zip(prefixes, constraints, strict=True))
        ]
        wanted = torch.tensor(forced, dtype=torch.long, device=limit.most.device)
        return cls(marks=limit.marks, most=torch.maximum(limit.most, wanted))

    def _words_of(self, source: int, tokens: Sequence[int]) -> int:
        """Words of a run of tokens whose first begins one."""
        if not tokens:
            return 0
        ids = torch.tensor(tokens, device=self.most.device)
        sources = torch.full_like(ids[1:], source)
        return 1 + int(self.begun(ids[:-1], ids[1:], sources).sum())

    def begun(self, last: Tensor, tokens: Tensor, sources: Tensor) -> Tensor:
        """Whether tokens begin a word after others, bool in the shape of all three, int64."""
        begins, joins = self.marks.begins[sources, tokens], self.marks.joins[sources, last]
        return begins & ~joins

    def count(
        self, words: Tensor, last: Tensor, tokens: Tensor, sources: Tensor, *, first: bool
    ) -> Tensor:
        """The number of words after another token, int64 in the shape of all.

        Args:
            words: the number before.
            last: the token before. tokens: the new one. sources: whose they are.
            first: whether there is no token before.
        """
        return words + (torch.ones_like(words) if first else self.begun(last, tokens, sources))

    def full(self, words: Tensor, last: Tensor, sources: Tensor) -> Tensor:
        """Whether no further word may begin, bool in the shape of all."""
        joins: Tensor = self.marks.joins[sources, last]
        return (words >= self.most[sources]) & ~joins
