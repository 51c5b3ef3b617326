"""`seqnlp serve` as a process: bytes that no client library would send, and a hard end."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.integrations.service.test_serve import SLOW, in_work, serving


@pytest.mark.slow
def test_a_thread_that_computes_does_not_abort_the_process(toy_run: Path) -> None:
    busy = SLOW.replace(
        "time.sleep(SECONDS)", "import torch; a = torch.ones(500, 500)\n        while True: a @ a"
    )
    with serving(toy_run, "--drain", 0.5, code=busy) as (child, address):
        thread, _ = in_work(address, {"text": "slow"})
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=120)
        thread.join()
    assert child.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == "error: 1 requests had no answer within 0.5 s"


def received(address: str, *pieces: bytes) -> bytes:
    """What comes back until the service hangs up."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(0.2)  # or the service reads them as one
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.slow
def test_a_head_without_an_end_is_refused(toy_run: Path) -> None:
    with serving(toy_run) as (_, address):
        for begin, more in ((b"GET / HTTP/1.1\r\n", b"X-Much: 1\r\n"), (b"GET /", b"much")):
            said = received(address, begin, more * (70_000 // len(more)))
            assert said.startswith(b"HTTP/1.1 431 ")
            assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "head_too_large"
        said = received(address, b"no HTTP\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 400 ")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "no_http"
        # Neither a long body nor what comes behind it counts.
        body = b'{"text": "' + b" " * 40_000 + b'"}'
        head = b"POST /v1/toy/predict HTTP/1.1\r\nAuthorization: Bearer hush\r\n"
        ask_ = head + b"Content-Length: %d\r\n" % len(body)
        last = b"Connection: close\r\n\r\n" + body
        said = received(address, (ask_ + b"\r\n" + body) * 9 + ask_ + last)
        assert said.count(b"HTTP/1.1 200 ") == 10


@pytest.mark.slow
def test_who_reads_slowly_has_all_of_an_answer_before_the_end(toy_run: Path) -> None:
    limits = ("--max-body", 20_000_000, "--max-chars", 20_000_000, "--drain", 30)
    body = json.dumps({"text": " " * 16_000_000}).encode()
    head = b"POST /v1/toy/predict HTTP/1.1\r\nAuthorization: Bearer hush\r\n"
    with serving(toy_run, *limits) as (child, address), socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        host, port = address.removeprefix("http://").split(":")
        client.connect((host, int(port)))
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        said = client.recv(100)
        child.send_signal(signal.SIGTERM)
        time.sleep(3)
        said += b"".join(iter(lambda: client.recv(1 << 20), b""))
        assert child.wait(30) == 0
    assert json.loads(said.partition(b"\r\n\r\n")[2])["answers"][0]["text"].isspace()
