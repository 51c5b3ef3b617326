"""Writes docs/settings.md from `seqnlp.config` and from the registered parts.

python docs/make_settings.py            writes the page
python docs/make_settings.py --check    exits 1 where the page is out of date
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import tomli_w
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from seqnlp import registry
from seqnlp.config import Section, Settings
from seqnlp.text import ppmi_vectors

PAGE = Path(__file__).with_name("settings.md")

HEAD = """\
# Settings

<!-- Written by docs/make_settings.py; change the code, then run it. -->

A run is described by its settings and by nothing else. They come, later ones over earlier ones,
from the defaults below, a recipe (a TOML file), the short options of `seqnlp train`, and `--set`:

```console
$ seqnlp train recipes/sst2.toml --cell gru --set train.epochs=8 --set hooks.dropout.word=0.2
```

The value after `=` is TOML; where it is none, it is the text itself, so that words need no
quotes. A key that does not exist is an error that names the nearest one. The complete settings of
a run are saved beside the model as `config.toml`, which is a recipe that repeats it.
"""

HOOKS = """\
## Hooks

`hooks.NAME` holds the options of a hook. A recipe's hooks are added to those that are on by
default, option by option; `hooks.NAME=false` switches one off. A run with an output folder always
has the hook `log`. The moments at which hooks act are on the page [Training](training.md).

On by default: {defaults}.
"""

OPTIONS = """\
## Options of cells, attentions, tokenizers and vectors

What stands in `model.cell_options`, `head.attention_options`, `text.tokenizer_options` and
`text.vectors_options`. Parts that are not listed take none.
"""

# What the code does not say of a key, since its name says nearly all of it.
MEANINGS = {
    "task": "What to learn: a name of `seqnlp list tasks`.",
    "seed": "Fixes the weights' first values, the order of the examples, dropout, and the cut of"
    " a missing validation split.",
    "device": "`cpu`, `cuda`, or `auto`: a GPU where there is one.",
    "threads": "CPU threads of torch; torch's own choice where unset.",
    "text.normalizers": "Names of `seqnlp list normalizers`, applied in this order.",
    "text.tokenizer": "A name of `seqnlp list tokenizers`: `regex`, `spacy:en`, `bpe`, ...",
    "text.tokenizer_options": "Its options, see below.",
    "text.ngram_sizes": "Characters of the shortest and the longest n-gram.",
    "text.long_documents": "Whether longer documents are read in chunks, whose answers are"
    " combined, or cut.",
    "model.embedding_size": "Features of a word vector.",
    "model.encoder": "A name of `seqnlp list encoders`.",
    "model.cell": "A name of `seqnlp list cells`.",
    "model.cell_options": "Its options, see below.",
    "model.hidden_size": "Units of the cell, in each direction.",
    "model.layers": "Layers, one upon another.",
    "model.bidirectional": "Whether a second cell reads each text from its end.",
    "model.residual": "Adds a layer's input to its output where their sizes agree.",
    "model.layer_norm": "Normalizes a layer's output.",
    "model.engine": "What runs the cell over time: a name of `seqnlp list engines`, or `auto` for"
    " the fastest that can, see [Engines](engines.md).",
    "model.input_init": "Initializer of the input weights, see [Models](models.md); `auto` for"
    " the cell's own.",
    "model.recurrent_init": "Initializer of the recurrent weights, or `auto`.",
    "model.forget_bias": "First bias of the forget gate, in cells that have one.",
    "head.attention_options": "Its options, see below.",
    "head.pooling_options": "Its options.",
    "head.label_smoothing": "Share of the target that is spread over all labels.",
    "summarization head.label_smoothing": "Share of the target that is spread over all tokens.",
    "summarization head.attention": "How the decoder looks at the source: a name of"
    " `seqnlp list attentions`.",
    "head.decoder_cell_options": "Its options, see below.",
    "train.epochs": "Passes over the training split at the most.",
    "train.optimizer_options": "Its other arguments, such as `weight_decay`.",
    "train.lr": "The learning rate; a `schedule` hook scales it.",
}


def page() -> str:
    """The whole page."""
    tables = {
        name: kind
        for name, field in Settings.model_fields.items()
        if isinstance(kind := field.annotation, type) and issubclass(kind, Section)
    }
    parts = [HEAD, "## Top level\n", _section(Settings, "", skip={*tables, "head", "hooks"})]
    for name, kind in tables.items():
        parts += [f"## `[{name}]`\n", f"{_first_line(kind)}\n", _section(kind, f"{name}.")]
    told: dict[type[BaseModel], str] = {}
    for task in _own(registry.tasks):
        parts += _task(task, told)
    on = [f"`{name}`" for name in Settings().hooks]
    parts.append(HOOKS.format(defaults=", ".join(on)))
    for name in _own(registry.hooks):
        parts.append(f"### `hooks.{name}`\n")
        parts.append(_factory(registry.hooks.get(name), Settings().hooks.get(name)))
    parts.append(OPTIONS)
    given = {"input_size", "hidden_size", "query_size", "memory_size"}
    for parts_of in ("cells", "attentions", "tokenizers"):
        kind_of = registry.REGISTRIES[parts_of]
        for name in _own(kind_of):
            factory = kind_of.get(name)
            if set(inspect.signature(factory).parameters) - given:
                parts.append(f"### {kind_of.singular.capitalize()} `{name}`\n")
                parts.append(_factory(factory, None, given=given))
    parts.append("### Vectors `ppmi`\n")
    parts.append(_factory(ppmi_vectors, None, given={"documents", "vocabulary_size", "size"}))
    return "\n".join(parts)


def _own(parts: registry.Registry[Any]) -> list[str]:
    """The names of those that are no plugin's."""
    return [name for name, package in parts.names().items() if package == "seqnlp"]


def _task(name: str, told: dict[type[BaseModel], str]) -> list[str]:
    """The table `head` of a task, the tables within it, and its own defaults.

    told: tasks by their options, to which others of the same options refer.
    """
    task = registry.tasks.get(name)
    parts = [f"## `[head]` of the task `{name}`\n"]
    if (other := told.setdefault(task.Options, name)) != name:
        anchor = f"#head-of-the-task-{other}"
        parts.append(f"The keys are those [of the task `{other}`]({anchor}).\n")
    else:
        inner = {
            key: kind
            for key, field in task.Options.model_fields.items()
            if inspect.isclass(kind := field.annotation) and issubclass(kind, Section)
        }
        parts.append(_section(task.Options, "head.", skip=inner, task=name))
        for key, kind in inner.items():
            parts += [f"### `[head.{key}]` of the task `{name}`\n", f"{_first_line(kind)}\n"]
            parts.append(_section(kind, f"head.{key}."))
    if task.defaults:
        plain = json.loads(json.dumps(task.defaults, default=dict))
        parts += [
            f"### Defaults of the task `{name}`\n",
            f"Where a recipe does not say otherwise:\n\n```toml\n{tomli_w.dumps(plain)}```\n",
        ]
    return parts


def _section(
    section: type[BaseModel], prefix: str, skip: Iterable[str] = (), task: str = ""
) -> str:
    """A table of keys; what MEANINGS says of "TASK KEY" is of that task alone."""
    said = _attribute_docstrings(section)
    rows = []
    for name, field in section.model_fields.items():
        if name in skip:
            continue
        key = f"{prefix}{name}"
        meant = MEANINGS.get(f"{task} {key}", MEANINGS.get(key))
        if (meant is None) == (name not in said):
            raise SystemExit(f"{key}: say what it means once, in the code or in MEANINGS")
        default = field.default
        if default is PydanticUndefined:
            default = field.get_default(call_default_factory=True)
        limits = "".join(f", {words}" for each in field.metadata if (words := _limit(each)))
        kind = f"{_type(field.annotation)}{limits}"
        rows.append((f"`{key}`", kind, _value(default), said.get(name) or meant or ""))
    return _table(("key", "type", "default", "meaning"), rows)


def _factory(factory: Callable[..., Any], chosen: object, given: Iterable[str] = ()) -> str:
    """First line and options of a registered part; `chosen` are the defaults of a run."""
    target = factory.__init__ if inspect.isclass(factory) else factory
    hints = get_type_hints(target)
    classes = reversed(inspect.getmro(factory)) if inspect.isclass(factory) else [factory]
    said: dict[str, str] = {}
    for each in classes:
        said |= _argument_docs(inspect.cleandoc(each.__doc__ or ""))
    rows = []
    for name, parameter in inspect.signature(factory).parameters.items():
        if name in given:
            continue
        default = "required" if parameter.default is parameter.empty else _value(parameter.default)
        if isinstance(chosen, Mapping) and name in chosen:
            default = f"{_value(chosen[name])} (of the hook itself {default})"
        rows.append((f"`{name}`", _type(hints[name]), default, said.get(name, "see above")))
    table = _table(("option", "type", "default", "meaning"), rows) if rows else "No options.\n"
    return f"{_first_line(factory)}\n\n{table}"


def _attribute_docstrings(section: type[BaseModel]) -> dict[str, str]:
    """The strings that stand under the fields of a class."""
    tree = ast.parse(inspect.getsource(section))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for node, following in pairwise(body):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            found[node.target.id] = " ".join(str(following.value.value).split())
    return found


def _argument_docs(docstring: str) -> dict[str, str]:
    """Name to meaning, from the Args of a docstring; `a, b: ...` is of both."""
    _, _, after = docstring.partition("Args:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in after.splitlines():
        if not line.startswith("    "):
            break
        if head := re.match(r"    (\w+(?:, \w+)*): (.*)", line):
            names = head[1].split(", ")
            found.update(dict.fromkeys(names, head[2]))
        else:
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found


def _first_line(part: object) -> str:
    return (inspect.getdoc(part) or "").partition("\n")[0]


def _type(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{_plain(value)}`" for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(each) for each in args if each is not type(None))
    if origin is tuple:
        return f"list of {_type(args[0])}" if args[-1] is ... else f"{len(args)} {_type(args[0])}s"
    if origin is not None and issubclass(origin, Mapping):
        return "table" if args[1] is Any or args[1] is object else f"table of {_type(args[1])}"
    names = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "path"}
    return names[kind]


def _limit(constraint: object) -> str:
    signs = {"ge": "at least", "gt": "over", "lt": "under", "le": "at most"}
    return " and ".join(
        f"{words} {getattr(constraint, sign)}"
        for sign, words in signs.items()
        if hasattr(constraint, sign)
    )


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, str):
        return f'`"{value}"`' if len(value) < 40 else "see the code"
    if isinstance(value, tuple):
        return "`[" + ", ".join(_value(each).strip("`") for each in value) + "]`"
    if isinstance(value, Mapping):
        return "`{}`" if not value else f"`{dict(value)}`"
    return f"`{_plain(value)}`"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def main() -> None:
    """Write the page, or compare it."""
    new = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != new:
        raise SystemExit(f"{PAGE} is out of date; run: python {Path(__file__).name}")


if __name__ == "__main__":
    main()
