"""The options that describe a training run, for every command that begins one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from seqnlp.cli.options import columns_option
from seqnlp.config import Settings, load_settings

SHORT = {
    "encoder": "model.encoder", "decoder": "head.decoder",
    "task": "task", "corpus": "corpus.name", "source": "corpus.source", "target": "corpus.target",
    "cell": "model.cell", "tokenizer": "text.tokenizer",
    "attention": "head.attention", "hidden_size": "model.hidden_size", "layers": "model.layers",
    "epochs": "train.epochs", "batch_size": "train.batch_size", "lr": "train.lr", "seed": "seed",
    "ensemble": "ensemble", "device": "device", "engine": "model.engine", "threads": "threads",
}  # fmt: skip
"""Option to the key that it sets; in this order, in which a part is named before its options."""

_OPTIONS = (
    click.option("--task", help="What to learn; `seqnlp list tasks`.  [default: sentiment]"),
    click.option(
        "--corpus", help="A bundled corpus, a name on SEQNLP_DATA, a path, hf: or nltk: name."
    ),
    columns_option,
    click.option("--source", help="The language to read of a parallel corpus: de."),
    click.option("--target", help="The language to write: en."),
    click.option("--encoder", help="What reads; `seqnlp list encoders`.  [default: recurrent]"),
    click.option("--decoder", help="What writes; `seqnlp list decoders`.  [default: recurrent]"),
    click.option("--cell", help="The recurrent cell; `seqnlp list cells`."),
    click.option("--attention", help="What looks at the states; `seqnlp list attentions`."),
    click.option("--tokenizer", help="`seqnlp list tokenizers`; spacy:en, nltk:treebank, bpe, ..."),
    click.option("--hidden-size", type=click.IntRange(1), help="Units of the cell."),
    click.option("--layers", type=click.IntRange(1), help="Layers of the encoder."),
    click.option("--engine", help="What runs the cell: auto, or one of `seqnlp list engines`."),
    click.option("--epochs", type=click.IntRange(1), help="Epochs at the most."),
    click.option("--batch-size", type=click.IntRange(1), help="Examples a batch."),
    click.option("--lr", type=float, help="Learning rate."),
    click.option("--seed", type=click.IntRange(0), help="Fixes everything random."),
    click.option(
        "--ensemble", type=click.IntRange(1), help="Models of different seeds, saved as one."
    ),
    click.option("--device", help="auto, cpu or cuda."),
    click.option("--threads", type=click.IntRange(1), help="CPU threads."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any setting: train.epochs=8, hooks.dropout.word=0.2, hooks.clip=false.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What the command line says of a run; `settings_of` makes settings of it.

    Attributes:
        recipe: a path, or the name of a shipped one.
        columns: pairs (field, column).
        overrides: the values of --set.
        short: the other options by their names, None where they are not given.
    """

    recipe: str | None
    columns: tuple[tuple[str, str], ...]
    overrides: tuple[str, ...]
    short: Mapping[str, Any]

    def with_override(self, override: str) -> RunRequest:
        """The same, and one more --set before those that were given."""
        return replace(self, overrides=(override, *self.overrides))

    def given(self) -> list[str]:
        """The words that ask for anything, as they are typed."""
        return [
            *(["RECIPE"] if self.recipe is not None else []),
            *(f"--{name.replace('_', '-')}" for name, value in self.short.items()
              if value is not None),
            *(["--columns"] if self.columns else []),
            *(["--set"] if self.overrides else []),
        ]  # fmt: skip


def setting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a run, without the argument RECIPE; see `run_options`."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        request = RunRequest(
            recipe=values.pop("recipe", None),
            columns=values.pop("columns"),
            overrides=values.pop("overrides"),
            short={name: values.pop(name) for name in SHORT},
        )
        return function(request=request, **values)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The argument RECIPE and the options of a run, given to the command as one `request`.

    The command is a `SpreadingCommand`, so that --columns takes several pairs.
    """
    return click.argument("recipe", required=False)(setting_options(function))


def settings_of(request: RunRequest) -> tuple[Settings, Path | None]:
    """The settings that are asked for, and the recipe that they begin with.

    Without a recipe, it is the one that is shipped for the corpus, if there is one.

    Raises:
        SettingsError: no such recipe, an unknown key or a value of the wrong type.
    """
    path = _recipe(request)
    return _settings(path, request), path


def quoted(value: object) -> str:
    """A TOML value: strings keep their type even when they look like numbers."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def _recipe(request: RunRequest) -> Path | None:
    from seqnlp.recipes import find_recipe, recipe_for

    if request.recipe is not None:
        return find_recipe(request.recipe)
    names = [override.partition("=")[2].strip(" '\"") for override in request.overrides
             if override.startswith("corpus.name=")]  # fmt: skip
    corpus = names[-1] if names else request.short["corpus"]
    return recipe_for(corpus) if corpus else None


def _settings(path: Path | None, request: RunRequest) -> Settings:
    from seqnlp import registry
    from seqnlp.config import read_toml

    short = request.short
    given = [f"{SHORT[key]}={quoted(short[key])}" for key in SHORT if short[key] is not None]
    given += [f"corpus.columns.{field}={quoted(column)}" for field, column in request.columns]
    given += request.overrides
    task = short["task"] or ("" if path is None else read_toml(path).get("task", ""))
    # What is no name at all is refused, with the rest of the recipe, by its type.
    if not isinstance(task, str):
        return load_settings(path, given)
    chosen = registry.tasks.get(task or Settings().task)
    base = chosen.defaults if task else {}
    return load_settings(path, given, base=base, unread=chosen.unread)
