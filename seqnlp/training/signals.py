"""Ctrl-C and SIGTERM, which wait for the border of a step, where nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """A signal that does not wait, since what it breaks off changes no weights."""


class Signals:
    """What has been asked for from outside while the block `listening` runs.

    pending: the number of the signal, SIGINT or SIGTERM, or None. A second Ctrl-C is a
    KeyboardInterrupt at once, wherever that is.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._breakable = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the two signals; in a thread other than the main one, nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # Ctrl-C that is ignored, as in a job behind a closed terminal, stays so; and a handler
        # that Python has not set could not be put back.
        taken = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) not in (signal.SIG_IGN, None)
        ]
        before: dict[int, Any] = {number: signal.signal(number, self._note) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """Let a signal break the block off by `Interrupted`; so does one that is pending.

        Raises:
            Interrupted: by a signal.
        """
        self._breakable = True
        try:
            if self.pending is not None:
                raise Interrupted
            yield
        finally:
            self._breakable = False

    def _note(self, number: int, _: FrameType | None) -> None:
        again = self.pending is not None
        if number == signal.SIGTERM or not again:
            self.pending = number
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._breakable:
            self._breakable = False
            raise Interrupted
