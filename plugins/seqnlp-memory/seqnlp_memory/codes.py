"""Words as numbers: words of bits, or symbols of an alphabet."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqnlp.errors import InputError, suggest

Floats = NDArray[np.float32]

MOST_BITS = 64
MOST_SYMBOLS = 1000


class Code(ABC):
    """What a word is to a network: `size` numbers that are 0 or 1, and one more for the end."""

    kind: ClassVar[str]
    size: int

    @abstractmethod
    def encode(self, words: Sequence[str], where: str) -> Floats:
        """Words as float32 [L, size].

        Raises:
            InputError: a word that is none of this code; `where` begins the message.
        """

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Nats, summed over words and ends, from logits and targets float [M, size + 1].

        At the end nothing is asked of the word: where that is, another part may well not know.
        """
        ends = targets[:, -1]
        inner = ends == 0
        ended = functional.binary_cross_entropy_with_logits(logits[:, -1], ends, reduction="sum")
        return ended + self.word_loss(logits[inner, :-1], targets[inner, :-1])

    def count_units(self, targets: Tensor) -> int:
        """What `loss` is summed over: bits or symbols, and for each step whether it is the end."""
        return len(targets) + self.units * int((targets[:, -1] == 0).sum())

    @abstractmethod
    def word_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Nats, summed over words, from logits and targets float [M, size]."""

    @abstractmethod
    def decode(self, logits: Tensor) -> tuple[list[str], NDArray[np.bool_]]:
        """The likeliest word of each step, and whether it is likely the end, where there is none.

        Args:
            logits: float [M, size + 1].
        """

    @abstractmethod
    def count_wrong(self, word: str, reference: str) -> int:
        """How many of `units` parts of the reference a word has wrong."""

    @property
    @abstractmethod
    def units(self) -> int:
        """The parts of a word that can be wrong by themselves: its bits, or the symbol."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `code_from` needs, as JSON values."""


class BitCode(Code):
    """Words of `size` bits, such as 01101110; each bit is guessed by itself."""

    kind = "bits"

    def __init__(self, size: int) -> None:
        if not 1 <= size <= MOST_BITS:
            raise ValueError(f"bits must be 1 to {MOST_BITS}, not {size}")
        self.size = size

    def encode(self, words: Sequence[str], where: str) -> Floats:
        for number, word in enumerate(words, start=1):
            if len(word) != self.size or word.strip("01"):
                raise InputError(f"{where}: word {number} is {word!r}; expected {self.size} bits")
        bits = np.frombuffer("".join(words).encode(), dtype=np.uint8) - ord("0")
        return bits.astype(np.float32).reshape(len(words), self.size)

    def word_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")

    def decode(self, logits: Tensor) -> tuple[list[str], NDArray[np.bool_]]:
        ones: NDArray[np.bool_] = (logits > 0).cpu().numpy()
        letters = (ones[:, :-1].astype(np.uint8) + ord("0")).tobytes().decode()
        words = [letters[at : at + self.size] for at in range(0, len(letters), self.size)]
        return words, ones[:, -1]

    def count_wrong(self, word: str, reference: str) -> int:
        return sum(a != b for a, b in zip(word, reference, strict=True))

    @property
    def units(self) -> int:
        return self.size

    def state(self) -> dict[str, Any]:
        return {"bits": self.size}


class SymbolCode(Code):
    """Words of an alphabet, of which one is guessed at a step."""

    kind = "symbols"

    def __init__(self, alphabet: Sequence[str]) -> None:
        if not 1 <= len(alphabet) <= MOST_SYMBOLS or len(set(alphabet)) != len(alphabet):
            raise ValueError(f"an alphabet must have 1 to {MOST_SYMBOLS} symbols, each once")
        self.alphabet = tuple(alphabet)
        self.size = len(self.alphabet)
        self._number = {symbol: k for k, symbol in enumerate(self.alphabet)}

    def encode(self, words: Sequence[str], where: str) -> Floats:
        for number, word in enumerate(words, start=1):
            if word not in self._number:
                raise InputError(
                    f"{where}: word {number} is {word!r}, which no training sequence has; "
                    f"{suggest(word, self.alphabet)}"
                )
        chosen = np.array([self._number[word] for word in words], dtype=np.int64)
        made: Floats = np.eye(self.size, dtype=np.float32)[chosen]
        return made

    def word_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, reduction="sum")

    def decode(self, logits: Tensor) -> tuple[list[str], NDArray[np.bool_]]:
        best = logits[:, :-1].argmax(1)
        ends: NDArray[np.bool_] = (logits[:, -1] > 0).cpu().numpy()
        return [self.alphabet[k] for k in best.tolist()], ends

    def count_wrong(self, word: str, reference: str) -> int:
        return int(word != reference)

    @property
    def units(self) -> int:
        return 1

    def state(self) -> dict[str, Any]:
        return {"symbols": list(self.alphabet)}


def find_code(words: Iterable[str], *, kind: str = "auto") -> Code:
    """The code of these words: bits, if all are of one number of them above 1, else symbols.

    Args:
        words: of the training sequences and answers, at least one.
        kind: "bits" or "symbols", where it is not to be found out.

    Raises:
        InputError: they are no bits, or too many symbols.
    """
    found = sorted(set(words))
    sizes = {len(word) for word in found}
    are_bits = len(sizes) == 1 and all(re.fullmatch("[01]+", word) for word in found)
    if kind == "bits" and not are_bits:
        raise InputError("head.words: the words are not all of one number of bits")
    try:
        if are_bits and (kind == "bits" or (kind == "auto" and sizes != {1})):
            return BitCode(len(found[0]))
        return SymbolCode(found)
    except ValueError as error:
        raise InputError(f"the words of the training sequences: {error}") from error


def code_from(state: Mapping[str, Any]) -> Code:
    """The code whose state this is; a ValueError, TypeError or KeyError where it is none."""
    if "bits" in state:
        return BitCode(int(state["bits"]))
    return SymbolCode([str(symbol) for symbol in state["symbols"]])
