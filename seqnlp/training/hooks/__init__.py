"""Hooks: dropout, penalties, clipping, schedules, selection of weights, reporting."""

from seqnlp.training.hooks.base import Hook

__all__ = ["Hook"]
