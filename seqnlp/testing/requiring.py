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
    registry, own = REGISTRIES[part.kind], f"{part.name}-under-test"
    for name in (part.name, own):
        if name in registry.names() and registry.get(name) is part.factory:
            yield name
            return
    registry.register(own)(part.factory)
    try:
        yield own
    finally:
        del registry._local[own]
