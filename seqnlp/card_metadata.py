"""What a model card says to programs: the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from seqnlp.config import Settings
from seqnlp.tasks.metrics import figures_of, heading

_TAGS = {
    "sentiment": "text-classification",
    "translation": "translation",
    "summarization": "summarization",
    "extraction": "summarization",
}
"""What the Hub calls our tasks; it has no name for others."""
_METRICS = {"macro_f1": "f1", "rouge1": "rouge", "rouge2": "rouge", "rougeL": "rouge"}
"""What it calls our figures, where that differs."""
_CODE = re.compile(r"[a-z]{2,3}")
_PLAIN = re.compile(r"[A-Za-z][\w -]*\w")
_UNSAFE = re.compile(r"[^ -~]")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def front_matter(
    settings: Settings,
    metrics: Mapping[str, Any],
    name: str,
    *,
    license: str | None = None,
    languages: Sequence[str] = (),
) -> str:
    """The YAML block that a card begins with, its figures as shares of one or in points.

    Args:
        settings, metrics: of the model.
        name: of the model.
        license: of the model, if it is known; an identifier such as "mit".
        languages: codes; by default those of a corpus that names them.

    Source: huggingface.co/docs/hub/model-cards and the format `model-index` of Papers with Code.
    """
    corpus, tag = settings.corpus, _TAGS.get(settings.task)
    recurrent = settings.model.encoder == "recurrent"
    given = [languages] if isinstance(languages, str) else [*languages]
    codes = given or [
        code for code in (corpus.source, corpus.target) if code and _CODE.fullmatch(code)
    ]
    kind, _, rest = corpus.name.partition(":")
    owned = rest.partition(":")[0] if kind == "hf" else None
    found = {
        split: figures_of([metrics[split]]) for split in ("validation", "test") if split in metrics
    }
    kinds = dict.fromkeys(_METRICS.get(key, key) for figures in found.values() for key in figures)
    matter = {
        "library_name": "seqnlp",
        "pipeline_tag": tag,
        "license": license,
        "language": codes,
        "datasets": [owned] if owned else [],
        "metrics": [*kinds],
        "tags": ["seqnlp", settings.model.cell if recurrent else settings.model.encoder],
        "model-index": [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": tag or settings.task},
                        "dataset": {
                            "name": str(metrics.get("corpus", {}).get("name") or corpus.name),
                            "type": owned or PurePath(corpus.name).name,
                            "split": split,
                        },
                        "metrics": [
                            {
                                "type": _METRICS.get(key, key),
                                "name": heading(key, figure),
                                "value": figure["value"],
                            }
                            for key, figure in figures.items()
                        ],
                    }
                    for split, figures in found.items()
                ],
            }
        ]
        if any(found.values())
        else [],
    }  # fmt: skip
    known = {key: value for key, value in matter.items() if value}
    return "\n".join(["---", *_lines(known), "---", ""])


def _lines(value: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    """A mapping or a list of such as lines of YAML."""
    items = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for key, item in items:
        if isinstance(item, Mapping | list):
            inner = list(_lines(item))
            if key is None:
                yield f"- {inner[0]}"
                yield from (f"  {line}" for line in inner[1:])
            else:
                yield f"{key}:"
                indent = "  " if isinstance(item, Mapping) else ""
                yield from (f"{indent}{line}" for line in inner)
        else:
            yield f"{'-' if key is None else f'{key}:'} {_scalar(item)}"


def _scalar(value: object) -> str:
    """A string or a number; what YAML would take for something else is in quotes.

    YAML is JSON but for characters beyond 16 bits, and for the point that it wants before an
    exponent.
    """
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        return _UNSAFE.sub(_escape, json.dumps(value, ensure_ascii=False))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("nan", ".nan").replace("inf", ".inf")
    return re.sub(r"^(-?\d+)e", r"\1.0e", json.dumps(value))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
