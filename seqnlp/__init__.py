"""Small, fast recurrent sequence models: train them in minutes, understand them, ship them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqnlp.lazily import lazily

if TYPE_CHECKING:
    from seqnlp.bundle import Model, load
    from seqnlp.config import Settings, load_settings
    from seqnlp.data.corpus import Corpus, open_corpus
    from seqnlp.errors import SeqnlpError
    from seqnlp.nn.attention import Attention
    from seqnlp.nn.cells import Cell, GatedCell, LinearCell, State
    from seqnlp.nn.encoder import Encoder
    from seqnlp.nn.recurrence import RecurrentEncoder
    from seqnlp.nn.unrolling import unroll
    from seqnlp.registry import Registry
    from seqnlp.tasks.base import Task
    from seqnlp.tasks.decoding import Decoding
    from seqnlp.text.pipeline import TokenPipeline
    from seqnlp.training.hooks import Hook
    from seqnlp.training.run import train
    from seqnlp.training.trainer import Trainer
    from seqnlp.types import Beginning, Hypothesis, Prediction

# Imported when first used: `import seqnlp` must not wait for torch.
_HOME = {
    "Attention": "seqnlp.nn.attention",
    "Beginning": "seqnlp.types",
    "Cell": "seqnlp.nn.cells",
    "Corpus": "seqnlp.data.corpus",
    "Decoding": "seqnlp.tasks.decoding",
    "Encoder": "seqnlp.nn.encoder",
    "GatedCell": "seqnlp.nn.cells",
    "Hook": "seqnlp.training.hooks",
    "Hypothesis": "seqnlp.types",
    "LinearCell": "seqnlp.nn.cells",
    "Model": "seqnlp.bundle",
    "Prediction": "seqnlp.types",
    "RecurrentEncoder": "seqnlp.nn.recurrence",
    "Registry": "seqnlp.registry",
    "SeqnlpError": "seqnlp.errors",
    "Settings": "seqnlp.config",
    "State": "seqnlp.nn.cells",
    "Task": "seqnlp.tasks.base",
    "TokenPipeline": "seqnlp.text.pipeline",
    "Trainer": "seqnlp.training.trainer",
    "load": "seqnlp.bundle",
    "load_settings": "seqnlp.config",
    "open_corpus": "seqnlp.data.corpus",
    "train": "seqnlp.training.run",
    "unroll": "seqnlp.nn.unrolling",
}

__all__ = [
    "Attention", "Beginning", "Cell", "Corpus", "Decoding", "Encoder", "GatedCell", "Hook",
    "Hypothesis", "LinearCell", "Model", "Prediction", "RecurrentEncoder", "Registry",
    "SeqnlpError", "Settings", "State", "Task", "TokenPipeline", "Trainer", "load",
    "load_settings", "open_corpus", "train", "unroll",
]  # fmt: skip

__getattr__, __dir__ = lazily(__name__, _HOME)
