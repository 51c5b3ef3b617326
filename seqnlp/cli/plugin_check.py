"""`seqnlp plugin check`."""

from __future__ import annotations

import logging
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from seqnlp.cli.screen import open_screen
from seqnlp.errors import InputError, SettingsError, UnknownNameError, near, suggest

if TYPE_CHECKING:
    from seqnlp.testing import Contract, Finding

STYLES = {"passed": "green", "skipped": "yellow", "failed": "bold red"}


@click.command("check", short_help="Say whether a part does what is expected of its kind.")
@click.argument("name")
@click.option("--kind", help="Where parts of two kinds have the name: cell, tokenizer, ...")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the part, as a recipe's.",
)
@click.option("--only", metavar="CHECK", help="One check alone, by its name in the report.")
def command(name: str, kind: str | None, sets: tuple[str, ...], only: str | None) -> int:
    """Check the part called NAME against the contract of its kind, which plugins' tests use too.

    Each check that fails says what is wrong and how to mend it. The exit status is 1 where one
    failed, 2 where no part has that name.
    """
    from seqnlp.registry import REGISTRIES
    from seqnlp.testing import CONTRACTS

    kind = _kind_of(name, kind)
    registry = REGISTRIES[kind]
    part = registry.get(name)
    contract = CONTRACTS[kind]
    known = list(contract.options(part)) if sets else []
    options = dict(_option(each, known) for each in sets)
    where = ", ".join(filter(None, (registry.names()[name], _home(part))))
    screen = open_screen()
    screen.print(f"{registry.singular} {name} ({where})", markup=False, soft_wrap=True)
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # what an engine says of a cell, the report does
    try:
        report = contract.examine(name, only=only, on_finding=_printer(contract), **options)
    finally:
        logging.disable(disabled)
    ends = ["not tried" if each.untried else each.outcome for each in report.findings]
    said = [f"{ends.count(end)} {end}" for end in (*STYLES, "not tried") if end in ends]
    screen.print(", ".join(said), markup=False)
    return int(not report.ok)


def _home(part: Any) -> str:
    """Where a part is written."""
    name = getattr(part, "__qualname__", "")
    return f"{part.__module__}.{name}" if name else ""


def _printer(contract: Contract[Any]) -> Callable[[Finding], None]:
    """Prints a finding when it is made, all names in one column."""
    from rich.text import Text

    screen = open_screen()
    wide = max(map(len, contract.names))
    indent = " " * (7 + 2 + wide + 2)
    width = max(screen.width - len(indent), 40)
    stopped = False

    def show(finding: Finding) -> None:
        nonlocal stopped
        if finding.untried:
            # One line for them all: the reader has one thing to mend.
            if not stopped:
                screen.print(Text(f"the checks after it are {finding.what}", style="yellow"))
            stopped = True
            return
        lines = _wrapped(finding.what, width)
        lines += _wrapped(f"remedy: {finding.remedy}", width) if finding.remedy else []
        head = Text(f"{finding.outcome:7}", style=STYLES[finding.outcome])
        head.append(f"  {finding.check:{wide}}  ".rstrip() if not lines else "", style="default")
        if lines:
            head.append(f"  {finding.check:{wide}}  {lines[0]}", style="default")
        screen.print(head, soft_wrap=True)
        for line in lines[1:]:
            screen.print(Text(f"{indent}{line}"), soft_wrap=True)

    return show


def _wrapped(text: str, width: int) -> list[str]:
    """Lines that break between words alone: the path of a file has hyphens, and is to be copied."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def _kind_of(name: str, kind: str | None) -> str:
    """The kind that has a part of that name, if one alone has; by its plural."""
    from seqnlp.discovery import not_installed, silent_plugins
    from seqnlp.registry import REGISTRIES, misplacement
    from seqnlp.testing import CONTRACTS

    plurals = {REGISTRIES[each].singular: each for each in CONTRACTS}
    if kind is not None:
        plural = plurals.get(kind, kind)
        if plural not in CONTRACTS:
            raise UnknownNameError("kind", kind, plurals)
        return plural
    having = [each for each in CONTRACTS if name in REGISTRIES[each].names()]
    if len(having) == 1:
        return having[0]
    if having:
        singulars = [REGISTRIES[each].singular for each in having]
        raise InputError(
            f"{_listed(singulars)} are called {name!r}; say which: --kind {singulars[0]}"
        )
    if name in REGISTRIES["engines"].names():
        raise InputError(f"{name!r} is an engine; there is a contract for: {', '.join(plurals)}")
    best = near(name, {each for kind in CONTRACTS for each in REGISTRIES[kind].names()})
    silent = silent_plugins()
    if told := not_installed(name) or misplacement(name):
        hint = told
    elif best is not None:
        hint = f"did you mean {best!r}?"
    elif silent:
        hint = (
            f"{' and '.join(silent)} declares no part: add an entry point in the group of its "
            "kind, such as seqnlp.cells, to its pyproject.toml and install it again"
        )
    else:
        hint = (
            "a package offers its own by an entry point, such as one in the group seqnlp.cells, "
            "once it is installed"
        )
    raise InputError(f"no part is named {name!r}; {hint}; all names: seqnlp list")


def _listed(singulars: Iterable[str]) -> str:
    return " and ".join(f"a {each}" for each in singulars)


def _option(text: str, known: Sequence[str]) -> tuple[str, object]:
    """A key and a TOML value, or else the text itself, as `--set` takes them in training."""
    key, sign, value = text.partition("=")
    key = key.strip()
    if not sign or not key:
        raise SettingsError(f"--set {text}: expected key=value, such as scale=0.5")
    if key not in known:
        raise SettingsError(f"--set {text}: no key {key!r}; {suggest(key, known)}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()
