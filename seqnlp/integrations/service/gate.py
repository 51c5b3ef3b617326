"""What every request passes: who may ask, how much is in work, what is counted and written down."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seqnlp.integrations.service.refusals import RefusedError, busy, draining
from seqnlp.integrations.service.state import Service

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

OPEN = frozenset({"/", "/openapi.json", "/health/live", "/health/ready"})
"""What needs no token."""
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_VERBS = frozenset({"predict", "stream", "reload"})


class Shortcut:
    """The way of `POST /v1/{model}/predict` past the router, which takes as long as a small model.

    Args:
        handlers: by the last part of the path.
    """

    def __init__(self, app: ASGIApp, handlers: Mapping[str, Handler]) -> None:
        self.app, self._handlers = app, handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            parts = path_of(scope).split("/")
            if len(parts) == 4 and parts[1] == "v1" and parts[3] in self._handlers:
                scope["path_params"] = {"model": parts[2]}
                response = await self._handlers[parts[3]](Request(scope, receive, send))
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


class Gate:
    """Middleware around all routes.

    Requests under /v1 are counted among those in work, kept to the rate, and refused while the
    service ends; what is open stays open, so that a supervisor sees what goes on.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        # `secrets` is no dearer than a counter that would tell clients of each other.
        id_ = given if _ID.fullmatch(given) else secrets.token_hex(8).encode()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", id_)]
            await send(message)

        service, counted = self.service, path_of(scope).startswith("/v1/")
        service.in_flight += counted
        try:
            self._admit(scope, headers, counted)
            await self.app(scope, receive, answer)
        except RefusedError as refused:
            await refused.response()(scope, receive, answer)
        except ClientDisconnect:
            status = status or 499  # of nginx: nobody was there to be answered
        except Exception as error:
            service.log.failure(error, id=id_.decode())
            if status:
                raise  # half an answer is out; the server breaks the connection off
            failed = RefusedError(500, "internal", f"something went wrong here; id {id_.decode()}")
            await failed.response()(scope, receive, answer)
        finally:
            service.in_flight -= counted
            self._note(scope, id_, status, time.perf_counter() - begun)

    def _admit(self, scope: Scope, headers: dict[bytes, bytes], counted: bool) -> None:
        """Let a request in, or say why not.

        Raises:
            RefusedError: 401, 429 or 503.
        """
        service = self.service
        if counted:
            if service.draining:
                raise draining()
            if service.in_flight > service.limits.max_concurrency:
                raise busy(f"{service.limits.max_concurrency} requests are in work; try again soon")
            client = scope.get("client")
            if service.rates and (wait := service.rates.wait(client[0] if client else "")):
                raise RefusedError(
                    429,
                    "too_many_requests",
                    f"more than {service.rates.rate:g} requests a second; try again in "
                    f"{wait:.1f} s",
                    retry_after=wait,
                )
        if service.token is not None and path_of(scope) not in OPEN:
            kind, _, token = headers.get(b"authorization", b"").partition(b" ")
            known = secrets.compare_digest(token.strip(), service.token)
            if not known or kind.lower() != b"bearer":
                raise RefusedError(
                    401,
                    "unauthorized",
                    "send the token of this service: Authorization: Bearer TOKEN",
                    headers={"WWW-Authenticate": "Bearer"},
                )

    def _note(self, scope: Scope, id_: bytes, status: int, seconds: float) -> None:
        route, model = _labels(path_of(scope), self.service)
        self.service.metrics.request(route, model, status, seconds)
        noted: dict[str, Any] = scope.get("seqnlp", {})
        client = scope.get("client")
        self.service.log.request(
            id=id_.decode(),
            client=client[0] if client else None,
            method=scope["method"],
            route=route,
            model=model,
            status=status,
            ms=round(1000 * seconds, 2),
            **noted,
        )


def path_of(scope: Scope) -> str:
    """The path within this application, which may hang below another's, as the router takes it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path


def _labels(path: str, service: Service) -> tuple[str, str]:
    """Route and model of a path, of which there are few whatever is asked for."""
    if path in OPEN or path in ("/metrics", "/v1/models"):
        return path, ""
    parts = path.split("/")
    if len(parts) in (3, 4) and parts[1] == "v1" and parts[2] in service.models:
        if len(parts) == 3:
            return "/v1/{model}", parts[2]
        if parts[3] in _VERBS:
            return f"/v1/{{model}}/{parts[3]}", parts[2]
    return "other", ""
