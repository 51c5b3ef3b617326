"""Another segmentation of the training texts for each epoch: subword regularization."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from seqnlp.errors import InputError, SettingsError
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.segmenters import Ints

_SYMBOLS = 1 << 22  # that are drawn at once: bounds memory


class SegmentSampler:
    """Texts that are cut into subwords at random, anew for each epoch.

    For `bpe` merges are dropped (Provilkov et al. 2020, arXiv:1910.13267; their rate is 0.1), for
    `unigram` segmentations are sampled (Kudo 2018, arXiv:1804.10959; rates of 0.67 to 0.83 are
    the exponents 0.5 to 0.2 of that paper). See `segmenters` for what `rate` means exactly.

    A word that occurs up to `variants` times gets a draw of its own for each place where it
    stands; the places of a more frequent one share `variants` draws. What is drawn depends on the
    texts, the pipeline, the seed and the epoch alone.

    Args:
        pipeline: with a trained tokenizer and a vocabulary; `TokenPipeline.fit_counts` with
            `complete` gives it all pieces. Those that it lacks become unknown tokens.
        texts: N documents, read once.
        rate: 0, the plain segmentation, to 1, the most random one.
        variants: the most draws of a word in an epoch.
        seed: of all draws.

    Raises:
        SettingsError: the tokenizer cuts every text in one way only.
        InputError: a rate or number of variants that cannot be.
    """

    def __init__(
        self,
        pipeline: TokenPipeline,
        texts: Iterable[str],
        *,
        rate: float,
        variants: int = 32,
        seed: int = 0,
    ) -> None:
        segmenter = pipeline.tokenizer.segmenter()
        if segmenter is None:
            raise SettingsError(
                f"text.tokenizer: {pipeline.tokenizer.family!r} cuts a text in one way only; "
                "segmentations can be sampled with 'bpe' and 'unigram'"
            )
        if not 0 <= rate <= 1:
            raise InputError(f"rate = {rate}: expected 0 to 1")
        if variants < 1:
            raise InputError(f"variants = {variants}: expected 1 or more")
        self.rate, self.seed = rate, seed
        self._segmenter = segmenter
        numbers: dict[str, int] = {}
        occurrences: list[int] = []
        ends = [0]
        for text in texts:
            words = segmenter.words(pipeline.normalize(text))
            occurrences.extend([numbers.setdefault(word, len(numbers)) for word in words])
            ends.append(len(occurrences))
        self._ends = np.array(ends, dtype=np.int64)
        self._ids = pipeline.ids(segmenter.pieces)
        self._encode(pipeline, list(numbers), np.array(occurrences, dtype=np.int64), variants)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def _encode(
        self, pipeline: TokenPipeline, words: list[str], occurrences: Ints, variants: int
    ) -> None:
        """Sort the words by what they are encoded as; give each of their draws a row.

        _groups: encoded words of one shape and the word of each row. _fixed, _sizes: the ids of
        words that have one segmentation. _rows: the row of each occurrence.
        """
        counts = np.bincount(occurrences, minlength=len(words))
        shapes: dict[tuple[int, ...], list[tuple[int, Ints]]] = {}
        alone: list[int] = []
        for number, word in enumerate(words):
            encoded = self._segmenter.encode(word) if self.rate > 0 else None
            if encoded is None:
                alone.append(number)
            else:
                shapes.setdefault(encoded.shape, []).append((number, encoded))
        plain = [pipeline.ids(self._segmenter.plain(words[number])) for number in alone]
        self._fixed = np.concatenate([np.zeros(0, dtype=np.int64), *plain])
        self._sizes = np.array([len(ids) for ids in plain], dtype=np.int64)
        copies, first = np.ones_like(counts), np.empty_like(counts)
        first[alone] = np.arange(len(alone))
        total = len(alone)
        self._groups: list[tuple[Ints, Ints]] = []
        for shape, members in sorted(shapes.items(), key=lambda group: group[0]):
            most = max(1, _SYMBOLS // (variants * int(np.prod(shape))))
            for begin in range(0, len(members), most):
                block = members[begin : begin + most]
                chosen = np.array([number for number, _ in block])
                copies[chosen] = np.minimum(counts[chosen], variants)
                first[chosen] = total + np.cumsum(copies[chosen]) - copies[chosen]
                total += int(copies[chosen].sum())
                rows = np.repeat(np.arange(len(block)), copies[chosen])
                self._groups.append((np.stack([encoded for _, encoded in block]), rows))
        self._rows = first[occurrences] + _ranks(occurrences, counts) % copies[occurrences]

    def draw(self, epoch: int) -> tuple[npt.NDArray[np.int32], Ints]:
        """The texts cut for an epoch.

        Returns:
            Ids of the vocabulary, int32 [M], all documents one after another; int64 [N + 1], where
            each document begins, and the end.
        """
        generator = np.random.default_rng([self.seed, epoch])
        ids, sizes = [self._fixed], [self._sizes]
        for words, rows in self._groups:
            pieces, lengths = self._segmenter.draw(words, rows, self.rate, generator)
            ids.append(self._ids[pieces])
            sizes.append(lengths)
        pool = np.concatenate(ids).astype(np.int32)
        size = np.concatenate(sizes)
        begin = np.cumsum(size) - size
        length = size[self._rows]
        ends = np.cumsum(length)
        places = np.arange(length.sum()) + np.repeat(begin[self._rows] - ends + length, length)
        return pool[places], np.concatenate([[0], ends])[self._ends]


def _ranks(numbers: Ints, counts: Ints) -> Ints:
    """How often each number stood before, int64 [n]; counts: how often each stands in all."""
    order = np.argsort(numbers, kind="stable")
    ranks = np.empty_like(numbers)
    ranks[order] = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks
