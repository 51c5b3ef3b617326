"""Training: the loop, its hooks, and a run from settings to a saved model."""

from seqnlp.training.hooks.base import Hook
from seqnlp.training.run import train
from seqnlp.training.trainer import Trainer

__all__ = ["Hook", "Trainer", "train"]
