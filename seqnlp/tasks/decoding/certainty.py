"""What is certain of outputs while they are searched for: what all that may be chosen share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.tasks.decoding.trace import Ends

_Token: TypeAlias = tuple[int, NDArray[np.float32] | None]
_Path: TypeAlias = list[_Token]


@dataclass(frozen=True, kw_only=True)
class Certain:
    """More of the best output of a source.

    source: its number. ids: tokens that have become certain in a step, without the end. weights:
    float32 [len(ids), S], the attention of each, where the model has one. last: whether the search
    of this source is over.
    """

    source: int
    ids: tuple[int, ...]
    weights: NDArray[np.float32] | None
    last: bool


class Certainty:
    """Follows the hypotheses of a search.

    Args:
        sources: B of them.
        every: whether any output that is found may be chosen, and not only the best.
    """

    def __init__(self, sources: int, *, every: bool) -> None:
        self._every = every
        self._time = 0
        self._known = [0] * sources
        self._over: set[int] = set()
        # Of the sources in the batch, in its order, the paths of all their rows.
        self._rows: dict[int, list[_Path]] = {source: [] for source in range(sources)}
        self._ended: dict[int, dict[tuple[int, int], _Path]] = defaultdict(dict)

    def after(
        self,
        *,
        weights: Tensor | None,
        ends: Ends | None,
        read: Tensor,
        sources: Tensor,
        tokens: Tensor,
        parents: Tensor,
        going: Tensor,
    ) -> list[Certain]:
        """What a step has made certain, source by source.

        Args:
            weights: float [N, S], of the attention in the step.
            ends: the finished hypotheses that may be chosen.
            read: int64 [B], which the step was about, N / B rows each.
            sources: int64 [B'], which stay in the batch.
            tokens: int64 [B', R], what the step has added to their hypotheses.
            parents: int64 [B', R], after which of the rows before it.
            going: bool [B', R], where there is a hypothesis that goes on.
        """
        attention = None if weights is None else weights.float().cpu().numpy()
        finished = self._finish(ends)
        before, self._rows = self._rows, {}
        # A search begins with any number of rows, all of them empty.
        each = 0 if attention is None else len(attention) // len(read)
        places = {source: place * each for place, source in enumerate(read.tolist())}
        alive: dict[int, list[_Path]] = {}
        rows = (values.tolist() for values in (sources, tokens, parents, going))
        for source, own, above, there in zip(*rows, strict=True):
            old = before[source]
            self._rows[source] = [
                [
                    *(old[parent] if old else []),
                    (token, None if attention is None else attention[places[source] + parent]),
                ]
                for token, parent in zip(own, above, strict=True)
            ]
            alive[source] = [path for path, on in zip(self._rows[source], there, strict=True) if on]
        found = []
        for source in places:
            living = alive.get(source, [])
            paths = [*living, *finished[source]]
            if paths and source not in self._over:
                found.append(self._more(source, paths, last=not living))
            if not living:
                self._over.add(source)
        self._time += 1
        return found

    def _finish(self, ends: Ends | None) -> dict[int, list[_Path]]:
        """Note what has ended in this step; of each source, the outputs that may be chosen."""
        found: dict[int, list[_Path]] = defaultdict(list)
        best: dict[int, float] = {}
        if ends is None:
            return found
        rows = (values.tolist() for values in (ends.sources, ends.steps, ends.rows, ends.scores))
        for source, step, row, score in zip(*rows, strict=True):
            if step == self._time:
                old = self._rows[source]
                self._ended[source][step, row] = old[row] if old else []
            path = self._ended[source][step, row]
            if self._every:
                found[source].append(path)
            elif source not in best or score > best[source]:
                best[source], found[source] = score, [path]
        return found

    def _more(self, source: int, paths: Sequence[_Path], *, last: bool) -> Certain:
        """What all paths have in common beyond what is known."""
        begin = end = self._known[source]
        first = paths[0]
        while end < min(map(len, paths)) and all(path[end][0] == first[end][0] for path in paths):
            end += 1
        self._known[source] = end
        rows = [row for _, row in first[begin:end] if row is not None]
        return Certain(
            source=source,
            ids=tuple(token for token, _ in first[begin:end]),
            weights=np.stack(rows) if rows else None,
            last=last,
        )
