"""ROUGE of single texts: rouge-score's own, with its stems remembered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from typing import TypeAlias

import numpy as np

from seqnlp.tasks.metrics import Floats

KINDS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
"""rouge-score's names of the figures, and what tables call them."""

Tokenize: TypeAlias = Callable[[str], list[str]]

_ONE_BY_ONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and Han have no spaces
_WORD = re.compile(rf"[{_ONE_BY_ONE}]|[^\W_{_ONE_BY_ONE}]+")


class Rouge:
    """ROUGE F1 as rouge-score computes it: words of a-z and 0-9 in lower case, Porter's stems.

    That knows no other letters. So where more than half of the references' letters are not ASCII,
    words are runs of letters and digits of any script, Han and kana one by one, without stems.

    Args:
        texts: the references.
    Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries".
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.ascii = is_ascii(texts)
        self.tokenize: Tokenize = stems if self.ascii else words

    @property
    def signature(self) -> str:
        """How it is computed, after the manner of sacrebleu."""
        how = "stemmer:porter|tokens:a-z0-9" if self.ascii else "stemmer:none|tokens:unicode"
        return f"{how}|version:rouge-score-{version('rouge-score')}"

    def measure(
        self,
        outputs: Sequence[str],
        references: Sequence[str],
        kinds: Sequence[str] = tuple(KINDS),
    ) -> Floats:
        """F1 float [N, len(kinds)] of each output against its reference, in points.

        ROUGE-Lsum takes each line of a text as a sentence.
        """
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(list(kinds), tokenizer=self)
        points = np.zeros((len(outputs), len(kinds)))
        for row, output, reference in zip(points, outputs, references, strict=True):
            found = scorer.score(reference, output)
            row[:] = [100 * found[kind].fmeasure for kind in kinds]
        return points


def is_ascii(texts: Iterable[str]) -> bool:
    """Whether at least half of the letters of some texts are ASCII.

    >>> is_ascii(["Grüße aus Köln"]), is_ascii(["привет"])
    (True, False)
    """
    balance = 0
    for text in texts:
        for letter in filter(str.isalpha, text):
            balance += 1 if letter.isascii() else -1
    return balance >= 0


def stems(text: str) -> list[str]:
    """rouge-score's tokens with stemming."""
    from rouge_score.tokenize import tokenize

    found: list[str] = tokenize(text, _stemmer())
    return found


def words(text: str) -> list[str]:
    """Runs of letters and digits of any script in lower case.

    >>> words("Ärger in 東京, 2 Tage")
    ['ärger', 'in', '東', '京', '2', 'tage']
    """
    return _WORD.findall(text.lower())


class _Stemmer:
    """NLTK's Porter stemmer, which is slow, and asked for the same words again and again."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = lru_cache(1 << 16)(PorterStemmer().stem)


@cache
def _stemmer() -> _Stemmer:
    return _Stemmer()
