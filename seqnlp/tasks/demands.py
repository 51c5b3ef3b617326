"""What the options of decoding say in texts and words, as a search takes it: in token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from seqnlp.errors import InputError
from seqnlp.tasks.decoding import Decoding, WordMarks
from seqnlp.tasks.written_words import vocabulary_marks, word_marks
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """key: of `decoding`. text: its value. tokens: of the text."""

    key: str
    text: str
    tokens: Sequence[str]


class Demands:
    """A prefix, phrases and marks of words, as arguments of `search`.

    Args:
        pipeline: of what is written.
        decoding: the options.
        outputs: V, how many tokens of the vocabulary can be generated, the first.
        copies: whether tokens of a source can be written, too.

    Raises:
        InputError: a token that the model can never write.
    """

    def __init__(
        self, pipeline: TokenPipeline, decoding: Decoding, *, outputs: int, copies: bool
    ) -> None:
        assert pipeline.vocabulary is not None
        self._vocabulary: Vocabulary = pipeline.vocabulary
        self._tokenizer = pipeline.tokenizer
        self._outputs = outputs
        prefix = pipeline.tokens(decoding.prefix)
        self._prefix = _Wanted(key="prefix", text=decoding.prefix, tokens=prefix)
        self._phrases = [
            _Wanted(key="constraints", text=phrase, tokens=_inside(phrase, pipeline))
            for phrase in decoding.constraints
        ]
        if not copies:
            for wanted in (self._prefix, *self._phrases):
                self._ids(wanted, {}, "")

    def forced(
        self, slots: Sequence[str], source: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        """The prefix and the phrases of a row.

        Args:
            slots: the tokens that it can copy and not generate; V + k is the k-th of them.
            source: its tokens.

        Raises:
            InputError: a token that the model can neither generate nor copy.
        """
        places = {token: self._outputs + place for place, token in enumerate(slots)}
        where = f" nor in the text that begins {' '.join(source[:4])!r}" if source else ""
        return self._ids(self._prefix, places, where), [
            self._ids(phrase, places, where) for phrase in self._phrases
        ]

    def words(self, slots: Sequence[Sequence[str]], device: torch.device) -> WordMarks:
        """Which tokens begin a word, of rows with these slots."""
        general = vocabulary_marks(self._vocabulary, self._outputs, self._tokenizer)
        marks = WordMarks.of(*general, device)
        most = max(map(len, slots))
        if not most:
            return marks
        types = sorted({token for row in slots for token in row})
        numbers = {token: number for number, token in enumerate(types)}
        # Behind a row's own slots there is nothing, which begins no word.
        table = torch.tensor([*word_marks(types, self._tokenizer)], dtype=torch.bool)
        table = torch.nn.functional.pad(table, (0, 1)).to(device)
        rows = [[numbers[token] for token in row] + [-1] * (most - len(row)) for row in slots]
        begins, joins = table[:, torch.tensor(rows, device=device)]
        return marks.extended(begins, joins)

    def _ids(self, wanted: _Wanted, places: Mapping[str, int], where: str) -> list[int]:
        found = []
        for token in wanted.tokens:
            id = self._vocabulary.index.get(token, self._outputs)
            id = id if id < self._outputs else places.get(token, -1)
            if id < 0:
                raise InputError(
                    f"decoding.{wanted.key}: {wanted.text!r} has {token!r}, which the model cannot "
                    f"write: it is {'neither' if where else 'not'} in its vocabulary{where}"
                )
            found.append(id)
        return found


def _inside(phrase: str, pipeline: TokenPipeline) -> Sequence[str]:
    """The tokens of a phrase within a text, where its first word is not the first of all."""
    before, inside = pipeline.tokens("a"), pipeline.tokens(f"a {phrase}")
    cut = inside[: len(before)] == before
    return inside[len(before) :] if cut else pipeline.tokens(phrase)
