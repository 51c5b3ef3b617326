"""What was written of the parts of a long text, put together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks.choosing import Draft

Floats: TypeAlias = NDArray[np.float32]
MOST_WEIGHTS = 1 << 27
"""Of the attention to a text that is read in parts: it grows with the square of their number."""


def within(drafts: Sequence[Draft], most: int) -> list[Draft]:
    """The texts of parts in a row, without those from where they have over `most` words in all."""
    sums = list(accumulate(len(draft.text.split()) for draft in drafts))
    return [
        draft
        if place == 0 or words <= most
        else Draft(
            text="",
            score=0.0,
            log_probability=0.0,
            weights=None if draft.weights is None else draft.weights[-1:],
            copied=None if draft.copied is None else draft.copied[-1:],
        )
        for place, (draft, words) in enumerate(zip(drafts, sums, strict=True))
    ]


def blocks(weights: Sequence[Floats | None]) -> Floats | None:
    """What is known of parts one after another: [T + 1, S], a part's rows over its own columns.

    The ends of all parts but the last have no row. None where it would be over `MOST_WEIGHTS`.
    """
    found = [each for each in weights if each is not None]
    if len(found) != len(weights):
        return None
    if len(found) == 1:
        return found[0]
    rows = [len(each) - 1 for each in found[:-1]] + [len(found[-1])]
    shape = sum(rows), sum(each.shape[1] for each in found)
    if shape[0] * shape[1] > MOST_WEIGHTS:
        return None
    whole = np.zeros(shape, dtype=np.float32)
    row = column = 0
    for each, count in zip(found, rows, strict=True):
        whole[row : row + count, column : column + each.shape[1]] = each[:count]
        row, column = row + count, column + each.shape[1]
    return whole
