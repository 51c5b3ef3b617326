"""The model card that is saved with a model (Mitchell et al. 2019, arXiv:1810.03993)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqnlp.card_metadata import front_matter
from seqnlp.config import Settings
from seqnlp.tasks.base import Task
from seqnlp.tasks.metrics import (
    against_others,
    digits_of,
    figures_of,
    heading,
    in_hundreds,
    signatures,
)


def model_card(
    task: Task,
    metrics: Mapping[str, Any],
    name: str,
    *,
    address: str | None = None,
    license: str | None = None,
    languages: Sequence[str] = (),
) -> str:
    """A README.md in Markdown: figures, corpus, how it was trained, intended use, limits.

    Args:
        task, metrics: of the model.
        name: of the model.
        address: where it is loaded from; by default a folder of its name.
        license, languages: of the model, for programs; see `front_matter`.
    """
    settings, corpus = task.settings, metrics.get("corpus", {})
    labels = task.state().get("labels", [])
    source, target = settings.corpus.source, settings.corpus.target
    lines = [
        front_matter(settings, metrics, name, license=license, languages=languages),
        f"# {name}",
        "",
        f"A {settings.task} model: {_describe(task)}. Trained from scratch with seqnlp.",
        "",
        "## Use",
        "",
        "```python",
        "import seqnlp",
        "",
        f'model = seqnlp.load("{address or name}")',
        'model("a text").output',
        "```",
        "",
        "## Figures",
        "",
    ]
    rows = [(split, metrics[split]) for split in ("validation", "test") if split in metrics]
    rows += [
        (f"{metrics['baseline_split']}, {name}", report)
        for name, report in metrics.get("baselines", {}).items()
    ]
    found = figures_of([report for _, report in rows])
    names = [heading(name, figure) for name, figure in found.items()]
    if rows:
        lines.append(f"| split | examples | {' | '.join(names)} |")
        lines.append("|---" * (2 + len(names)) + "|")
    for split, report in rows:
        beside = [(f"{split}, {name}", others) for name, others in against_others(report)]
        for name, figures in ((split, report), *beside):
            cells = " | ".join(_interval(figures[key]) for key in found)
            lines.append(f"| {name} | {report['examples']} | {cells} |")
    lines += [
        *(
            ["", "In brackets: 95 % bootstrap intervals over the examples."]
            if rows
            else _UNMEASURED
        ),
        *(f"{own}: `{signature}`." for own, signature in signatures(found).items()),
        *_choice(settings, corpus),
        "",
        "## Training",
        "",
        f"- Corpus: {corpus.get('name', settings.corpus.name)}"
        f" (license: {corpus.get('license') or 'not stated'}),"
        f" {corpus.get('rows', {}).get('train', '?')} training examples.",
        *(f"- {note}" for note in corpus.get("notes", [])),
        *([f"- Labels: {', '.join(map(str, labels))}."] if labels else []),
        *([f"- From {source} to {target}."] if source and target else []),
        f"- {_seeds(settings)}; settings in `config.toml`, which repeats the run.",
        "",
        "## Intended use and limits",
        "",
        f"For texts like those of its corpus: {_about(corpus, settings)}.",
        "On texts of another kind, language or time its figures do not hold: measure them first",
        "(`seqnlp evaluate`). The model knows nothing but its training texts and repeats their",
        "biases. It is not meant for decisions about people.",
        "",
    ]
    return "\n".join(lines)


_UNMEASURED = ("It has not been measured on examples that it was not trained on.",)


def _choice(settings: Settings, corpus: Mapping[str, Any]) -> list[str]:
    """How the weights were chosen, where validation chose them."""
    if "validation" not in corpus.get("rows", {"validation": 0}):
        return []
    if not settings.train.refit:
        return ["The weights were chosen on validation."]
    return [
        "Validation chose the epoch; then the model was trained again on train and validation "
        "together. Its figure on validation is that of the first training."
    ]


def _describe(task: Task) -> str:
    model = task.settings.model
    direction = "two directions" if model.bidirectional else "one direction"
    ensemble = task.settings.ensemble
    number = f"{ensemble} models averaged, each " if ensemble > 1 else ""
    size = sum(parameter.numel() for parameter in task.parameters())
    network = (
        f"{model.layers} {model.cell} layer{'s' * (model.layers > 1)}"
        f" of {model.hidden_size} in {direction}"
        if model.encoder == "recurrent"
        else f"encoder {model.encoder}"
    )
    decoder = task.settings.head.get("decoder", "recurrent")
    writer = "" if decoder == "recurrent" else f", decoder {decoder}"
    return f"{number}{network}{writer}, {size:,} parameters"


def _seeds(settings: Settings) -> str:
    last = settings.seed + settings.ensemble - 1
    return f"Seed {last}" if settings.ensemble == 1 else f"Seeds {settings.seed} to {last}"


def _about(corpus: Mapping[str, Any], settings: Settings) -> str:
    return str(corpus.get("description") or settings.corpus.name).rstrip("./")


def _interval(figure: Mapping[str, Any]) -> str:
    value, low, high = in_hundreds(figure)
    digits = digits_of(figure)
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
