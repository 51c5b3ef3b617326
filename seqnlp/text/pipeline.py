"""From text to the arrays that a model reads, and back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seqnlp import registry
from seqnlp.errors import BundleError, InputError
from seqnlp.files import write_text
from seqnlp.text.ngrams import NgramHasher
from seqnlp.text.normalize import AT_THE_BEGINNING
from seqnlp.text.storage import dump_json, read_json
from seqnlp.text.tokenizers import Tokenizer
from seqnlp.text.vocabulary import PAD, UNK, Vocabulary

PIPELINE_FILES = ("pipeline.json", "tokenizer.json", "vocabulary.json")
"""What `TokenPipeline.save` writes after `fit`."""

FORMAT = 1
"""Of the files that `TokenPipeline.save` writes; raised when an older reader would misread them."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TokenPipeline:
    """Normalizers, a tokenizer, a vocabulary, hashed n-grams; immutable.

    Args:
        normalizers: registered names, applied in order.
        tokenizer: splits what the normalizers leave.
        vocabulary: made by `fit`.
        hasher: where the model reads character n-grams.
    """

    normalizers: tuple[str, ...] = ()
    tokenizer: Tokenizer
    vocabulary: Vocabulary | None = None
    hasher: NgramHasher | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: copies of a task share what cannot change."""
        return self

    def normalize(self, text: str) -> str:
        """Apply the normalizers."""
        for function in self._functions:
            text = function(text)
        return text

    def normalize_tokens(self, tokens: Sequence[str]) -> list[str]:
        """Apply the normalizers to tokens that are there already, as many as come.

        One that is about the beginning of a text is applied where its first word is. What would
        leave nothing of a token leaves the token.
        """
        made = list(tokens)
        for name, function in zip(self.normalizers, self._functions, strict=True):
            if name in AT_THE_BEGINNING:
                first = next((n for n, each in enumerate(made) if any(map(str.isalnum, each))), 0)
                made[first : first + 1] = map(function, made[first : first + 1])
            else:
                made = [function(token) or token for token in made]
        return made

    def tokens(self, text: str) -> list[str]:
        """Normalize, then tokenize."""
        return self.tokenizer.tokenize(self.normalize(text))

    def fit(
        self,
        texts: Iterable[str],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        specials: tuple[str, ...] = (PAD, UNK),
    ) -> Self:
        """Return a pipeline with a trained tokenizer and the vocabulary of the texts.

        Args:
            texts: read twice where the tokenizer needs training; an iterator is then held in
                memory.
            min_count, max_size, specials: see `Vocabulary.from_counts`.
        """
        if self.tokenizer.needs_training and iter(texts) is texts:
            texts = list(texts)
        trained = self.with_trained_tokenizer(texts)
        counts = Counter(chain.from_iterable(map(trained.tokens, texts)))
        return trained.fit_counts(counts, min_count=min_count, max_size=max_size, specials=specials)

    def fit_counts(
        self,
        counts: Mapping[str, int],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        specials: tuple[str, ...] = (PAD, UNK),
        complete: bool = False,
    ) -> Self:
        """Return a pipeline with the vocabulary of counted tokens.

        Args:
            counts, min_count, max_size, specials: see `Vocabulary.from_counts`.
            complete: also take every token of the tokenizer's inventory, where it has one, however
                rare: what a piece of a rare or sampled word needs to be more than unknown.
        """
        inventory = self.tokenizer.inventory() if complete else None
        if inventory is not None:
            kept = {token: count for token, count in counts.items() if count >= min_count}
            counts, min_count = {**dict.fromkeys(inventory, 0), **kept}, 0
        vocabulary = Vocabulary.from_counts(
            counts, min_count=min_count, max_size=max_size, specials=specials
        )
        return replace(self, vocabulary=vocabulary)

    def with_trained_tokenizer(self, texts: Iterable[str]) -> Self:
        """Return a pipeline whose tokenizer is trained; itself, where that needs no training."""
        if not self.tokenizer.needs_training:
            return self
        return replace(self, tokenizer=self.tokenizer.train(map(self.normalize, texts)))

    def ids(self, tokens: Sequence[str]) -> Ints:
        """The ids of tokens, int64 [T]."""
        return np.array(self._vocabulary.ids(tokens), dtype=np.int64)

    def encode(self, text: str) -> list[int]:
        """The ids of a text's tokens."""
        return self._vocabulary.ids(self.tokens(text))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; special tokens other than `<unk>` are left out.

        Raises:
            InputError: an id that the vocabulary does not have.
        """
        vocabulary = self._vocabulary
        first, unk = len(vocabulary.specials), vocabulary.unk
        kept = [vocabulary.token(int(id)) for id in ids if not 0 <= id < first or id == unk]
        return self.tokenizer.detokenize(kept)

    def features(self, types: Sequence[str]) -> tuple[Ints, Ints, Ints]:
        """What a model reads of U distinct tokens.

        Returns:
            ids int64 [U]; n-grams int64 [N], none without a hasher; offsets int64 [U], where each
            token's n-grams begin.
        """
        if self.hasher is None:
            none = np.zeros(0, dtype=np.int64)
            return self.ids(types), none, np.zeros(len(types), dtype=np.int64)
        return self.ids(types), *self.hasher.bags(types)

    def fingerprint(self) -> str:
        """A digest of all that the tokens of a text depend on: a key for cached tokens."""
        parts = {
            "normalizers": self.normalizers,
            "tokenizer": self.tokenizer.family,
            "state": self.tokenizer.state(),
            "versions": {name: version(name) for name in ("seqnlp", *self.tokenizer.libraries)},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write pipeline.json, tokenizer.json and, after `fit`, vocabulary.json.

        Raises:
            InputError: the folder cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}") from error
        family, hasher = self.tokenizer.family, self.hasher
        sizes = None if hasher is None else {name: getattr(hasher, name) for name in _HASHER}
        description = {
            "format": FORMAT,
            "normalizers": self.normalizers,
            "tokenizer": family,
            "package": registry.tokenizers.names().get(family, "an unknown package"),
            "vocabulary": None if self.vocabulary is None else len(self.vocabulary),
            "ngrams": sizes,
        }
        if self.vocabulary is not None:
            self.vocabulary.save(folder / "vocabulary.json")
        write_text(folder / "tokenizer.json", dump_json(self.tokenizer.state(), indent=1) + "\n")
        write_text(folder / "pipeline.json", dump_json(description, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleError: a file is missing or damaged, comes from a newer version, or needs a
                package that is not installed.
        """
        path = folder / "pipeline.json"
        data = read_json(path)
        number = _entry(path, data, "format", int)
        if number > FORMAT:
            raise BundleError(
                f"{path}: format {number} is of a newer version of seqnlp; "
                f"this one reads up to {FORMAT}"
            )
        normalizers = tuple(str(name) for name in _entry(path, data, "normalizers", list))
        for name in normalizers:
            if name not in registry.normalizers.names():
                raise BundleError(f"{path}: the normalizer {name!r} is not installed")
        size = _entry(path, data, "vocabulary", int, type(None))
        vocabulary = None
        if size is not None:
            vocabulary = Vocabulary.load(folder / "vocabulary.json")
            if len(vocabulary) != size:
                raise BundleError(
                    f"{folder / 'vocabulary.json'}: expected {size} tokens, found {len(vocabulary)}"
                )
        sizes = _entry(path, data, "ngrams", dict, type(None))
        try:
            hasher = None if sizes is None else NgramHasher(**sizes)
        except (TypeError, InputError) as error:
            raise BundleError(f"{path}: ngrams: {error}") from error
        return cls(
            normalizers=normalizers,
            tokenizer=_load_tokenizer(folder, data),
            vocabulary=vocabulary,
            hasher=hasher,
        )

    @cached_property
    def _functions(self) -> tuple[Callable[[str], str], ...]:
        return tuple(registry.normalizers.get(name) for name in self.normalizers)

    @property
    def _vocabulary(self) -> Vocabulary:
        if self.vocabulary is None:
            raise InputError("the pipeline has no vocabulary yet; call fit(texts)")
        return self.vocabulary


_HASHER = ("buckets", "min_size", "max_size")


def _load_tokenizer(folder: Path, data: Mapping[str, object]) -> Tokenizer:
    described, path = folder / "pipeline.json", folder / "tokenizer.json"
    family = _entry(described, data, "tokenizer", str)
    if family not in registry.tokenizers.names():
        package = _entry(described, data, "package", str)
        raise BundleError(
            f"{described}: the tokenizer {family!r} comes from {package}, which is not installed"
        )
    state = read_json(path)
    try:
        tokenizer: Tokenizer = registry.tokenizers.get(family).from_state(state)
    except KeyError as error:
        raise BundleError(
            f"{path}: no state of a {family} tokenizer: {error} is missing"
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path}: no state of a {family} tokenizer: {error}") from error
    except InputError as error:
        raise BundleError(f"{path}: {error}") from error
    return tokenizer


def _entry(path: Path, data: Mapping[str, object], key: str, *kinds: type) -> Any:
    """A value of a saved object, of one of those types."""
    if key not in data:
        raise BundleError(f"{path}: the key {key!r} is missing")
    value = data[key]
    if type(value) not in kinds:
        expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise BundleError(f"{path}: {key}: expected {expected}, found {value!r}")
    return value
