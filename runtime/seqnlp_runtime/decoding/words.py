"""How many whole words an output has, where that is limited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqnlp_runtime.decoding.arrays import Bools, Ints


@dataclass(frozen=True, kw_only=True)
class WordMarks:
    """Where words begin, by tokens alone.

    A token begins a word if it is marked so and the one before it does not join the next to its
    own word, as a hyphen does; the first of an output always does.

    begins, joins: bool [B, V].
    """

    begins: Bools
    joins: Bools


@dataclass(frozen=True, kw_only=True)
class WordLimit:
    """At most so many words in each output.

    marks: of B sources. most: int64 [B].
    """

    marks: WordMarks
    most: Ints

    @classmethod
    def of(
        cls,
        marks: WordMarks,
        most: int,
        prefixes: Sequence[Sequence[int]],
        constraints: Sequence[Sequence[Sequence[int]]],
    ) -> WordLimit:
        """At most `most`, or the words of what each output has in any case."""
        limit = cls(marks=marks, most=np.full(len(prefixes), most))
        forced = [
            limit._words_of(source, prefix) + sum(limit._words_of(source, one) for one in phrases)
            for source, (prefix, phrases) in enumerate(zip(prefixes, constraints, strict=True))
        ]
        return cls(marks=marks, most=np.maximum(limit.most, forced))

    def _words_of(self, source: int, tokens: Sequence[int]) -> int:
        """Words of a run of tokens whose first begins one."""
        if not tokens:
            return 0
        ids = np.array(tokens, dtype=np.int64)
        return 1 + int(self.begun(ids[:-1], ids[1:], np.full_like(ids[1:], source)).sum())

    def begun(self, last: Ints, tokens: Ints, sources: Ints) -> Bools:
        """Whether tokens begin a word after others; the three are broadcast together."""
        found: Bools = self.marks.begins[sources, tokens] & ~self.marks.joins[sources, last]
        return found

    def count(self, words: Ints, last: Ints, tokens: Ints, sources: Ints, *, first: bool) -> Ints:
        """The number of words after another token.

        Args:
            words: the number before.
            last: the token before. tokens: the new one. sources: whose they are.
            first: whether there is no token before.
        """
        return words + (1 if first else self.begun(last, tokens, sources))

    def full(self, words: Ints, last: Ints, sources: Ints) -> Bools:
        """Whether no further word may begin, in the shape of `words`."""
        found: Bools = (words >= self.most[sources]) & ~self.marks.joins[sources, last]
        return found
