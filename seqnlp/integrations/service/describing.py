"""What a service says of its models."""

from __future__ import annotations

from typing import Any

from seqnlp.integrations.service.models import Served


def describe(served: Served) -> dict[str, Any]:
    """A model as `ModelInfo`."""
    task, model = served.task, served.model
    labels = getattr(task, "labels", None)
    corpus = model.settings.corpus
    return {
        "name": served.name,
        "task": model.settings.task,
        "labels": None if labels is None else list(labels),
        "languages": [language for language in (corpus.source, corpus.target) if language],
        "generates": task.decoding is not None,
        "options": {} if task.decoding is None else task.decoding.model_dump(mode="json"),
        "parameters": sum(weights.numel() for weights in task.parameters()),
        "quantized": model.quantized,
        "figures": _figures(model.metrics),
        "loaded_at": served.loaded_at,
    }


def _figures(metrics: dict[str, Any]) -> dict[str, Any]:
    for split in ("test", "validation"):
        report = metrics.get(split)
        if isinstance(report, dict):
            plain = {key: value for key, value in report.items() if _is_figure(value)}
            return {"split": split, **plain}
    return {}


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, dict) and "value" in value)
