"""Whether somebody waits for an output: what nobody does is given up between two steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from seqnlp.errors import SeqnlpError

_wanted: ContextVar[Callable[[], bool] | None] = ContextVar("wanted", default=None)


class GivenUpError(SeqnlpError):
    """Nobody waits for the outputs of a search any more."""


@contextmanager
def while_wanted(wanted: Callable[[], bool]) -> Iterator[None]:
    """Let searches of this thread go on for as long as `wanted()`.

    An output may be as long as `max_ratio` times its source, or endless, and no thread can be
    interrupted from without.
    """
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def check_wanted() -> None:
    """Go on.

    Raises:
        GivenUpError: there is nobody to go on for.
    """
    if (wanted := _wanted.get()) is not None and not wanted():
        raise GivenUpError("nobody waits for this output")
