"""Which of the texts that were found for a row are given: the most probable, or the safest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.decoding.mbr import Utility, choose
from seqnlp.tasks.neighbors import Near, NeighborIndex

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A text for one row of a document; the fields are those of `Hypothesis`."""

    text: str
    score: float
    log_probability: float | None
    tokens: tuple[str, ...] = ()
    weights: Floats | None = None
    copied: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """Orders drafts by minimum Bayes risk, where `decoding.mbr` says so.

    utility: by which figure. index: of the training examples, where the model keeps them.
    """

    decoding: Decoding
    utility: Utility
    index: NeighborIndex | None = None

    @property
    def search(self) -> Decoding:
        """How to search for what is chosen from: all that the beam has found is."""
        if not self.decoding.mbr or self.decoding.sample:
            return self.decoding
        return self.decoding.model_copy(update={"n_best": self.decoding.beam})

    def near(self, texts: Iterable[str]) -> list[Near]:
        """The neighbors of each text that are to choose with the drafts."""
        assert self.index is not None
        return list(self.index.find(texts, self.decoding.neighbors))

    def order(self, drafts: Sequence[Draft], near: Near) -> list[Draft]:
        """The `n_best` drafts, best first; with `mbr`, their scores are expected utilities.

        Args:
            drafts: by their scores, best first.
            near: texts as the model would write them, with the similarities of their sources;
                those of over `max_words` words are left out.
        """
        if not self.decoding.mbr:
            return list(drafts)
        if (most := self.decoding.max_words) is not None:
            near = [pair for pair in near if len(pair[0].split()) <= most]
        logs = [draft.log_probability or 0.0 for draft in drafts]
        weight = self.decoding.neighbor_weight
        chosen = choose(
            [draft.text for draft in drafts],
            # A draw stands as often among its likes as it is probable.
            [0.0] * len(logs) if self.decoding.sample else logs,
            self.utility,
            temperature=self.decoding.mbr_temperature,
            extra=[(text, weight * similarity**2) for text, similarity in near],
        )
        retrieved = [Draft(text=text, score=0.0, log_probability=None) for text, _ in near]
        everything = [*drafts, *retrieved]
        return [
            replace(everything[choice.place], score=choice.expected)
            for choice in chosen[: self.decoding.n_best]
        ]
