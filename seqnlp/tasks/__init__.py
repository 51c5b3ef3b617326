"""Tasks: what is learned, measured and answered; and what a task of one's own is made of."""

from seqnlp.tasks.base import Batch, Rows, Stream, Task
from seqnlp.tasks.classifier import build_encoder
from seqnlp.tasks.metrics import Interval
from seqnlp.tasks.resampling import bounds, resampled

__all__ = [
    "Batch",
    "Interval",
    "Rows",
    "Stream",
    "Task",
    "bounds",
    "build_encoder",
    "resampled",
]
