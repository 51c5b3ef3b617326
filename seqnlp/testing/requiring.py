"""Insisting on something, and naming a part for a while; without torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seqnlp.registry import REGISTRIES
from seqnlp.testing.contract import Part, Violation


def require(holds: object, what: str, remedy: str) -> None:
    """Raise a violation unless something holds."""
    if not holds:
        raise Violation(what, remedy)


@contextmanager
def borrowed(part: Part) -> Iterator[str]:
    """The name of a part; one that has none is registered for a while."""
    registry = REGISTRIES[part.kind]
    if part.name in registry.names() and registry.get(part.name) is part.factory:
        yield part.name
        return
    name = f"{part.name}-under-test"
    registry.register(name)(part.factory)
    try:
        yield name
    finally:
        del registry._local[name]
