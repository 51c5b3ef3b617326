"""What a search looks through: for each key of the settings a list of values or an interval."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from seqnlp.config import Settings, change_settings, settings_value
from seqnlp.errors import InputError, SeqnlpError, SettingsError

FORMS = "lstm,gru or 1e-4..1e-1, log:1e-4..1e-1, int:32..256, int:32..256:32, int:log:8..512"

NOT_SEARCHED = {
    "task": "figures of different tasks are not compared",
    "corpus": "figures on different corpora are not compared",
    "seed": "a seed that was lucky is no setting",
    "ensemble": "a trial trains one model",
    "device": "it decides how fast a model learns, not how well",
    "threads": "it decides how fast a model learns, not how well",
    "train.monitor": "it is the figure that trials are compared by",
    "train.refit": "a trial is measured on validation, and learns from train alone",
}
"""Keys, or tables of keys, that say what a figure means, and why no search may change them."""
OBSERVERS = ("checkpoint", "log", "tensorboard", "wandb", "mlflow", "diagnose")
"""Hooks that watch a run and change nothing in it; trials are run without."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of some values.

    Attributes:
        labels: the values as they were written, by which a study remembers them.
    """

    labels: tuple[str, ...]

    def values(self) -> list[object]:
        """The values, in their order."""
        return [settings_value(label) for label in self.labels]

    def value(self, drawn: object) -> object:
        """The value of a label."""
        return settings_value(str(drawn))

    def drawn(self, value: object) -> object | None:
        """The label of a value; None where it is not among them."""
        return next((label for label in self.labels if _same(settings_value(label), value)), None)

    def ends(self) -> list[object]:
        """Values that show whether the key takes them."""
        return self.values()

    def grid(self) -> list[object] | None:
        """All labels."""
        return list(self.labels)

    def __str__(self) -> str:
        return ",".join(self.labels)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number from low to high, both included.

    Attributes:
        whole: an integer.
        log: drawn evenly by its logarithm.
        step: the distance from one value to the next; None for any value between.
    """

    low: float
    high: float
    whole: bool = False
    log: bool = False
    step: float | None = None

    def value(self, drawn: object) -> object:
        """The number itself."""
        return drawn

    def drawn(self, value: object) -> object | None:
        """The number, where it is one that can be drawn."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            return None
        if self.step is not None and abs((value - self.low) / self.step % 1 - 0.5) < 0.5 - 1e-9:
            return None
        return int(value) if self.whole else float(value)

    def ends(self) -> list[object]:
        """The least and the greatest number."""
        return [int(self.low), int(self.high)] if self.whole else [self.low, self.high]

    def grid(self) -> list[object] | None:
        """All numbers, where there is a step between them."""
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None:
            return None
        count = int((self.high - self.low) / step + 1e-9) + 1
        numbers = [self.low + n * step for n in range(count)]
        return [int(number) for number in numbers] if self.whole else list(numbers)

    def __str__(self) -> str:
        kind = ("int:" if self.whole else "") + ("log:" if self.log else "")
        step = "" if self.step is None else f":{self.step:g}"
        return f"{kind}{self.low:g}..{self.high:g}{step}"


Dimension = Choice | Interval
Space = Mapping[str, Dimension]
"""Key of the settings to what it may be."""


def parse_space(searches: Iterable[str]) -> dict[str, Dimension]:
    """Read searches such as `train.lr=log:1e-4..1e-1` and `model.cell=rnn,lstm,gru`.

    Raises:
        SettingsError: one that cannot be read, or a key that is named twice.
    """
    space: dict[str, Dimension] = {}
    for search in searches:
        key, sign, text = (part.strip() for part in search.partition("="))
        if not sign or not all(key.split(".")) or not text:
            raise SettingsError(f"--search {search}: expected KEY=VALUES, with values {FORMS}")
        if key in space:
            raise SettingsError(f"--search {search}: {key} is named twice")
        try:
            space[key] = parse_dimension(text)
        except InputError as error:
            raise SettingsError(f"--search {search}: {error}") from error
    return space


def parse_dimension(text: str) -> Dimension:
    """Read the values of one key.

    >>> parse_dimension("log:1e-4..1e-1")
    Interval(low=0.0001, high=0.1, whole=False, log=True, step=None)
    >>> str(parse_dimension("rnn, lstm"))
    'rnn,lstm'

    Raises:
        InputError: neither a list nor an interval.
    """
    kinds, rest = set(), text
    while found := re.match(r"(int|log|float):", rest):
        kinds.add(found[1])
        rest = rest[found.end() :]
    if ".." in rest and not re.search(r"[\"'\[,]", rest):
        return _interval(rest, kinds)
    if kinds:
        raise InputError(f"expected LOW..HIGH after {'/'.join(sorted(kinds))}:, not {rest!r}")
    labels = tuple(_split(rest))
    if not all(labels):
        raise InputError("a value between two commas is missing")
    if len(labels) < 2:
        raise InputError(f"one value is nothing to search; expected {FORMS}, or --set {rest}")
    if len(set(labels)) < len(labels):
        raise InputError("a value is named twice")
    return Choice(labels=labels)


def check_space(settings: Settings, space: Space) -> None:
    """See that each key exists and takes the values that it is searched through, one by one.

    Args:
        settings: what the search begins with, completed.

    Raises:
        SettingsError: a key that does not exist or that no search may change; a value of a wrong
            type; the name of nothing.
    """
    for key, dimension in space.items():
        where = f"--search {key}={dimension}"
        for part, reason in NOT_SEARCHED.items():
            if key == part or key.startswith(f"{part}."):
                raise SettingsError(f"{where}: {key} is not searched through: {reason}")
        hook = key.split(".")[1] if key.startswith("hooks.") else ""
        if hook in OBSERVERS:
            raise SettingsError(f"{where}: the hook {hook} takes no part in trials")
        for value in dimension.ends():
            _check_value(settings, key, value, where)
        if isinstance(dimension, Interval) and not dimension.whole:
            # Somewhere between the ends, where no key of whole numbers has a value.
            inner = dimension.low + 0.381966 * (dimension.high - dimension.low)
            told = f"{where}: {key} takes whole numbers; int:{dimension}"
            try:
                _check_value(settings, key, dimension.step or inner, where)
            except SettingsError as error:
                if "integer" in str(error):
                    raise SettingsError(told) from error
                raise


def _check_value(settings: Settings, key: str, value: object, where: str) -> None:
    from seqnlp import registry
    from seqnlp.training.preparation import complete, make_hooks

    kind = registry.tasks.get(settings.task)
    try:
        changed = change_settings(settings, {key: value}, where="settings", unread=kind.unread)
        completed = complete(changed)
        make_hooks(without_observers(completed), None)
        unread = kind.unread(completed)
    except SeqnlpError as error:
        told = str(error).removeprefix("settings: ").removeprefix(f"{key}: ")
        raise SettingsError(f"{where}: {told}") from error
    if key in unread:
        raise SettingsError(f"{where}: no part of the model reads {key}")


def without_observers(settings: Settings) -> Settings:
    """Settings of a run that nothing is written of."""
    hooks = {name: options for name, options in settings.hooks.items() if name not in OBSERVERS}
    return settings.model_copy(update={"hooks": hooks | {"checkpoint": False}})


def drawn_values(settings: Settings, space: Space) -> dict[str, object] | None:
    """What would have to be drawn to get these settings; None where it cannot be drawn."""
    tables: Mapping[str, Any] = settings.model_dump(mode="json")
    drawn: dict[str, object] = {}
    for key, dimension in space.items():
        table: Any = tables
        for part in key.split("."):
            table = table.get(part) if isinstance(table, Mapping) else None
        found = None if table is None else dimension.drawn(table)
        if found is None:
            return None
        drawn[key] = found
    return drawn


def _interval(text: str, kinds: set[str]) -> Interval:
    bounds, _, width = text.partition(":")
    low, _, high = bounds.partition("..")
    whole, log = "int" in kinds, "log" in kinds
    if whole and "float" in kinds:
        raise InputError("int: and float: exclude each other")
    first, last = _number(low, whole), _number(high, whole)
    step = _number(width, whole) if width else None
    if first >= last:
        raise InputError(f"{low} is not less than {high}")
    if log and first <= 0:
        raise InputError(f"log: needs numbers above 0, not {low}")
    if log and step is not None:
        raise InputError("log: and a step exclude each other")
    if step is not None and not 0 < step <= last - first:
        raise InputError(f"the step {width} must be above 0 and at most {last - first:g}")
    if step is not None:
        last = first + int((last - first) / step + 1e-9) * step
    return Interval(low=first, high=last, whole=whole, log=log, step=step)


def _number(text: str, whole: bool) -> float:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        expected = "a whole number" if whole else "a number"
        raise InputError(f"expected {expected}, not {text!r}") from None
    if not abs(number) < float("inf"):
        raise InputError(f"expected a number, not {text!r}")
    return number


def _split(text: str) -> list[str]:
    """Parts between commas that stand in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        else:
            depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _same(one: object, other: object) -> bool:
    """Equal, and no truth value taken for a number."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
