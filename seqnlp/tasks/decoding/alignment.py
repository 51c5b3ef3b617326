"""What attention says of which source token an output token is from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def align(weights: NDArray[np.float32], source_size: int) -> tuple[tuple[int, int], ...]:
    """Pairs (source token, output token), from 0, by output token: where its attention is greatest.

    An output token that attends most to the end of the source has no pair; nor has the end.

    Args:
        weights: [T + 1, S], of each output token and of the end; S counts the end of the source.
        source_size: tokens of the source without its end.
    """
    best = weights[:-1].argmax(1) if weights.shape[1] else []
    return tuple((int(i), j) for j, i in enumerate(best) if i < source_size)


def pharaoh(pairs: Sequence[tuple[int, int]]) -> str:
    """Pairs as a line of text in the format of Pharaoh (Koehn 2004), in order: "0-0 1-2 2-1"."""
    return " ".join(f"{source}-{target}" for source, target in sorted(pairs))


def replace_unknown(
    tokens: Sequence[str],
    unknown: Sequence[bool],
    weights: NDArray[np.float32],
    source: Sequence[str],
) -> list[str]:
    """Put the source token of most attention in the place of each unknown one (Luong et al. 2015).

    Args:
        tokens: T of the output, without its end.
        unknown: which of them are to be replaced.
        weights: [at least T, at least S]; what lies beyond (ends, padding) is not looked at.
        source: S tokens, without their end; if there are none, nothing is replaced.
    """
    if not source:
        return list(tokens)
    best = weights[: len(tokens), : len(source)].argmax(1)
    return [
        source[place] if replaced else token
        for token, replaced, place in zip(tokens, unknown, best, strict=True)
    ]
