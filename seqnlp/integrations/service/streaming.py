"""Answers as server-sent events: tokens as they become certain, then the whole answer.

The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html. Events:

token   {"tokens": [...], "text": "..."}: tokens that are new, and the text so far
answer  what `predict` answers; the last event
error   {"error": {...}} as elsewhere; the last event, too
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from seqnlp.errors import InputError
from seqnlp.integrations.service.asking import Asked, read_asked, to_json
from seqnlp.integrations.service.refusals import RefusedError, busy
from seqnlp.integrations.service.schemas import StreamRequest
from seqnlp.integrations.service.state import Service
from seqnlp.types import Beginning, Prediction

CONTENT_TYPE = "text/event-stream"
EVENT_SCHEMA = {
    "title": "StreamEvent",
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["token", "answer", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
"""Of each event, for the document."""
_TURN = 0.005
"""Seconds after which a stream lets others have the thread, though nothing is certain yet."""
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def stream(request: Request, service: Service) -> Response:
    """The answer to a request as events.

    Raises:
        RefusedError: 404, 408, 413 or 422; 503, too many are streamed.
    """
    asked = await read_asked(request, service, StreamRequest)
    if service.streams >= service.limits.max_streams:
        raise busy(f"{service.limits.max_streams} answers are streamed; try again soon")
    request.scope["seqnlp"] = {"texts": 1}
    service.streams += 1  # now: others are let in before the first event
    return _Events(_events(asked, service), service)


class _Events(StreamingResponse):
    """Events for a client that reads them: who leaves one for `timeout` is as good as gone."""

    def __init__(self, events: AsyncIterator[bytes], service: Service) -> None:
        super().__init__(events, headers=_HEADERS, media_type=CONTENT_TYPE)
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self._service.limits.timeout):
                    await send(message)
            except TimeoutError as error:
                raise ClientDisconnect from error

        try:
            await super().__call__(scope, receive, send_in_time)
        finally:
            self._service.streams -= 1


async def _events(asked: Asked, service: Service) -> AsyncIterator[bytes]:
    """The events. Whoever goes away ends the work after the step that runs."""
    (text,) = asked.texts
    watcher = asked.task.watch(text)
    deadline = asyncio.get_running_loop().time() + service.limits.timeout
    try:
        while True:
            async with asyncio.timeout_at(deadline):
                said = await service.dispatcher.run(lambda: _turn(watcher))
            if isinstance(said, Prediction):
                break
            if said.tokens:
                value = {"tokens": list(said.tokens), "text": said.text}
                yield _event("token", to_json(value))
        yield _event("answer", await asked.response([said]))
    except TimeoutError:
        seconds = service.limits.timeout
        yield _refused(RefusedError(504, "timeout", f"no answer within {seconds:g} s"))
    except InputError as error:
        yield _refused(RefusedError(422, "bad_text", str(error)))
    except Exception as error:
        service.log.failure(error, model=asked.served.name)
        yield _refused(RefusedError(500, "internal", "something went wrong here"))
    finally:
        # A step may be running on that thread; behind it, the search can be given up.
        service.dispatcher.after(watcher.close)


def _event(name: str, value: bytes) -> bytes:
    """An event of JSON, which has no line end in it."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), value)


def _turn(watcher: Iterator[Beginning | Prediction]) -> Beginning | Prediction:
    """The next that is certain, or nothing new after a while, so that others have their turn."""
    end = time.perf_counter() + _TURN
    while True:
        said = next(watcher)
        if isinstance(said, Prediction) or said.tokens or time.perf_counter() > end:
            return said


def _refused(refused: RefusedError) -> bytes:
    return _event("error", to_json(refused.body()))
