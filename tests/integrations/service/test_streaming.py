"""Answers as server-sent events, seen by a client of bare ASGI."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

import seqnlp
from seqnlp.bundle import Model
from seqnlp.errors import InputError
from seqnlp.integrations.service import Limits, make_app
from seqnlp.integrations.service.state import Service
from seqnlp.types import Beginning, Prediction

SENTENCE = "Der Hund will den Ball sehen."
REVIEW = "The film was dull and then great ."


@dataclass
class Answered:
    """What came back: the status, the headers, and events as (name, data) or the plain body."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, Any]] = field(default_factory=list)
    body: bytes = b""

    def named(self, name: str) -> list[Any]:
        return [value for kind, value in self.events if kind == name]


async def post(
    app: FastAPI,
    path: str,
    value: object,
    *,
    leave_after: int | None = None,
    on_event: Callable[[], None] = lambda: None,
) -> Answered:
    """Ask, read event by event, and go away after so many."""
    found, gone, asked = Answered(), asyncio.Event(), json.dumps(value).encode()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": asked, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        found.body += message["body"]
        if message["body"].startswith(b"event: "):
            kind, data = message["body"].decode().removesuffix("\n\n").split("\n")
            assert data.startswith("data: ")
            found.events.append((kind.removeprefix("event: "), json.loads(data[6:])))
            on_event()
        if len(found.events) == leave_after:
            gone.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "scheme": "http", "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return found


@pytest.fixture(scope="module")
def models(pairs_run: Path, toy_run: Path, extracts_run: Path) -> dict[str, Path | Model]:
    return {
        "de-en": seqnlp.load(pairs_run),
        "toy": seqnlp.load(toy_run),
        "extracts": seqnlp.load(extracts_run),
    }


@pytest.fixture
def app(models: dict[str, Path | Model]) -> Iterator[FastAPI]:
    made = make_app(models)
    yield made
    made.state.service.dispatcher.close()


def service_of(app: FastAPI) -> Service:
    service = app.state.service
    assert isinstance(service, Service)
    return service


@pytest.mark.parametrize("options", [{}, {"beam": 4, "n_best": 2}, {"sample": True, "seed": 2}])
def test_tokens_come_one_by_one_and_the_answer_is_that_of_predict(
    app: FastAPI, options: dict[str, Any]
) -> None:
    async def both() -> tuple[Answered, Answered]:
        asked = {"text": SENTENCE, "options": options, "explain": True}
        streamed = await post(app, "/v1/de-en/stream", asked)
        return streamed, await post(app, "/v1/de-en/predict", asked)

    streamed, predicted = asyncio.run(both())
    assert streamed.status == 200
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.headers["cache-control"] == "no-store"
    *begun, (last, answer) = streamed.events
    assert last == "answer"
    assert answer == json.loads(predicted.body)
    assert {name for name, _ in begun} == {"token"}
    [record] = answer["answers"]
    tokens = [token for _, value in begun for token in value["tokens"]]
    assert tokens == record["hypotheses"][0]["tokens"]
    assert record["hypotheses"][0]["attention"]
    assert record["words"]["output"] == record["output"].split()
    assert len(record["words"]["attention"][0]) == len(record["words"]["source"])
    assert begun[-1][1]["text"] == record["output"]
    assert all(record["output"].startswith(value["text"]) for _, value in begun)
    if not options:
        assert len(begun) == len(tokens)
    assert service_of(app).streams == 0


@pytest.mark.parametrize("model", ["toy", "extracts"])
def test_a_label_and_an_extract_are_one_event(app: FastAPI, model: str) -> None:
    async def both() -> tuple[Answered, Answered]:
        streamed = await post(app, f"/v1/{model}/stream", {"text": REVIEW})
        return streamed, await post(app, f"/v1/{model}/predict", {"text": REVIEW})

    streamed, predicted = asyncio.run(both())
    assert streamed.events == [("answer", json.loads(predicted.body))]


def test_an_empty_text_is_answered_by_nothing(app: FastAPI) -> None:
    [(name, value)] = asyncio.run(post(app, "/v1/de-en/stream", {"text": " "})).events
    assert name == "answer"
    assert value["answers"][0]["output"] == ""


@pytest.mark.parametrize(
    ("asked", "status", "code", "message"),
    [
        ({}, 422, "invalid_request", "text: Field required"),
        ({"texts": ["a"]}, 422, "invalid_request", "text: Field required"),
        ({"text": "a", "texts": []}, 422, "invalid_request", "texts: there is no such key"),
        ({"text": 3}, 422, "invalid_request", "text: Input should be a valid string"),
        ({"text": "a" * 60_000}, 413, "text_too_long",
         "texts[0] has 60000 characters; at most 50000 are taken"),
        ({"text": "a", "options": {"beam": 2, "sample": True}}, 422, "bad_options",
         "options: sample: false where beam is over 1 (it is 2)"),
    ],
)  # fmt: skip
def test_what_is_refused_has_a_status(
    app: FastAPI, asked: object, status: int, code: str, message: str
) -> None:
    found = asyncio.run(post(app, "/v1/de-en/stream", asked))
    error = json.loads(found.body)["error"]
    assert (found.status, error["status"], error["code"]) == (status, status, code)
    assert message in error["message"]
    assert not found.events


def test_who_goes_away_ends_the_work(app: FastAPI) -> None:
    service = service_of(app)
    asked = {"text": SENTENCE, "options": {"min_length": 1000, "max_length": 1000}}
    steps = count_steps(service, "de-en")

    async def leave() -> Answered:
        found = await post(app, "/v1/de-en/stream", asked, leave_after=3)
        await service.dispatcher.run(lambda: None)  # what was begun is over
        return found

    found = asyncio.run(leave())
    assert 3 <= len(found.events) < 10
    assert len(steps) < 10
    assert "closed" in steps
    assert service.streams == 0
    assert service.in_flight == 0


def count_steps(service: Service, name: str) -> list[str]:
    """Note each step of the answers that a model begins, and that they are closed."""
    steps: list[str] = []
    served = service.models[name]
    before = served.task_for

    def counted(options: Any) -> Any:
        task = before(options)
        watch = type(task).watch

        def watched(text: str) -> Iterator[Beginning | Prediction]:
            watcher = watch(task, text)
            try:
                for each in watcher:
                    steps.append("step")
                    yield each
            finally:
                watcher.close()
                steps.append("closed")

        # The task itself is shared; this is an attribute of a copy.
        task.__dict__["watch"] = watched
        return task

    served.task_for = counted  # type: ignore[method-assign]
    return steps


def test_a_stream_leaves_the_thread_to_others(app: FastAPI) -> None:
    """A label is answered while a long text is written."""
    service = service_of(app)
    order: list[str] = []

    async def both() -> None:
        first = asyncio.Event()

        def began() -> None:
            first.set()
            order.append("token")

        asked = {"text": SENTENCE, "options": {"min_length": 150, "max_length": 150}}
        streaming = asyncio.create_task(post(app, "/v1/de-en/stream", asked, on_event=began))
        await first.wait()
        await post(app, "/v1/toy/predict", {"text": REVIEW})
        order.append("label")
        await streaming

    asyncio.run(both())
    assert order.index("label") < len(order) - 20
    assert service.streams == 0


def test_only_so_many_are_streamed_at_once(models: dict[str, Path | Model]) -> None:
    app = make_app(models, limits=Limits(max_streams=1))

    async def both() -> tuple[Answered, Answered, Answered]:
        first = asyncio.Event()
        asked = {"text": SENTENCE, "options": {"min_length": 50, "max_length": 50}}
        streaming = asyncio.create_task(post(app, "/v1/de-en/stream", asked, on_event=first.set))
        await first.wait()
        refused = await post(app, "/v1/toy/stream", {"text": REVIEW})
        return await streaming, refused, await post(app, "/v1/toy/stream", {"text": REVIEW})

    whole, refused, after = asyncio.run(both())
    service_of(app).dispatcher.close()
    assert whole.events[-1][0] == "answer"
    assert (refused.status, refused.headers["Retry-After".lower()]) == (503, "1")
    error = json.loads(refused.body)["error"]
    assert error["message"] == "1 answers are streamed; try again soon"
    assert after.status == 200


def test_a_stream_that_takes_too_long_ends_with_an_error(models: dict[str, Path | Model]) -> None:
    app = make_app(models, limits=Limits(timeout=0.2))
    asked = {"text": SENTENCE, "options": {"min_length": 1000, "max_length": 1000, "beam": 8}}
    found = asyncio.run(post(app, "/v1/de-en/stream", asked))
    service = service_of(app)
    service.dispatcher.close()
    name, value = found.events[-1]
    assert name == "error"
    assert value == {
        "error": {"status": 504, "code": "timeout", "message": "no answer within 0.2 s"}
    }
    assert service.streams == 0


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (InputError("no such text"), {"status": 422, "code": "bad_text", "message": "no such text"}),
        (RuntimeError("secret words"),
         {"status": 500, "code": "internal", "message": "something went wrong here"}),
    ],
)  # fmt: skip
def test_a_failure_is_an_event_and_its_words_stay_here(
    models: dict[str, Path | Model],
    failure: Exception,
    expected: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = io.StringIO()
    app = make_app(models, log=log)

    def fail(text: str) -> Iterator[Beginning]:
        yield Beginning(text="The", tokens=("The",))
        raise failure

    service = service_of(app)
    monkeypatch.setitem(service.models["de-en"].task.__dict__, "watch", fail)
    found = asyncio.run(post(app, "/v1/de-en/stream", {"text": SENTENCE}))
    service.dispatcher.close()
    service.log.flush()
    assert [name for name, _ in found.events] == ["token", "error"]
    assert found.events[-1][1] == {"error": expected}
    assert "secret" not in log.getvalue()
    assert ("RuntimeError" in log.getvalue()) == isinstance(failure, RuntimeError)


def test_a_client_that_does_not_read_is_given_up(models: dict[str, Path | Model]) -> None:
    app = make_app(models, limits=Limits(timeout=0.3))

    async def stall() -> None:
        def wait() -> None:
            raise AssertionError("unreachable")

        messages = [{"type": "http.request", "body": b'{"text": "Der Hund"}', "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await asyncio.sleep(3600)
            return wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(3600)

        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1", "method": "POST", "path": "/v1/de-en/stream",
            "raw_path": b"", "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [], "client": None, "server": None,
        }  # fmt: skip
        await app(scope, receive, send)

    asyncio.run(stall())
    service = service_of(app)
    service.dispatcher.close()
    assert (service.streams, service.in_flight) == (0, 0)


def test_the_document_has_the_route(app: FastAPI) -> None:
    route = app.openapi()["paths"]["/v1/{model}/stream"]["post"]
    assert list(route["responses"]["200"]["content"]) == ["text/event-stream"]
    assert set(route["responses"]) == {"200", "401", "404", "408", "413", "422", "429", "503"}


def test_streams_that_begin_together_are_counted_too(models: dict[str, Path | Model]) -> None:
    app = make_app(models, limits=Limits(max_streams=2))

    async def all_at_once() -> list[int]:
        asked = [post(app, "/v1/de-en/stream", {"text": SENTENCE}) for _ in range(5)]
        return sorted(found.status for found in await asyncio.gather(*asked))

    statuses = asyncio.run(all_at_once())
    service = service_of(app)
    service.dispatcher.close()
    assert statuses == [200, 200, 503, 503, 503]
    assert service.streams == 0
