"""`seqnlp train`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from seqnlp.cli.options import SpreadingCommand, columns_option
from seqnlp.config import Settings, load_settings

SHORT = {
    "encoder": "model.encoder", "decoder": "head.decoder",
    "task": "task", "corpus": "corpus.name", "source": "corpus.source", "target": "corpus.target",
    "cell": "model.cell", "tokenizer": "text.tokenizer",
    "attention": "head.attention", "hidden_size": "model.hidden_size", "layers": "model.layers",
    "epochs": "train.epochs", "batch_size": "train.batch_size", "lr": "train.lr", "seed": "seed",
    "ensemble": "ensemble", "device": "device", "engine": "model.engine", "threads": "threads",
}  # fmt: skip


@click.command(cls=SpreadingCommand, short_help="Train a model and save it with its figures.")
@click.argument("recipe", required=False)
@click.option("--task", help="What to learn; `seqnlp list tasks`.  [default: sentiment]")
@click.option(
    "--corpus", help="A bundled corpus, a name on SEQNLP_DATA, a path, hf: or nltk: name."
)
@columns_option
@click.option("--source", help="The language to read of a parallel corpus: de.")
@click.option("--target", help="The language to write: en.")
@click.option("--encoder", help="What reads; `seqnlp list encoders`.  [default: recurrent]")
@click.option("--decoder", help="What writes; `seqnlp list decoders`.  [default: recurrent]")
@click.option("--cell", help="The recurrent cell; `seqnlp list cells`.")
@click.option("--attention", help="What looks at the states; `seqnlp list attentions`.")
@click.option("--tokenizer", help="`seqnlp list tokenizers`; spacy:en, nltk:treebank, bpe, ...")
@click.option("--hidden-size", type=click.IntRange(1), help="Units of the cell.")
@click.option("--layers", type=click.IntRange(1), help="Layers of the encoder.")
@click.option("--engine", help="What runs the cell: auto, or one of `seqnlp list engines`.")
@click.option("--epochs", type=click.IntRange(1), help="Epochs at the most.")
@click.option("--batch-size", type=click.IntRange(1), help="Examples a batch.")
@click.option("--lr", type=float, help="Learning rate.")
@click.option("--seed", type=click.IntRange(0), help="Fixes everything random.")
@click.option("--ensemble", type=click.IntRange(1), help="Models of different seeds, saved as one.")
@click.option("--device", help="auto, cpu or cuda.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting: train.epochs=8, hooks.dropout.word=0.2, hooks.clip=false.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The model's folder.  [default: a new one in runs/]",
)
@click.option("--force", is_flag=True, help="Replace a model that is in the output folder.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    recipe: str | None,
    columns: tuple[tuple[str, str], ...],
    overrides: tuple[str, ...],
    output: Path | None,
    force: bool,
    quiet: bool,
    **short: Any,
) -> int:
    """Train a model: from a RECIPE (a TOML file), from options, or both.

    \b
    seqnlp train --task sentiment
    seqnlp train --task sentiment --corpus sst2 --cell gru --attention additive
    seqnlp train recipes/sst2.toml --set train.epochs=8 --seed 3 --ensemble 3
    Without a recipe, a corpus that one is shipped for is trained with it; options change it.
    """  # noqa: D301 - \b keeps the lines apart
    path = _recipe(recipe, short, overrides)
    settings = _settings(path, short, columns, overrides)
    from seqnlp.cli import report
    from seqnlp.cli.progress import ProgressHook
    from seqnlp.cli.screen import open_screen
    from seqnlp.training.preparation import in_use
    from seqnlp.training.run import train

    folder = output or _new_folder(settings, in_use)
    screen = open_screen(error=True)
    report.announce(screen, settings, path)
    hooks = [] if quiet else [ProgressHook(screen, settings)]
    model = train(settings, folder, force=force, hooks=hooks, notify=report.notifier(screen))
    report.training(screen, model, folder)
    return 130 if model.metrics["interrupted"] else 0


def _recipe(name: str | None, short: dict[str, Any], overrides: tuple[str, ...]) -> Path | None:
    """The recipe that is named, or else the one that is shipped for the corpus."""
    from seqnlp.recipes import find_recipe, recipe_for

    if name is not None:
        return find_recipe(name)
    named = [o.partition("=")[2].strip(" '\"") for o in overrides if o.startswith("corpus.name=")]
    corpus = named[-1] if named else short["corpus"]
    return recipe_for(corpus) if corpus else None


def _settings(
    path: Path | None,
    short: dict[str, Any],
    columns: tuple[tuple[str, str], ...],
    overrides: tuple[str, ...],
) -> Settings:
    from seqnlp import registry
    from seqnlp.config import read_toml

    # In this order, in which a part is named before its options.
    given = [f"{SHORT[key]}={_quoted(short[key])}" for key in SHORT if short[key] is not None]
    given += [f"corpus.columns.{field}={_quoted(column)}" for field, column in columns]
    task = short["task"] or ("" if path is None else read_toml(path).get("task", ""))
    # What is no name at all is refused, with the rest of the recipe, by its type.
    if not isinstance(task, str):
        return load_settings(path, [*given, *overrides])
    chosen = registry.tasks.get(task or Settings().task)
    base = chosen.defaults if task else {}
    return load_settings(path, [*given, *overrides], base=base, unread=chosen.unread)


def _quoted(value: object) -> str:
    """A TOML value: strings keep their type even when they look like numbers."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def _new_folder(settings: Settings, in_use: Callable[[Path], bool]) -> Path:
    """`runs/<corpus>-<network>`, with a number where that holds a model or anything else."""
    corpus = re.sub(r"[^\w.-]+", "-", Path(settings.corpus.name).name).strip("-") or "corpus"
    model, decoder = settings.model, settings.head.get("decoder", "recurrent")
    network = model.cell if model.encoder == "recurrent" else model.encoder
    network += "" if decoder in ("recurrent", network) else f"-{decoder}"
    base = Path("runs") / f"{corpus}-{network}"
    numbered = (base.with_name(f"{base.name}-{n}") for n in itertools.count(2))
    return next(path for path in itertools.chain([base], numbered) if not in_use(path))
