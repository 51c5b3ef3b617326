"""Running code that must not reach for the network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


@contextmanager
def offline() -> Iterator[list[str]]:
    """Refuse all connections; yields the hosts that were asked for."""
    asked: list[str] = []

    def refuse(host: object, *_: object, **__: object) -> Any:
        asked.append(str(host[0] if isinstance(host, tuple) else host))
        raise OSError("no network within this check")

    def connect(self: socket.socket, address: object) -> None:
        if self.family != getattr(socket, "AF_UNIX", None):
            refuse(address)

    with (
        mock.patch.object(socket, "getaddrinfo", refuse),
        mock.patch.object(socket, "create_connection", refuse),
        mock.patch.object(socket.socket, "connect", connect),
    ):
        yield asked
