"""Tasks: what is learned, measured and answered; and what a task of one's own is made of."""

from seqnlp.tasks.base import Batch, Rows, Stream, Task
from seqnlp.tasks.classifier import build_embedding, build_encoder
from seqnlp.tasks.metrics import Interval
from seqnlp.tasks.pipelines import fit_pipeline
from seqnlp.tasks.resampling import bounds, resampled
from seqnlp.tasks.rows import TokenRows

__all__ = [
    "Batch",
    "Interval",
    "Rows",
    "Stream",
    "Task",
    "TokenRows",
    "bounds",
    "build_embedding",
    "build_encoder",
    "fit_pipeline",
    "resampled",
]
