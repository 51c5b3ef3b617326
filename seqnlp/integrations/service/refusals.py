"""What a service refuses, as a status and one line that says what would be taken."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from starlette.responses import Response


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        code: a word for programs: "text_too_long".
        message: one line for people.
        retry_after: seconds after which another try makes sense.
        headers: more of them.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def body(self) -> dict[str, object]:
        """`{"error": {...}}`."""
        return {
            "error": {"status": self.status, "code": self.code, "message": self.message},
        }

    def response(self) -> Response:
        """The same as a response."""
        return Response(
            json.dumps(self.body(), ensure_ascii=False).encode(),
            self.status,
            self.headers,
            "application/json",
        )


def busy(message: str) -> RefusedError:
    """503, to be tried again soon."""
    return RefusedError(503, "busy", message, retry_after=1)


def draining() -> RefusedError:
    """503 of a service that is about to end."""
    return RefusedError(
        503, "draining", "the service is ending", retry_after=1, headers={"Connection": "close"}
    )
