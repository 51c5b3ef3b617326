"""What a service makes of requests that nobody would write: an answer, or a line that says why not.

10,000 of them: from the document by schemathesis, broken bodies and options, and bare bytes. None
gives a status from 500 on, takes long, or leaves a trace of a failure in the log (see `served`).
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import seqnlp
from seqnlp.integrations.service import make_app
from tests.integrations.service.browsing import Running, served
from tests.integrations.service.test_streaming import post

DOCUMENTED, ELSEWHERE, BODIES, BYTES = 750, 100, 3200, 500
SECONDS = 20
TEXTS = (
    "A fine film .",
    "Der Hund will den Ball sehen.",
    "",
    " \t",
    "\u0000\ud7ff\U0010ffff",
    "a" * 3000,
)
SMALL: dict[str, Any] = {"max_length": 5}


def _many(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def _small(value: dict[str, Any]) -> dict[str, Any]:
    """A request whose answer is short."""
    return value | {"options": SMALL | value.get("options", {})}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
option_values = st.dictionaries(
    st.sampled_from(
        ["beam", "n_best", "length_penalty", "coverage_penalty", "length_prior", "min_length",
         "max_words", "no_repeat_ngram", "sample", "temperature", "top_k", "top_p", "seed", "mbr",
         "prefix", "constraints", "sentences", "max_ratio", "neighbors", "beams"]
    ),
    st.one_of(
        st.integers(-2, 6), st.floats(0, 3), st.booleans(), st.sampled_from(TEXTS[:4]),
        st.lists(st.sampled_from(TEXTS[:4]), max_size=3), json_values,
    ),
    max_size=4,
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=200),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"text": st.text(max_size=60) | st.sampled_from(TEXTS)},
        optional={"options": option_values, "explain": st.booleans() | json_values},
    ).map(lambda value: json.dumps(_small(value)).encode()),
    st.fixed_dictionaries(
        {"texts": st.lists(st.text(max_size=20), max_size=5) | json_values},
        optional={"text": json_values, "more": json_values},
    ).map(lambda value: json.dumps(value).encode()),
    st.integers(1, 5000).map(lambda depth: b"[" * depth + b"]" * depth),
    st.integers(1, 2000).map(lambda depth: b'{"text": ' * depth + b'""' + b"}" * depth),
    st.sampled_from([
        b'{"text": "\\ud800"}', b'{"text": "\\udfff\\ud800"}', b'{"text": "a", "text": 3}',
        b'{"text": NaN}', b'{"text": 1e999999}', b'\xef\xbb\xbf{"text": "a"}',
        b'{"text": "' + b"\xff\xfe" + b'"}', b'{"text": "a"', b"", b"null", b'{"texts": [[]]}',
        b'{"text": "' + b"a" * (1 << 20) + b'"}', "{\"text\": \"a\"}".encode("utf-16"),
    ]),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _subnormal(pairs_run: Path, toy_run: Path) -> None:
    """Numbers of all sizes are drawn, the smallest too, which a training has flushed to 0."""
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def running(
    pairs_run: Path, toy_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("serve")
    with served(folder, toy_run, pairs_run, "--max-chars", "5000") as found:
        yield found


def healthy(running: Running) -> None:
    """It answers as ever."""
    link = http.client.HTTPConnection(urlsplit(running.address).netloc, timeout=SECONDS)
    link.request("POST", "/v1/de-en/predict", json.dumps({"text": TEXTS[1]}).encode())
    answer = json.loads(link.getresponse().read())["answers"][0]
    assert answer["output"] == "The dog wants to see the ball."
    link.close()


def check(status: int, body: bytes, kind: str) -> None:
    """An answer, or one line that says why there is none."""
    assert 200 <= status < 500, body
    if status >= 400:
        error = json.loads(body)["error"]
        assert error["status"] == status
        assert error["message"]
        assert "\n" not in error["message"]
    elif kind.startswith("text/event-stream"):
        name, data = body.decode().removesuffix("\n\n").split("\n\n")[-1].split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == "event: answer" or value["error"]["status"] == 422
    else:
        json.loads(body)


def documented(running: Running, wanted: Callable[[str], bool]) -> Iterator[Any]:
    """The operations of the document whose paths are wanted."""
    import schemathesis

    document: Any = schemathesis.openapi.from_url(f"{running.address}/openapi.json")
    for found in document.get_all_operations():
        operation = found.ok()
        if wanted(operation.full_path):
            yield operation


def hammer(running: Running, cases: Any, count: int) -> int:
    """Send so many cases, each of which must be answered as the document says."""
    import requests
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    wanted = [
        not_a_server_error,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.status_code_conformance,
    ]
    sent = 0

    @_many(count)
    @given(case=cases)
    def ask(case: Any) -> None:
        nonlocal sent
        sent += 1
        response = case.call(base_url=running.address, session=session, timeout=SECONDS)
        case.validate_response(response, checks=wanted)

    with requests.Session() as session:
        ask()
    return sent


@pytest.mark.slow
@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("verb", ["predict", "stream"])
@pytest.mark.parametrize("model", ["toy", "de-en"])
def test_what_the_document_allows_and_what_it_does_not(
    running: Running, model: str, verb: str, valid: bool
) -> None:
    from schemathesis.generation import GenerationMode

    mode = GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE
    [operation] = documented(running, lambda path: path == f"/v1/{{model}}/{verb}")
    cases = operation.as_strategy(generation_mode=mode, path_parameters={"model": model})
    assert hammer(running, cases, DOCUMENTED) >= DOCUMENTED
    healthy(running)


@pytest.mark.slow
def test_every_path_of_the_document(running: Running) -> None:
    for operation in documented(running, lambda path: True):
        # Where nothing can be chosen there is but one case.
        several = "{" in operation.full_path
        assert hammer(running, operation.as_strategy(), ELSEWHERE if several else 1)
    healthy(running)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["toy/predict", "toy/stream", "de-en/predict", "de-en/stream"])
def test_bodies_of_any_kind(running: Running, path: str) -> None:
    link = http.client.HTTPConnection(urlsplit(running.address).netloc, timeout=SECONDS)
    kinds = st.sampled_from(["application/json", "text/plain", "multipart/form-data", "\u00e9/*"])

    @_many(BODIES // 4)
    @given(body=bodies, kind=kinds)
    def ask(body: bytes, kind: str) -> None:
        try:
            link.request("POST", f"/v1/{path}", body, {"Content-Type": kind})
            answer = link.getresponse()
        except (BrokenPipeError, ConnectionError, http.client.RemoteDisconnected):
            # A body that is far too long is refused before it has come.
            assert len(body) > 1 << 20
            link.close()
            return
        check(answer.status, answer.read(), answer.headers["Content-Type"])

    ask()
    link.close()
    healthy(running)


@pytest.mark.slow
def test_bytes_that_are_no_requests(running: Running) -> None:
    host, port = urlsplit(running.address).netloc.split(":")
    heads = st.sampled_from([
        b"POST /v1/toy/predict HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n",
        b"POST /v1/toy/stream HTTP/1.0\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/toy/predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /v1/" + b"%00" * 50 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"",
    ])  # fmt: skip

    @_many(BYTES)
    @given(head=heads, rest=st.binary(max_size=300))
    def send(head: bytes, rest: bytes) -> None:
        with socket.create_connection((host, int(port)), timeout=SECONDS) as link:
            link.sendall(head + rest)
            link.shutdown(socket.SHUT_WR)
            try:
                while chunk := link.recv(65536):
                    assert not chunk.startswith(b"HTTP/1.1 5")
            except ConnectionError:
                return

    send()
    healthy(running)


def test_some_broken_bodies(toy_run: Path) -> None:
    """A few of the many, without a server between."""
    app = make_app({"toy": seqnlp.load(toy_run)})

    @_many(150)
    @given(value=json_values, path=st.sampled_from(["predict", "stream"]))
    def ask(value: Any, path: str) -> None:
        found = asyncio.run(post(app, f"/v1/toy/{path}", value))
        check(found.status, found.body, found.headers["content-type"])

    ask()
    app.state.service.dispatcher.close()
