"""Values of a description, each of the type that it must have."""

from __future__ import annotations

from typing import Any, TypeVar

from seqnlp_runtime.errors import FolderError

T = TypeVar("T")
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false",
          list: "a list", dict: "an object"}  # fmt: skip
_MOST_SHOWN = 40


def entry(data: Any, key: str, kind: type[T]) -> T:
    """The value of a key.

    Raises:
        FolderError: there is none, or it is of another type.
    """
    value = _value(data, key)
    if type(value) is not kind:
        raise FolderError(f"damaged: {key}: expected {_NAMES[kind]}, found {_shown(value)}")
    return value


def count(data: Any, key: str) -> int:
    """A whole number that is positive, and that an array may have as its length."""
    value = entry(data, key, int)
    if not 0 < value < 2**32:
        raise FolderError(f"damaged: {key}: expected 1 to 2**32 - 1, found {_shown(value)}")
    return value


def number(data: Any, key: str, least: float, most: float) -> float:
    """A number within bounds, whole ones among them."""
    value = _value(data, key)
    if type(value) not in (int, float) or not least <= value <= most:
        raise FolderError(
            f"damaged: {key}: expected a number of {least:g} to {most:g}, found {_shown(value)}"
        )
    return float(value)


def strings(data: Any, key: str) -> list[str]:
    """A list of texts."""
    values: list[Any] = entry(data, key, list)
    if not all(type(value) is str for value in values):
        raise FolderError(f"damaged: {key}: expected a list of texts")
    return values


def _value(data: Any, key: str) -> Any:
    if not isinstance(data, dict) or key not in data:
        raise FolderError(f"damaged: the key {key!r} is missing")
    return data[key]


def _shown(value: Any) -> str:
    found = repr(value)
    return found if len(found) <= _MOST_SHOWN else f"{found[:_MOST_SHOWN]}..."
