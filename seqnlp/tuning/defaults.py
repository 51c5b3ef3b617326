"""What is searched through where nothing is named."""

from __future__ import annotations

from seqnlp.config import Settings
from seqnlp.tuning.space import Choice, Dimension, Interval

RATES = ("embedding", "output")
"""Sites of dropout whose rates matter most in small recurrent models."""


def default_space(settings: Settings) -> dict[str, Dimension]:
    """Learning rate, size, cell and dropout, around what the settings have."""
    lr, model = settings.train.lr, settings.model
    space: dict[str, Dimension] = {
        "train.lr": Interval(low=lr / 5, high=lr * 5, log=True),
    }
    if model.encoder == "recurrent":
        size = model.hidden_size
        space["model.hidden_size"] = Interval(
            low=max(1, size // 4), high=size * 3 // 2, whole=True, log=True
        )
        cells = dict.fromkeys([model.cell, "lstm", "gru"])
        space["model.cell"] = Choice(labels=tuple(cells))
    dropout = settings.hooks.get("dropout", False)
    if isinstance(dropout, dict):
        space |= {
            f"hooks.dropout.{site}": Interval(low=0.0, high=0.6)
            for site in RATES
            if site in dropout
        }
    return space
