"""Finding settings: a search through Optuna, and the learning-rate range test."""

from seqnlp.tuning.defaults import default_space
from seqnlp.tuning.record import TrialRecord, Tuning
from seqnlp.tuning.search import Watcher, tune
from seqnlp.tuning.space import parse_space

__all__ = ["TrialRecord", "Tuning", "Watcher", "default_space", "parse_space", "tune"]
