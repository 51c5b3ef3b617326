"""The table `head` of a recipe for sentiment."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field as Limit

from seqnlp.config import Names, Section, Settings, validate_section


class SentimentOptions(Section):
    """The table `head` of a recipe."""

    pooling: Names = ("max",)
    """What is made of the states; several are concatenated."""
    attention: str | None = None
    """An attention whose pooling is added to the others."""
    attention_options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    label_smoothing: float = Limit(default=0.0, ge=0, lt=1)
    evidence: Literal["none", "naive_bayes", "logistic"] = "none"
    """A linear model of words and word pairs whose log-odds are added to the logits."""
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"
    """Weights in the loss by label; "balanced" is inverse to the label's share of train."""


def options_of(settings: Settings) -> SentimentOptions:
    """The validated table `head`.

    Raises:
        SettingsError: an unknown key or a value of the wrong type.
    """
    return validate_section(SentimentOptions, settings.head, "head")
