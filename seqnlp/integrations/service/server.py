"""A service on a port: sockets, signals, and an end at which nobody is left without an answer."""

from __future__ import annotations

import asyncio
import atexit
import errno
import gc
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from fastapi import FastAPI

from seqnlp.errors import InputError, StoppedError
from seqnlp.integrations.service.logs import ServerMessages
from seqnlp.integrations.service.protocol import protocol
from seqnlp.integrations.service.refusals import RefusedError
from seqnlp.integrations.service.state import Service

_KEEP_ALIVE = 30
_SWITCH = 0.001
"""Seconds after which the event loop and the thread that answers may take turns."""
_TICK = 0.02


def bind(host: str, port: int) -> socket.socket:
    """A socket on an address, which takes no connections yet; port 0 is a free one.

    Raises:
        InputError: the address is taken, is not this machine's, or may not be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"--host {host}: no address of this machine: {error}") from error
    try:
        if sys.platform != "win32":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        # Now, so that a port that another process listens on is noticed before models are loaded;
        # who connects meanwhile waits.
        made.listen(1024)
    except OSError as error:
        made.close()
        hint = "; --port 0 takes a free one" if error.errno == errno.EADDRINUSE else ""
        reason = error.strerror or error
        raise InputError(f"cannot listen on {host}:{port}: {reason}{hint}") from error
    made.setblocking(False)
    return made


def address_of(listening: socket.socket) -> str:
    """Where the socket is reached: "http://127.0.0.1:8000"."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    app: FastAPI,
    listening: socket.socket,
    *,
    drain: float = 30.0,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then answer what was asked, for `drain` seconds at most.

    SIGHUP loads all models again. A second Ctrl-C ends at once.

    Args:
        app: of `make_app`.
        listening: of `bind`.
        drain: seconds.
        ready: is called when the first request can come.

    Raises:
        StoppedError: Ctrl-C, or requests were left without an answer.
    """
    service: Service = app.state.service
    messages = logging.getLogger("uvicorn.error")
    handler = ServerMessages(service.log)
    messages.addHandler(handler)
    propagate, messages.propagate = messages.propagate, False
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    # The collector need not look through the models again and again.
    gc.collect()
    gc.freeze()
    server = _Server(app, service, drain=drain, ready=ready)
    try:
        server.run(sockets=[listening])
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)
        messages.propagate = propagate
        messages.removeHandler(handler)
        listening.close()
        service.log.write("stopped", unanswered=server.unanswered)
        service.log.flush()
        if not service.dispatcher.close():
            atexit.register(_leave, server.status)
    if server.unanswered:
        raise StoppedError(
            f"{server.unanswered} requests had no answer within {drain:g} s",
            signal=server.signal or signal.SIGTERM,
        )
    if server.signal == signal.SIGINT:
        raise KeyboardInterrupt


def _leave(status: int) -> None:
    """End the process with a thread in the middle of a batch, which would otherwise abort it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


class _Server(uvicorn.Server):
    """The server of HTTP with an end of its own.

    signal: that ended it. unanswered: requests that were broken off.
    """

    def __init__(
        self, app: FastAPI, service: Service, *, drain: float, ready: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol(),
                log_config=None,
                access_log=False,
                lifespan="on",
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
            )
        )
        self._service, self._drain, self._ready = service, drain, ready
        self._tasks: set[asyncio.Task[None]] = set()
        self.signal: int | None = None
        self.unanswered = 0

    @property
    def status(self) -> int:
        """That the process ends with."""
        number = self.signal or signal.SIGTERM
        return 128 + number if self.unanswered or number == signal.SIGINT else 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals while the loop runs."""
        loop = asyncio.get_running_loop()
        actions: dict[str, Callable[[], None]] = {
            "SIGTERM": lambda: self._end(signal.SIGTERM),
            "SIGINT": lambda: self._end(signal.SIGINT),
            "SIGHUP": lambda: self._start(self._reload()),
        }
        taken: list[int] = []
        for name, action in actions.items():
            number = getattr(signal, name, None)
            # Some systems have no such signal, or loops without; only a main thread hears of them.
            with suppress(NotImplementedError, ValueError, RuntimeError):
                if number is not None:
                    loop.add_signal_handler(number, action)
                    taken.append(number)
        try:
            yield
        finally:
            for number in taken:
                loop.remove_signal_handler(number)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, number: int) -> None:
        if self._service.draining:
            # Whoever presses Ctrl-C twice does not want to wait.
            if number == signal.SIGINT:
                self.should_exit = self.force_exit = True
            return
        self.signal, self._service.draining = number, True
        self._service.log.write("draining", in_flight=self._service.in_flight)
        self._start(self._wait())

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain
        while self._service.in_flight and loop.time() < deadline and not self.should_exit:
            await asyncio.sleep(_TICK)
        self.unanswered = self._service.in_flight
        # Answers may be on their way to clients that read them slowly.
        self.config.timeout_graceful_shutdown = max(1, math.ceil(deadline - loop.time()))
        self.should_exit = True

    async def _reload(self) -> None:
        for name in self._service.models:
            try:
                await self._service.reload(name)
            except RefusedError:
                continue  # written down by the service, and the model that was there stays
