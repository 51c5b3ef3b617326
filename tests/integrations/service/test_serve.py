"""`seqnlp serve`: its messages, its port, its signals."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

import seqnlp
from seqnlp.integrations.service.server import address_of, bind
from tests.cli.calling import call

TEXT = "The film was dull and then great ."


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_what_cannot_be_served_is_said_in_one_line(
    toy_run: Path, tmp_path: Path, taken: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: object) -> str:
        status, out, err = call(capfd, "serve", *words)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
        return err.removeprefix("error: ").rstrip()

    assert refused(toy_run, "--port", taken) == (
        f"cannot listen on 127.0.0.1:{taken}: Address already in use; --port 0 takes a free one"
    )
    assert refused(toy_run, "--host", "no.such.host.invalid").startswith(
        "--host no.such.host.invalid: no address of this machine: "
    )
    assert refused(toy_run, "--host", "203.0.113.7", "--port", 0) == (
        "cannot listen on 203.0.113.7:0: Cannot assign requested address"
    )
    missing = tmp_path / "none"
    assert refused(missing, "--port", 0).startswith(f"{missing}")
    assert refused(toy_run, toy_run, "--port", 0) == (
        f"{toy_run}: the model 'toy' is there already, from {toy_run}; NAME={toy_run} gives it "
        "another name"
    )
    assert refused(f"models={toy_run}", "--port", 0) == (
        "'models' is the list of all; NAME=FOLDER gives a model another name"
    )
    log = tmp_path / "none" / "log"
    assert refused(toy_run, "--log", log) == f"cannot write {log}: No such file or directory"
    assert refused(toy_run, "--max-texts", 0) == "max_texts: must be at least 1, not 0"
    assert refused(toy_run, "--token", "", "--port", 0) == (
        "an empty token lets everybody in; leave it out, or give another"
    )
    assert refused("--port", 0) == "Missing argument 'MODELS...'; see seqnlp serve --help"


@pytest.mark.parametrize("package", ["fastapi", "prometheus_client", "uvicorn"])
def test_what_is_not_installed_is_named(
    toy_run: Path, package: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import seqnlp.integrations.service as service

    usual = service.find_spec
    monkeypatch.setattr(service, "find_spec", lambda name: None if name == package else usual(name))
    status, _, err = call(capfd, "serve", toy_run)
    name = package.replace("_", "-")
    assert status == 2
    assert err == f"error: the service needs the package {name}; pip install 'seqnlp[serve]'\n"


def test_addresses() -> None:
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening) == f"http://127.0.0.1:{port}"
    with bind("127.0.0.1", port) as listening:  # nobody waits for an old connection to be forgotten
        assert listening.getsockname()[1] == port


@contextmanager
def serving(*words: object, code: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service in a process of its own, and where it is reached; it must be ended."""
    script = f"{code}\nfrom seqnlp.cli.main import main\nmain()"
    child = subprocess.Popen(
        [sys.executable, "-c", script, "serve", *map(str, words), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "SEQNLP_TOKEN": "hush"},
    )
    assert child.stdout is not None
    try:
        line = child.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+) answers with .*; Ctrl-C ends it\n", line)
        assert found is not None, child.stderr and child.stderr.read()
        yield child, found[1]
    finally:
        child.kill()
        child.communicate()


class NotAnsweredError(OSError):
    """args: the status."""


def ask(address: str, path: str, value: object = None) -> Any:
    known = {"Authorization": "Bearer hush"}
    with closing(HTTPConnection(address.removeprefix("http://"), timeout=60)) as connection:
        if value is None:
            connection.request("GET", path, headers=known)
        else:
            connection.request("POST", path, json.dumps(value), headers=known)
        response = connection.getresponse()
        body = response.read()
    if response.status != 200:
        raise NotAnsweredError(response.status)
    return json.loads(body)


def ended(child: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and events."""
    _, err = child.communicate(timeout=60)
    return child.returncode, [json.loads(line) for line in err.splitlines()]


SLOW = """
import time
from seqnlp.tasks.sentiment import SentimentTask
usual = SentimentTask.answer_texts
def answer_texts(self, texts, *, batch_size):
    if texts == ["slow"]:
        time.sleep(SECONDS)
    return usual(self, texts, batch_size=batch_size)
SentimentTask.answer_texts = answer_texts
"""


def in_work(address: str, value: object) -> tuple[threading.Thread, list[Any]]:
    """A request that has been taken on and not answered, and its answer to come."""
    answers: list[Any] = []

    def work() -> None:
        try:
            answers.append(ask(address, "/v1/toy/predict", value))
        except (OSError, HTTPException) as error:
            answers.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    return thread, answers


def test_sigterm_ends_it_when_what_was_asked_is_answered(toy_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_run, tmp_path / "toy"))
    with serving(folder, code=SLOW.replace("SECONDS", "2")) as (child, address):
        known = seqnlp.load(toy_run)(TEXT)
        (answer,) = ask(address, "/v1/toy/predict", {"text": TEXT})["answers"]
        assert answer["label"] == known.output
        assert answer["probabilities"] == pytest.approx(known.probabilities, abs=1e-6)
        child.send_signal(signal.SIGHUP)
        thread, answers = in_work(address, {"text": "slow"})
        child.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(NotAnsweredError, match="^503$"):
            ask(address, "/health/ready")
        thread.join()
        assert answers[0]["answers"][0]["text"] == "slow"
        status, events = ended(child)
    assert status == 0
    names = [event["event"] for event in events]
    assert names[0] == "ready"
    assert names[-1] == "stopped"
    assert {"reload", "draining", "request"} <= set(names)
    assert events[0]["models"] == ["toy"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_takes_longer_than_it_may_is_broken_off(toy_run: Path, number: int) -> None:
    slow = SLOW.replace("SECONDS", "600")
    with serving(toy_run, "--drain", 0.5, code=slow) as (child, address):
        thread, _ = in_work(address, {"text": "slow"})
        child.send_signal(number)
        _, err = child.communicate(timeout=120)
        thread.join()
    assert child.returncode == 128 + number
    assert err.splitlines()[-1] == "error: 1 requests had no answer within 0.5 s"


@pytest.mark.slow
def test_ctrl_c_ends_it_in_words_and_a_second_one_at_once(toy_run: Path) -> None:
    with serving(toy_run) as (child, _):
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err.splitlines()[-1]) == (130, "error: interrupted")
    with serving(toy_run, code=SLOW.replace("SECONDS", "600")) as (child, address):
        thread, answers = in_work(address, {"text": "slow"})
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=120)  # and not the ten minutes of the answer
        thread.join()
    assert child.returncode == 130
    assert isinstance(answers[0], OSError | HTTPException)


@pytest.mark.slow
def test_no_request_is_lost_while_models_are_loaded_again(toy_run: Path) -> None:
    with serving(toy_run) as (child, address):
        wrong: list[Any] = []
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set() and not wrong:
                try:
                    (answer,) = ask(address, "/v1/toy/predict", {"text": TEXT})["answers"]
                    if answer["label"] != "positive":
                        wrong.append(answer)
                except (OSError, HTTPException) as error:
                    wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                ask(address, "/v1/toy/reload", {})
                child.send_signal(signal.SIGHUP)
                time.sleep(0.1)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        child.send_signal(signal.SIGTERM)
        status, events = ended(child)
    assert (status, wrong) == (0, [])
    reloads = [event["done"] for event in events if event["event"] == "reload"]
    assert len(reloads) >= 15
    assert all(reloads)


@pytest.mark.slow
def test_bytes_that_are_no_http_harm_nobody(toy_run: Path) -> None:
    generator = random.Random(0)
    with serving(toy_run) as (child, address):
        port = int(address.rpartition(":")[2])
        for number in range(300):
            junk = generator.randbytes(generator.randrange(1, 400))
            if number % 3 == 0:
                junk = b"POST /v1/toy/predict HTTP/1.1\r\nContent-Length: 99\r\n\r\n" + junk[:50]
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(junk)
        assert ask(address, "/health/ready") == {"status": "ready"}
        (answer,) = ask(address, "/v1/toy/predict", {"text": TEXT})["answers"]
        assert answer["label"] == "positive"
        child.send_signal(signal.SIGTERM)
        status, events = ended(child)
    assert status == 0
    assert not [event for event in events if event["event"] == "failure"]
