"""HTTP as the service speaks it: heads of a bounded size, and refusals in JSON."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Any

from seqnlp.integrations.service.refusals import RefusedError

MAX_HEAD = 1 << 16
"""Bytes of a request before its body, beyond those that came in one piece with its beginning."""


def protocol() -> type[asyncio.Protocol] | str:
    """The protocol for uvicorn: that of httptools, which does not bound heads by itself."""
    return _bounded() if find_spec("httptools") is not None else "h11"


def _bounded() -> type[asyncio.Protocol]:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Bounded(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._in_head, self._head = False, 0

        def data_received(self, data: bytes) -> None:
            # What comes with a beginning may belong to the body before it.
            self._head += len(data) if self._in_head else 0
            super().data_received(data)
            if self._in_head and self._head > MAX_HEAD:
                self._in_head = False
                self._refuse(431, "head_too_large", f"path and headers have over {MAX_HEAD} bytes")

        def on_message_begin(self) -> None:
            self._in_head, self._head = True, 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            super().on_headers_complete()

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "no_http", msg)

        def _refuse(self, status: int, code: str, message: str) -> None:
            """Say so, unless that would stand in the middle of another answer, and hang up."""
            if self.cycle is None or self.cycle.response_complete:
                refused = RefusedError(status, code, message, headers={"Connection": "close"})
                response = refused.response()
                lines = [f"HTTP/1.1 {status} Refused".encode()]
                lines += [name + b": " + value for name, value in response.raw_headers]
                self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body))
            self.transport.close()

    return Bounded
