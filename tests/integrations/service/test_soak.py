"""Five minutes of everything that a service does, at once: nothing fails, and memory stays.

SEQNLP_SOAK_SECONDS=3600 makes an hour of it.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integrations.service.browsing import Running, served

SECONDS = float(os.environ.get("SEQNLP_SOAK_SECONDS", "300"))
WARM = 0.2
"""The share of the time after which memory has been taken that is kept."""
TEXTS = (
    "The film was dull and then great .",
    "Der Hund will den Ball sehen.",
    "Eine Frau kann die Blume malen.",
    "",
    "A word " * 40,
)


@dataclass
class Load:
    """Clients in threads. done: how many requests of each kind. failed: what was not expected."""

    running: Running
    until: float
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def client(self, kind: Callable[[Load, random.Random], None], seed: int) -> threading.Thread:
        """A thread that asks in one way until the time is over."""

        def ask() -> None:
            draw = random.Random(seed)
            while time.monotonic() < self.until and len(self.failed) < 10:
                try:
                    kind(self, draw)
                    self.done[kind.__name__] += 1
                except Exception as error:
                    self.failed.append(f"{kind.__name__}: {error!r}")

        return threading.Thread(target=ask)

    def ask(self, path: str, value: Any = None, *, expected: int = 200) -> bytes:
        """The body of an answer, over a connection of its own."""
        link = http.client.HTTPConnection(urlsplit(self.running.address).netloc, timeout=60)
        try:
            body = None if value is None else json.dumps(value).encode()
            link.request("GET" if value is None else "POST", path, body)
            answer = link.getresponse()
            found = answer.read()
            assert answer.status == expected, (path, answer.status, found[:200])
            return found
        finally:
            link.close()


def labels(load: Load, draw: random.Random) -> None:
    texts = draw.choices(TEXTS, k=draw.randint(1, 20))
    answers = json.loads(load.ask("/v1/toy/predict", {"texts": texts}))["answers"]
    assert [each["text"] for each in answers] == texts
    assert all(abs(sum(each["probabilities"].values()) - 1) < 1e-5 for each in answers)


def translations(load: Load, draw: random.Random) -> None:
    options = {"beam": draw.randint(1, 4), "max_length": draw.randint(5, 40)}
    asked = {"text": draw.choice(TEXTS), "options": options, "explain": draw.random() < 0.5}
    load.ask("/v1/de-en/predict", asked)


def streams(load: Load, draw: random.Random) -> None:
    body = load.ask("/v1/de-en/stream", {"text": draw.choice(TEXTS)}).decode()
    assert body.rstrip().split("\n\n")[-1].startswith("event: answer\n"), body[-200:]


def leavers(load: Load, draw: random.Random) -> None:
    """Ask for a long answer and go away in the middle of it."""
    link = http.client.HTTPConnection(urlsplit(load.running.address).netloc, timeout=60)
    asked = {"text": TEXTS[1], "options": {"min_length": 300, "max_length": 300}}
    link.request("POST", "/v1/de-en/stream", json.dumps(asked).encode())
    answer = link.getresponse()
    assert answer.status == 200
    answer.read(draw.randint(1, 2000))
    link.close()
    time.sleep(draw.random())


def mistakes(load: Load, draw: random.Random) -> None:
    path, status = draw.choice([("toy", 422), ("nobody", 404)])
    load.ask(f"/v1/{path}/predict", {"no": draw.random()}, expected=status)
    load.ask("/v1/toy/predict", {"text": "a" * 60_000}, expected=413)
    time.sleep(0.05)


def looks(load: Load, draw: random.Random) -> None:
    for path in ("/", "/metrics", "/health/ready", "/v1/models", "/openapi.json"):
        load.ask(path)
    time.sleep(0.5)


def reloads(load: Load, draw: random.Random) -> None:
    load.ask(f"/v1/{draw.choice(['toy', 'de-en'])}/reload", {})
    if draw.random() < 0.3:
        os.kill(load.running.pid, signal.SIGHUP)
    time.sleep(2)


KINDS = (labels, labels, translations, translations, streams, leavers, mistakes, looks, reloads)


def memory(pid: int) -> int:
    """Bytes that a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_mixed_load(pairs_run: Path, toy_run: Path, tmp_path: Path) -> None:
    with served(tmp_path, toy_run, pairs_run) as running:
        begun = time.monotonic()
        load = Load(running=running, until=begun + SECONDS)
        clients = [load.client(kind, seed) for seed, kind in enumerate(KINDS)]
        for client in clients:
            client.start()
        sizes: list[int] = []
        while any(client.is_alive() for client in clients):
            time.sleep(SECONDS / 300)
            if time.monotonic() > begun + WARM * SECONDS:
                sizes.append(memory(running.pid))
        for client in clients:
            client.join()
        metrics = load.ask("/metrics").decode()
    tenth = len(sizes) // 10
    first, last = sorted(sizes[:tenth])[tenth // 2], sorted(sizes[-tenth:])[tenth // 2]
    growth = last / first - 1
    print(
        f"{load.done.total()} requests, {dict(load.done)}, {len(load.failed)} errors; "
        f"memory {first / 2**20:.1f} to {last / 2**20:.1f} MiB, {growth:+.2%}"
    )
    assert not load.failed
    assert all(load.done[kind.__name__] for kind in KINDS)
    assert 'status="5' not in metrics
    assert "seqnlp_streams 0.0" in metrics
    assert growth < 0.02
