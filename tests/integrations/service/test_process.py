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
