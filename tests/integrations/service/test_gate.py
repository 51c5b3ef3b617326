"""Who is let in, what is counted, and what is written down."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import seqnlp
from seqnlp.bundle import Model
from seqnlp.errors import InputError
from seqnlp.integrations.service import Limits, make_app
from seqnlp.integrations.service.limits import Rates
from seqnlp.integrations.service.state import Service

SECRET = "a film that nobody may read about"


@pytest.fixture(scope="module")
def model(toy_run: Path) -> Model:
    return seqnlp.load(toy_run)


def service_of(app: FastAPI) -> Service:
    found = app.state.service
    assert isinstance(found, Service)
    return found


def message_of(response: Any) -> str:
    message = response.json()["error"]["message"]
    assert isinstance(message, str)
    return message


def test_a_token_is_asked_of_everybody_but_supervisors(model: Model) -> None:
    app = make_app({"toy": model}, token=" hush \n")
    client = TestClient(app)
    for path in ("/v1/models", "/v1/toy", "/metrics", "/v1/nothing", "/nothing"):
        for header in ({}, {"Authorization": "Bearer hus"}, {"Authorization": "Basic hush"}):
            response = client.get(path, headers=header)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert message_of(response) == (
                "send the token of this service: Authorization: Bearer TOKEN"
            )
    assert client.post("/v1/toy/predict", json={"text": "a"}).status_code == 401
    for path in ("/health/live", "/health/ready", "/openapi.json"):
        assert client.get(path).status_code == 200
    known = {"Authorization": "bearer hush"}
    assert client.get("/v1/models", headers=known).status_code == 200
    assert client.get("/metrics", headers=known).status_code == 200
    assert client.post("/v1/toy/predict", json={"text": "a"}, headers=known).status_code == 200


def test_an_empty_token_is_no_token(model: Model) -> None:
    with pytest.raises(InputError) as caught:
        make_app({"toy": model}, token=" ")
    assert str(caught.value) == ("an empty token lets everybody in; leave it out, or give another")


def test_each_client_is_kept_to_its_rate(model: Model) -> None:
    app = make_app({"toy": model}, limits=Limits(rate=2.0))
    service_of(app).rates = Rates(2.0, clock=lambda: 0.0)
    client, other = TestClient(app), TestClient(app, client=("10.0.0.9", 1))
    assert [client.get("/v1/toy").status_code for _ in range(5)] == [200] * 4 + [429]
    response = client.get("/v1/toy")
    assert response.headers["retry-after"] == "1"
    assert message_of(response) == "more than 2 requests a second; try again in 0.5 s"
    assert other.get("/v1/toy").status_code == 200
    assert client.get("/health/live").status_code == 200


def test_more_requests_than_are_in_work_at_once_are_refused(model: Model) -> None:
    app = make_app({"toy": model}, limits=Limits(max_concurrency=1))
    client, service = TestClient(app), service_of(app)
    service.in_flight = 1
    response = client.get("/v1/toy")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert message_of(response) == "1 requests are in work; try again soon"
    service.in_flight = 0
    assert client.get("/v1/toy").status_code == 200
    assert service.in_flight == 0


def test_a_service_that_ends_takes_nothing_on_and_says_so(model: Model) -> None:
    app = make_app({"toy": model})
    client = TestClient(app)
    assert client.get("/health/ready").json() == {"status": "ready"}
    service_of(app).draining = True
    for path in ("/health/ready", "/v1/toy"):
        response = client.get(path)
        assert response.status_code == 503
        assert message_of(response) == "the service is ending"
    assert client.get("/v1/toy").headers["connection"] == "close"
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/metrics").status_code == 200


@pytest.fixture
def slow(toy_run: Path) -> Iterator[tuple[Model, threading.Event]]:
    """A model that answers once the event is set."""
    model, open_ = seqnlp.load(toy_run), threading.Event()
    usual: Callable[..., Any] = model.task.answer_texts

    def answer_texts(texts: list[str], *, batch_size: int) -> Any:
        assert open_.wait(10)
        return usual(texts, batch_size=batch_size)

    model.task.answer_texts = answer_texts  # type: ignore[method-assign, assignment]
    yield model, open_
    open_.set()


def test_a_request_without_an_answer_in_time(slow: tuple[Model, threading.Event]) -> None:
    client = TestClient(make_app({"slow": slow[0]}, limits=Limits(timeout=0.05)))
    response = client.post("/v1/slow/predict", json={"text": "a"})
    assert (response.status_code, response.headers["retry-after"]) == (504, "1")
    assert message_of(response) == "no answer within 0.05 s"


def test_a_full_queue(slow: tuple[Model, threading.Event]) -> None:
    app = make_app({"slow": slow[0]}, limits=Limits(max_queue=2, max_texts=2))
    service_of(app).dispatcher.waiting["slow"] = 1
    with TestClient(app) as client:
        # The first request of a loop finds what another loop has left; that is forgotten.
        slow[1].set()
        assert client.post("/v1/slow/predict", json={"text": "a"}).status_code == 200
        service_of(app).dispatcher.waiting["slow"] = 1
        response = client.post("/v1/slow/predict", json={"texts": ["a", "b"]})
    assert response.status_code == 503
    assert message_of(response) == "1 texts wait for the model 'slow'; try again soon"


def test_a_body_that_does_not_come(model: Model) -> None:
    app = make_app({"toy": model}, limits=Limits(timeout=0.05))
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(10)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/toy/predict", "headers": [],
             "query_string": b"", "http_version": "1.1", "root_path": ""}  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["error"]["message"] == (
        "the body has not come within 0.05 s"
    )


def test_a_client_that_goes_away_while_it_speaks_is_no_failure(model: Model) -> None:
    log, sent = io.StringIO(), []
    app = make_app({"toy": model}, log=log)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/toy/predict", "headers": [],
             "query_string": b"", "http_version": "1.1", "root_path": ""}  # fmt: skip
    asyncio.run(app(scope, receive, send))
    service_of(app).log.flush()
    (event,) = map(json.loads, log.getvalue().splitlines())
    assert (event["event"], event["status"]) == ("request", 499)


def test_every_answer_has_an_id(model: Model) -> None:
    client = TestClient(make_app({"toy": model}))
    own = client.get("/v1/toy", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"]
    assert own == "mine-1"
    made = {client.get("/nowhere").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert client.get("/v1/toy", headers={"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


def test_the_log_has_events_and_no_texts(toy_run: Path) -> None:
    log, model = io.StringIO(), seqnlp.load(toy_run)
    with TestClient(make_app({"toy": model}, log=log)) as client:
        client.post("/v1/toy/predict", json={"texts": [SECRET, "b"]}, headers={"X-Request-Id": "x"})
        client.post("/v1/toy/predict", json={"texts": [SECRET], SECRET: 1})
        client.get(f"/v1/{SECRET}")

        def fail(texts: list[str], *, batch_size: int) -> Any:
            raise RuntimeError(texts[0])

        model.task.answer_texts = fail  # type: ignore[method-assign, assignment]
        client.post("/v1/toy/predict", json={"text": SECRET}, headers={"X-Request-Id": "y"})
    assert SECRET not in log.getvalue()
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    requests = [event for event in events if event["event"] == "request"]
    assert [event["status"] for event in requests] == [200, 422, 404, 500]
    first = requests[0]
    assert first["ms"] >= 0
    assert {key: first[key] for key in ("id", "method", "route", "model", "texts")} == {
        "id": "x", "method": "POST", "route": "/v1/{model}/predict", "model": "toy", "texts": 2,
    }  # fmt: skip
    assert (requests[2]["route"], requests[2]["model"]) == ("other", "")
    (failure,) = (event for event in events if event["event"] == "failure")
    assert (failure["error"], failure["id"]) == ("RuntimeError", "y")
    assert failure["where"][-1].endswith(" fail")


def test_a_log_that_nobody_reads_is_no_reason_to_stop(model: Model) -> None:
    log = io.StringIO()
    with TestClient(make_app({"toy": model}, log=log)) as client:
        log.close()
        assert client.get("/v1/toy").status_code == 200


def test_figures_are_those_of_what_was_asked(model: Model) -> None:
    with TestClient(make_app({"toy": model})) as client:
        client.post("/v1/toy/predict", json={"texts": ["a", "b", "c"]})
        client.post("/v1/toy/predict", json={"text": "d"})
        client.get("/v1/none-such")
        client.get("/elsewhere")
        text = client.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    lines = text.text.splitlines()
    assert {
        'seqnlp_requests_total{model="toy",route="/v1/{model}/predict",status="200"} 2.0',
        'seqnlp_requests_total{model="",route="other",status="404"} 2.0',
        'seqnlp_request_seconds_count{model="toy",route="/v1/{model}/predict"} 2.0',
        'seqnlp_batch_texts_count{model="toy"} 2.0',
        'seqnlp_batch_texts_sum{model="toy"} 4.0',
        'seqnlp_waiting_texts{model="toy"} 0.0',
        "seqnlp_streams 0.0",
    } <= set(lines)
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_a_reader_of_the_log_who_is_slow_holds_up_no_answer(model: Model) -> None:
    begun, open_ = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            begun.set()
            assert open_.wait(10)
            return super().write(text)

    log = Slow()
    with TestClient(make_app({"toy": model}, log=log)) as client:
        events = service_of(client.app).log  # type: ignore[arg-type]
        events.write("first")
        assert begun.wait(10)
        for number in range(150):
            events.write("event", number=number)
        assert client.get("/v1/toy").status_code == 200
        open_.set()
        events.flush()
        events.write("last")
        events.flush()
    written = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [event["number"] for event in written if event["event"] == "event"] == list(range(100))
    lost = [event["events"] for event in written if event["event"] == "lost"]
    assert sum(lost) >= 50
    # Nothing is lost in silence: the first, 150, the request and the last.
    assert sum(lost) + len(written) - len(lost) == 153


def test_below_another_path_the_same_is_kept_to(model: Model) -> None:
    log = io.StringIO()
    app = make_app({"toy": model}, token="hush", limits=Limits(rate=0.5), log=log)
    client = TestClient(app, root_path="/nlp")
    known = {"Authorization": "Bearer hush"}
    assert client.get("/nlp/health/live").status_code == 200
    assert client.get("/nlp/").status_code == 200
    assert client.post("/nlp/v1/toy/predict", json={"text": "a"}).status_code == 401
    client = TestClient(app, root_path="/nlp", client=("other", 1))
    asked = {"json": {"text": "a"}, "headers": known}
    statuses = [client.post("/nlp/v1/toy/predict", **asked).status_code for _ in range(2)]  # type: ignore[arg-type]
    assert statuses == [200, 429]
    service = service_of(app)
    service.log.flush()
    assert [json.loads(line)["model"] for line in log.getvalue().splitlines()[-2:]] == [
        "toy",
        "toy",
    ]
