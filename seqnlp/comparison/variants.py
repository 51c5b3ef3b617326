"""Variants of one run: `--vary KEY=A,B`, in all combinations."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqnlp import registry
from seqnlp.errors import SettingsError
from seqnlp.registry import Registry

PARTS: Mapping[str, Registry[Any]] = {
    "model.cell": registry.cells,
    "model.encoder": registry.encoders,
    "model.engine": registry.engines,
    "head.attention": registry.attentions,
    "head.decoder": registry.decoders,
}
"""The keys whose values are names of registered parts."""
MOST = 100
"""Variants of one comparison."""
DEFAULT = "default"
"""The value that leaves a key as it is without --vary."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A key and what is tried for it, each value as TOML writes it."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One combination. name: short, and fit for a folder. overrides: as for --set."""

    name: str
    overrides: tuple[str, ...]


def parse_axis(
    text: str, short: Mapping[str, str] | None = None, *, option: str = "--vary"
) -> Axis:
    """Read KEY=A,B,C, or KEY=[...] of TOML values; the word `default` leaves the key alone.

    >>> parse_axis("model.cell=rnn,mingru")
    Axis(key='model.cell', values=('"rnn"', '"min_gru"'))

    Args:
        text: what stands behind --vary.
        short: names of options that may stand for a key: cell for model.cell.
        option: that it was given by, for messages.

    Raises:
        SettingsError: no such form, or one value alone, or one twice.
        UnknownNameError: a part that is not registered.
    """
    key, sign, listed = text.partition("=")
    shown = text if option == "--vary" else listed
    key = key.strip()
    key = (short or {}).get(key.replace("-", "_"), key)
    if not sign or not all(key.split(".")):
        raise SettingsError(
            f"{option} {shown}: expected a key and its values, such as model.cell=lstm,gru"
        )
    words = [word.strip() for word in _split(listed.strip())]
    if not all(words):
        raise SettingsError(f"{option} {shown}: a value is empty")
    if key in PARTS:
        names = (word.strip("\"'") for word in words)
        words = [name if name == DEFAULT else f'"{full_name(PARTS[key], name)}"' for name in names]
    if twice := [word for word in words if words.count(word) > 1]:
        raise SettingsError(f"{option} {shown}: {twice[0]} is named twice")
    if len(words) < 2:
        raise SettingsError(f"{option} {shown}: name two values at least; --set {key}=... sets one")
    return Axis(key=key, values=tuple(words))


def variants_of(axes: Sequence[Axis]) -> list[Variant]:
    """All combinations of the values of the axes, the last changing fastest.

    Raises:
        SettingsError: a key twice, or more than `MOST` combinations.
    """
    keys = [axis.key for axis in axes]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise SettingsError(f"--vary {twice[0]}: the key is named twice")
    combinations = list(itertools.product(*(axis.values for axis in axes)))
    if len(combinations) > MOST:
        raise SettingsError(f"{len(combinations)} combinations to train; {MOST} are the most")
    made, taken = [], set[str]()
    for values in combinations:
        words = (re.sub(r"[^\w.+-]+", "-", value).strip("-.") for value in values)
        plain = "-".join(word or "empty" for word in words)
        # Values that differ in signs alone would share a folder.
        numbered = (plain if n == 1 else f"{plain}-{n}" for n in itertools.count(1))
        name = next(each for each in numbered if each not in taken)
        taken.add(name)
        chosen = [(key, value) for key, value in zip(keys, values, strict=True) if value != DEFAULT]
        overrides = tuple(f"{key}={value}" for key, value in chosen)
        made.append(Variant(name=name, overrides=overrides))
    return made


def full_name(parts: Registry[Any], name: str) -> str:
    """The registered name that is meant: itself, or the only one that differs in - _ and case.

    Raises:
        UnknownNameError: there is none, or several; the message has the nearest.
    """
    names = parts.names()
    like = [each for each in names if _bare(each) == _bare(name)]
    if name in names or len(like) != 1:
        if name not in names and not (parts is registry.engines and name == "auto"):
            parts.get(name)
        return name
    return like[0]


def _bare(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def _split(listed: str) -> list[str]:
    """The values as TOML writes them: the items of an array, or what commas part."""
    if not listed.startswith("["):
        return listed.split(",")
    try:
        items = tomllib.loads(f"values = {listed}")["values"]
    except tomllib.TOMLDecodeError:
        return [listed]
    return [_toml(item) for item in items]


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # What JSON and TOML write alike: strings, numbers, true and false.
    return json.dumps(value, ensure_ascii=False, default=str)
