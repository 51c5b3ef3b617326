"""Checks draw the same numbers each time, and leave the caller's generators as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SEEDS = "it seeds torch's generator, so that all that is made after it is the same each time"
UNSEEDED = (
    "draw without a seed of its own, or from a torch.Generator of its own: no torch.manual_seed"
)


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Run with torch seeded, and put its generator back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
