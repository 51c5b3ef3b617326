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
    """Run with torch seeded, and put back its generator and what else a part may have switched."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(torch.is_grad_enabled()):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)
