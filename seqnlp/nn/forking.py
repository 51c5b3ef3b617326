"""Processes that are forked from one in which torch has had threads."""

from __future__ import annotations

import os
from functools import cache

import torch


@cache
def keep_forks_alone() -> None:
    """From now on, let processes that are forked from this one compute in one thread.

    The threads of torch do not outlive a fork, and OpenMP waits for them for ever. Who forks has
    other processes for the other cores.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
