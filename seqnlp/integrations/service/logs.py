"""Events as lines of JSON. No line holds a text, a token or what an exception says of a text."""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

_DELAY = 0.1
_PATIENCE = 1.0
_MOST = 100
"""Portions that wait for a reader who is slow; what comes then is lost, and counted."""


class EventLog:
    """Writes events; those of requests together, ten times a second.

    A thread of its own writes, so that whoever is slow to read them holds up no answer.

    Args:
        stream: None is nowhere.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._planned = False
        self._lost = 0
        self._portions: queue.Queue[str | threading.Event] = queue.Queue(_MOST)
        self._thread: threading.Thread | None = None

    def write(self, event: str, **fields: object) -> None:
        """Write an event now."""
        self._add(event, fields)
        self._hand_over()

    def request(self, **fields: object) -> None:
        """Write an event of a request soon; in the event loop only."""
        if self._stream is None:
            return
        self._add("request", fields)
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_later(_DELAY, self._hand_over)

    def failure(self, error: BaseException, **fields: object) -> None:
        """Write what went wrong by its kind and place; its message could quote a text."""
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
        self.write("failure", error=type(error).__name__, where=where, **fields)

    def flush(self) -> None:
        """Write what waits, and wait for that, but not for a reader who is slow."""
        self._hand_over()
        written = threading.Event()
        if self._thread is not None:
            with suppress(queue.Full):
                self._portions.put(written, timeout=_PATIENCE)
                written.wait(_PATIENCE)

    def _hand_over(self) -> None:
        self._planned = False
        lines, self._lines = self._lines, []
        if self._stream is None or not lines:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="log", daemon=True)
            self._thread.start()
        try:
            self._portions.put_nowait("".join(lines))
        except queue.Full:
            self._lost += len(lines)
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._add("lost", {"events": lost})

    def _work(self) -> None:
        assert self._stream is not None
        while True:
            portion = self._portions.get()
            if isinstance(portion, threading.Event):
                portion.set()
                continue
            # Where nobody reads any more, that is no reason to stop answering.
            with suppress(OSError, ValueError):
                self._stream.write(portion)
                self._stream.flush()

    def _add(self, event: str, fields: dict[str, object]) -> None:
        if self._stream is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "event": event, **fields}, default=str)
        self._lines.append(line + "\n")


class ServerMessages(logging.Handler):
    """What the HTTP server says, as events."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._log.failure(error, source="server")
        else:
            message = record.getMessage().strip().partition("\n")[0]
            self._log.write("server", level=record.levelname.lower(), message=message)
