"""What options of decoding say in texts and words, as a search takes it: in token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqnlp_runtime.decoding import Decoding, WordMarks
from seqnlp_runtime.decoding.arrays import Bools
from seqnlp_runtime.errors import RunnerError
from seqnlp_runtime.pipeline import Pipeline
from seqnlp_runtime.written_words import word_marks


@dataclass(frozen=True, kw_only=True)
class Target:
    """What can be written.

    pipeline: of it. outputs: V, how many tokens can be generated, the first. copies: whether those
    of a source can be written, too. unknown: whether unknown ones can.
    """

    pipeline: Pipeline
    outputs: int
    copies: bool
    unknown: bool

    @cached_property
    def marks(self) -> Bools:
        """Which of V tokens begin a word, and which join the next to theirs, bool [2, V]."""
        pipeline = self.pipeline
        first = len(pipeline.specials)
        marks = np.zeros((2, self.outputs), dtype=np.bool_)
        tokens = pipeline.vocabulary[: self.outputs - first]
        marks[:, first:] = word_marks(tokens, pipeline.tokenizer)
        marks[0, pipeline.specials.index("<unk>")] = True
        return marks

    def words(self, slots: Sequence[Sequence[str]]) -> WordMarks:
        """Which tokens begin a word, of rows whose slots have these names."""
        most = max(1, *map(len, slots)) if self.copies else 0
        table = np.zeros((2, len(slots), self.outputs + most), dtype=np.bool_)
        table[:, :, : self.outputs] = self.marks[:, None]
        for row, names in enumerate(slots):
            own = word_marks(names, self.pipeline.tokenizer)
            table[:, row, self.outputs : self.outputs + len(names)] = own
        return WordMarks(begins=table[0], joins=table[1])

    def check(self, decoding: Decoding) -> None:
        """See that a prefix and phrases can be written.

        Raises:
            RunnerError: they have a token that the model can never write.
        """
        if not self.copies:
            self.forced(decoding, (), ())

    def forced(
        self, decoding: Decoding, slots: Sequence[str], source: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        """The ids of the prefix and of the phrases of a row.

        Args:
            slots: the tokens that it can copy and not generate.
            source: its tokens.

        Raises:
            RunnerError: a token that the model can neither generate nor copy.
        """
        places = {token: self.outputs + place for place, token in enumerate(slots)}
        where = f" nor in the text that begins {' '.join(source[:4])!r}" if source else ""

        def ids(key: str, text: str, tokens: Sequence[str]) -> list[int]:
            return [self._id(token, places, f"decoding.{key}: {text!r}", where) for token in tokens]

        prefix = ids("prefix", decoding.prefix, self.pipeline.tokens(decoding.prefix))
        return prefix, [
            ids("constraints", phrase, _inside(phrase, self.pipeline))
            for phrase in decoding.constraints
        ]

    def _id(self, token: str, places: Mapping[str, int], what: str, where: str) -> int:
        id = self.pipeline.index.get(token, self.outputs)
        id = id if id < self.outputs else places.get(token, -1)
        if id < 0:
            raise RunnerError(
                f"{what} has {token!r}, which the model cannot write: it is "
                f"{'neither' if where else 'not'} in its vocabulary{where}"
            )
        return id


def _inside(phrase: str, pipeline: Pipeline) -> Sequence[str]:
    """The tokens of a phrase within a text, where its first word is not the first of all."""
    before, inside = pipeline.tokens("a"), pipeline.tokens(f"a {phrase}")
    cut = inside[: len(before)] == before
    return inside[len(before) :] if cut else pipeline.tokens(phrase)
