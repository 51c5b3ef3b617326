"""Figures of translations in points: BLEU, chrF and TER by sacrebleu, their bootstraps by sums.

Each figure is a function of statistics summed over sentences, so that a resample of the sentences
is a sum of rows, and all resamples are one product. Resamples are those that sacrebleu draws with
its default seed: its own `--confidence` and `--paired-bs` give the same numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks.metrics import Floats, p_value
from seqnlp.tasks.resampling import RESAMPLES, SEED, bounds, resampled

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

LENGTHS = (5, 10, 15, 20, 30, 40, 60)
"""The last length of each bucket, in tokens of the reference as BLEU counts them."""


def score(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """BLEU and chrF of a corpus, cased and of whole texts, in points; quick.

    >>> score(["the cat sat on the mat"], ["the cat sat on the mat"])
    {'bleu': 100.0, 'chrf': 100.0}
    """
    return {name: _FIGURES[name].measure(hypotheses, references).value for name in ("bleu", "chrf")}


def report(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """Every figure as JSON values: BLEU, chrF2 and TER with signatures and intervals, and buckets.

    examples: how many. bleu, chrf, ter: `value`, and `low` and `high` of its 95 % bootstrap
    interval over the sentences, in points; TER is better when lower. length_ratio: tokens of the
    answers to those of the references. lengths: the same by length of the reference.

    Source: Papineni et al. 2002; Popović 2015; Snover et al. 2006; Post 2018, arXiv:1804.08771.
    """
    measured = {name: kind.measure(hypotheses, references) for name, kind in _FIGURES.items()}
    wide = np.concatenate([each.statistics for each in measured.values()], axis=1)
    sums = resampled(wide)
    made: dict[str, Any] = {"examples": len(references)}
    column = 0
    for name, each in measured.items():
        width = each.statistics.shape[1]
        values = each.figure.of(sums[:, column : column + width])
        column += width
        made[name] = {
            "value": each.value,
            **bounds(values),
            "unit": "points",
            "name": each.figure.name,
            "signature": each.signature,
            **({"better": "lower"} if name == "ter" else {}),
        }
    lengths = measured["bleu"].statistics[:, :2]
    made["length_ratio"] = _length_ratio(lengths)
    made["lengths"] = [
        {
            "from": begin,
            "to": end,
            "examples": int(inside.sum()),
            **{
                name: float(each.figure.of(each.statistics[inside].sum(0)))
                for name, each in measured.items()
            },
            "length_ratio": _length_ratio(lengths[inside]),
        }
        for begin, end, inside in _buckets(lengths[:, 1])
    ]
    return made


def compare(
    first: Sequence[str], second: Sequence[str], references: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Paired bootstrap resampling of two systems' answers to the same texts, for BLEU and chrF.

    first, second: the figures in points. difference: second - first with its 95 % interval.
    wins: the share of resamples in which the second system is better than the first.
    p_value: how probable a difference this large would be if there were none, of either sign.
    p_sacrebleu: what sacrebleu calls so, to be set beside its own.

    Source: Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation".
    """
    made = {}
    for name in ("bleu", "chrf"):
        kind = _FIGURES[name]
        a, b = (kind.measure(answers, references) for answers in (first, second))
        sums = resampled(np.concatenate([a.statistics, b.statistics], axis=1))
        width = a.statistics.shape[1]
        changes = kind.of(sums[:, width:]) - kind.of(sums[:, :width])
        change = b.value - a.value
        made[name] = {
            "name": kind.name,
            "unit": "points",
            "first": a.value,
            "second": b.value,
            "difference": {"value": change, **bounds(changes)},
            "wins": float((changes > 0).mean()),
            "p_value": p_value(changes, change),
            "p_sacrebleu": _sacrebleu_p(changes, change),
            "signature": b.signature,
        }
    return made


def _sacrebleu_p(changes: Floats, found: float) -> float:
    """Sacrebleu's p-value. Of sizes around their mean it sees one tail: about half of both."""
    sizes = np.abs(changes)
    return float((sizes - sizes.mean() >= abs(found)).sum() + 1) / (len(sizes) + 1)


class _Measured:
    """What one figure is for a corpus. statistics: float [N, F], whole numbers by sentence."""

    def __init__(
        self, figure: _Figure, metric: Metric, hypotheses: Sequence[str], references: Sequence[str]
    ) -> None:
        self.figure = figure
        if not len(hypotheses) == len(references) > 0:
            raise ValueError(
                f"{len(hypotheses)} translations and {len(references)} references: expected as "
                "many, and at least one"
            )
        # sacrebleu has no public name for the sentences' statistics.
        rows = metric._extract_corpus_statistics(hypotheses, [references])
        metric.n_bootstrap, metric.seed = RESAMPLES, SEED
        # A perfect corpus has a little more than 100 points by rounding.
        self.value = min(float(metric._aggregate_and_compute(rows).score), figure.most)
        self.statistics: Floats = np.array(rows, dtype=np.float64)
        self.signature = str(metric.get_signature())


class _Figure(ABC):
    """A figure by sacrebleu, and the same of many sums at once."""

    name: ClassVar[str]
    most: ClassVar[float] = 100.0

    def measure(self, hypotheses: Sequence[str], references: Sequence[str]) -> _Measured:
        return _Measured(self, self._metric(), hypotheses, references)

    @abstractmethod
    def _metric(self) -> Metric: ...

    @abstractmethod
    def of(self, sums: Floats) -> Floats:
        """The figure [...] of summed statistics [..., F]."""


class _Bleu(_Figure):
    """Columns: tokens of answer and reference, matches of order 1 to 4, n-grams of the answer."""

    name = "BLEU"

    def _metric(self) -> Metric:
        from sacrebleu.metrics.bleu import BLEU

        # With `force` it does not complain of texts that look tokenized.
        return BLEU(force=True)

    def of(self, sums: Floats) -> Floats:
        own, reference = sums[..., 0], sums[..., 1]
        matches, totals = sums[..., 2:6], sums[..., 6:10]
        # Smoothing of NIST: the k-th order without a match counts as 1 / 2^k of one.
        smoothed = np.where(matches > 0, matches, 0.5 ** np.cumsum(matches == 0, axis=-1))
        with np.errstate(divide="ignore"):
            logs = np.log(np.where(totals > 0, _ratio(smoothed, totals), 0.0)).mean(-1)
        brevity = np.minimum(0.0, 1.0 - _ratio(reference, own, empty=np.inf))
        found: Floats = np.where(matches.any(-1), 100 * np.exp(logs + brevity), 0.0)
        return np.minimum(found, self.most)


class _Chrf(_Figure):
    """See `chrf_of`."""

    name = "chrF2"

    def _metric(self) -> Metric:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF()

    def of(self, sums: Floats) -> Floats:
        return chrf_of(sums)


class _Ter(_Figure):
    """Columns: edits, and words of the reference."""

    name = "TER"
    most = float("inf")

    def _metric(self) -> Metric:
        from sacrebleu.metrics.ter import TER

        return TER()

    def of(self, sums: Floats) -> Floats:
        edits, words = sums[..., 0], sums[..., 1]
        found: Floats = 100 * np.where(words > 0, _ratio(edits, words), edits > 0)
        return found


_FIGURES: Mapping[str, _Figure] = {"bleu": _Bleu(), "chrf": _Chrf(), "ter": _Ter()}


def chrf_of(sums: Floats) -> Floats:
    """chrF2 [...] in points, of statistics [..., 18].

    For each order 1 to 6: n-grams of characters of the answer, of the reference, of both.
    """
    own, reference, both = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    counted = (own > 0) & (reference > 0)
    orders = counted.sum(-1)
    precision = _ratio(np.where(counted, _ratio(both, own), 0).sum(-1), orders)
    recall = _ratio(np.where(counted, _ratio(both, reference), 0).sum(-1), orders)
    found: Floats = 100 * _ratio(5 * precision * recall, 4 * precision + recall)
    return found


def _buckets(lengths: Floats) -> Iterator[tuple[int, int | None, NDArray[np.bool_]]]:
    """First and last length of each bucket that has sentences, and which those are."""
    numbers = np.searchsorted(LENGTHS, lengths)
    for number in np.unique(numbers):
        begin = 0 if number == 0 else LENGTHS[number - 1] + 1
        yield begin, LENGTHS[number] if number < len(LENGTHS) else None, numbers == number


def _length_ratio(lengths: Floats) -> float:
    own, reference = lengths.sum(0)
    return float(_ratio(own, reference))


def _ratio(part: Any, whole: Any, *, empty: float = 0.0) -> Any:
    """The quotient, and `empty` where there is no whole."""
    part, whole = np.broadcast_arrays(part, whole)
    made = np.full(part.shape, empty)
    return np.divide(part, whole, out=made, where=whole > 0)
