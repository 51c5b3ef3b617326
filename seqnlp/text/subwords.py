"""Subword tokenizers that are trained on a corpus: the same texts give the same tokenizer, always.

Segmentation is by the `tokenizers` package, which is imported when one is trained or loaded.
"""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from seqnlp.errors import InputError
from seqnlp.text.normalize import replace_surrogates
from seqnlp.text.segmenters import LatticeSegmenter, MergeSegmenter, Segmenter
from seqnlp.text.tokenizers import JSON, Tokenizer
from seqnlp.text.unigram import train_unigram

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

_UNKNOWN = "<unk>"
_SPACE = "\u2581"  # stands for a space within pieces


class SubwordTokenizer(Tokenizer):
    """What the trained subword tokenizers share.

    Args:
        size: the most pieces.
        min_count: pieces seen less often in training are not learned.

    Raises:
        InputError: a size or count that cannot be.
    """

    needs_training = True
    libraries = ("tokenizers",)
    smallest = 2
    """The least `size` that can work."""

    def __init__(self, *, size: int = 8000, min_count: int = 2) -> None:
        if size < self.smallest:
            raise InputError(f"size = {size}: a {self.family} tokenizer needs {self.smallest}")
        if min_count < 1:
            raise InputError(f"min_count = {min_count}: expected 1 or more")
        self.size, self.min_count = size, min_count
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The trained tokenizer of the `tokenizers` package.

        Raises:
            InputError: nothing has been trained.
        """
        if self._engine is None:
            raise InputError(f"the {self.family} tokenizer is not trained yet; call train(texts)")
        return self._engine

    def train(self, texts: Iterable[str]) -> Self:
        """Return a tokenizer trained on the texts; this one does not change.

        Raises:
            InputError: there is no text to learn from.
        """
        trained = type(self)(size=self.size, min_count=self.min_count)
        lines = (replace_surrogates(text) for text in texts if text and not text.isspace())
        first = next(lines, None)
        if first is None:
            raise InputError(f"the {self.family} tokenizer found no text to train on")
        trained._engine = self._learn(chain([first], lines))
        return trained

    def inventory(self) -> tuple[str, ...]:
        numbers: dict[str, int] = self.engine.get_vocab()
        return tuple(sorted(numbers.keys() - {_UNKNOWN}, key=numbers.__getitem__))

    def state(self) -> dict[str, JSON]:
        model = None if self._engine is None else json.loads(self._engine.to_str())
        return {"size": self.size, "min_count": self.min_count, "model": model}

    @classmethod
    def from_state(cls, state: Mapping[str, JSON]) -> Self:
        from tokenizers import Tokenizer as Engine

        options: dict[str, Any] = dict(state)
        model = options.pop("model")
        made = cls(**options)
        if model is not None:
            try:
                made._engine = Engine.from_str(json.dumps(model))
            except Exception as error:
                if type(error) is not Exception:  # the package raises nothing more exact
                    raise
                raise InputError(f"the {cls.family} model is damaged: {error}") from error
        return made

    @abstractmethod
    def _learn(self, texts: Iterable[str]) -> Engine:
        """Train on well-formed texts."""


class BPETokenizer(SubwordTokenizer):
    """Byte-pair encoding over UTF-8 bytes (Sennrich et al. 2016, arXiv:1508.07909).

    Lossless for every text without lone surrogates. Tokens are written in the alphabet of
    Radford et al. 2019 (GPT-2), one printable character a byte: `Ġ` is a space.
    """

    family = "bpe"
    lossless = True
    smallest = 257

    def tokenize(self, text: str) -> list[str]:
        return self.engine.encode(self._front + replace_surrogates(text)).tokens if text else []

    def detokenize(self, tokens: Sequence[str]) -> str:
        return _decode(self.engine, tokens).removeprefix(self._front)

    def label(self, token: str) -> str:
        """Its text, a space as U+2581; as written, where its bytes are no whole characters."""
        text = _decode(self.engine, [token])
        return token if "\ufffd" in text else text.replace(" ", _SPACE)

    @property
    def _front(self) -> str:
        """A space that makes the first word look like any other; detokenize takes it off.

        Models that were trained without it have none.
        """
        return " " if self.engine.pre_tokenizer.add_prefix_space else ""

    def segmenter(self) -> Segmenter:
        merges = json.loads(self.engine.to_str())["model"]["merges"]
        return MergeSegmenter(
            self.inventory(),
            [(left, right) for left, right in merges],
            words=lambda text: (
                _words(self.engine, self._front + replace_surrogates(text)) if text else []
            ),
            plain=lambda word: _pieces(self.engine, word),
        )

    def _learn(self, texts: Iterable[str]) -> Engine:
        from tokenizers import Tokenizer as Engine
        from tokenizers import decoders, models, pre_tokenizers, trainers

        engine = Engine(models.BPE())
        # The space in front is ours, so that texts that begin with one come back; this records it.
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        engine.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.size,
            min_frequency=self.min_count,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        with _one_thread():
            engine.train_from_iterator((" " + text for text in texts), trainer)
        return engine


class UnigramTokenizer(SubwordTokenizer):
    """Pieces of a unigram language model (Kudo 2018, arXiv:1804.10959).

    A space is written U+2581 at the beginning of its word. Lossless for every text without lone
    surrogates and without U+2581, which comes back as a space; unknown characters stay as they are.
    """

    family = "unigram"
    lossless = True

    def tokenize(self, text: str) -> list[str]:
        # A space in front makes the first word look like any other; detokenize takes it off.
        return self.engine.encode(" " + replace_surrogates(text)).tokens if text else []

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens).replace(_SPACE, " ").removeprefix(" ")

    def segmenter(self) -> Segmenter:
        pieces = json.loads(self.engine.to_str())["model"]["vocab"]
        return LatticeSegmenter(
            {piece: score for piece, score in pieces if piece != _UNKNOWN},
            words=lambda text: _words(self.engine, " " + replace_surrogates(text)) if text else [],
            plain=lambda word: _pieces(self.engine, word),
        )

    def _learn(self, texts: Iterable[str]) -> Engine:
        from tokenizers import Tokenizer as Engine
        from tokenizers import models, pre_tokenizers

        split = pre_tokenizers.Metaspace(prepend_scheme="never")
        counts = _count_words((" " + text for text in texts), split)
        found = train_unigram(counts, size=self.size - 1, min_count=self.min_count)
        # The package reads a longer number back with another last digit.
        pieces = [(piece, round(score, 8)) for piece, score in found]
        engine = Engine(models.Unigram([(_UNKNOWN, 0.0), *pieces], unk_id=0, byte_fallback=False))
        engine.pre_tokenizer = split
        return engine


class WordPieceTokenizer(SubwordTokenizer):
    """Greedy longest pieces of words (Schuster and Nakajima 2012; Devlin et al. 2019).

    Words are split at whitespace and around punctuation; a piece that continues a word begins
    with `##`, and a word that the pieces cannot write stays whole. Detokenizing gives back the
    words, `tokenize(detokenize(tokens)) == tokens`, but not the exact spaces.
    """

    family = "wordpiece"

    def tokenize(self, text: str) -> list[str]:
        text = replace_surrogates(text)
        found = self.engine.encode(text)
        return [
            text[start:end] if token == _UNKNOWN else token
            for token, (start, end) in zip(found.tokens, found.offsets, strict=True)
        ]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return _decode(self.engine, tokens)

    def _learn(self, texts: Iterable[str]) -> Engine:
        from tokenizers import Tokenizer as Engine
        from tokenizers import decoders, models, pre_tokenizers, trainers

        split = pre_tokenizers.BertPreTokenizer()
        counts = _count_words(texts, split)
        # The trainer numbers the alphabet in the order in which it meets it, which changes from
        # run to run, and breaks ties by number: so the alphabet is given, as special tokens.
        alphabet = _alphabet(counts, most=self.size // 4, min_count=self.min_count)
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.size,
            min_frequency=self.min_count,
            special_tokens=[_UNKNOWN, *alphabet],
            limit_alphabet=0,
            show_progress=False,
        )
        learner = Engine(models.WordPiece(unk_token=_UNKNOWN))
        learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        words = (" ".join([word] * times) for word, times in sorted(counts.items()))
        with _one_thread():
            learner.train_from_iterator(words, trainer)
        pieces = learner.get_vocab(with_added_tokens=True)
        engine = Engine(models.WordPiece(pieces, unk_token=_UNKNOWN))
        engine.pre_tokenizer = split
        engine.decoder = decoders.WordPiece(cleanup=True)
        return engine


def _count_words(texts: Iterable[str], split: Any) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in split.pre_tokenize_str(text))
    return counts


def _alphabet(counts: Mapping[str, int], *, most: int, min_count: int) -> list[str]:
    """The frequent characters, bare and, where they continue a word, as `##` pieces."""
    times: Counter[str] = Counter()
    continuing: set[str] = set()
    for word, count in counts.items():
        continuing.update(word[1:])
        for character in word:
            times[character] += count
    often = sorted(times, key=lambda character: (-times[character], character))[: max(most, 1)]
    kept = [character for character in often if times[character] >= min_count]
    return kept + [f"##{character}" for character in kept if character in continuing]


def _words(engine: Engine, text: str) -> list[str]:
    return [word for word, _ in engine.pre_tokenizer.pre_tokenize_str(text)]


def _pieces(engine: Engine, word: str) -> list[str]:
    return [token.value for token in engine.model.tokenize(word)]


def _decode(engine: Engine, tokens: Sequence[str]) -> str:
    text: str = engine.decoder.decode(list(tokens)) if tokens else ""
    return text


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train on one thread, unless the user's environment asks for more.

    Its thread pool would make the package warn about every later fork of the process.
    """
    name = "TOKENIZERS_PARALLELISM"
    if name in os.environ:
        yield
        return
    os.environ[name] = "false"
    try:
        yield
    finally:
        del os.environ[name]
