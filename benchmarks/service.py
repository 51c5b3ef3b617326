"""A service under load against the same model called one request at a time, on one core.

The service runs on one core, the clients on another. Three sides take turns, in each round: the
library, text after text, on the core of the service; one client that waits for each answer; and 64
clients that do. Beside the rates stand the seconds of the processor, which depend less on what
else the machine does. Then requests come at half of the peak rate, at random times (a Poisson
process), and latency is counted from the moment at which a request was due, so that a service that
falls behind cannot hide it.

    seqnlp train --recipe sst2 --set model.hidden_size=128 --output runs/sst2
    python benchmarks/service.py runs/sst2
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

Request = tuple[bytes, float]


class Connection(asyncio.Protocol):
    """One connection with a request on it at a time."""

    def __init__(self, done: Callable[[Connection, bytes], None]) -> None:
        self._done, self._data, self._size = done, b"", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes, due: float) -> None:
        """Send a request that was due at that time."""
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._size < 0 and (end := self._data.find(b"\r\n\r\n")) > 0:
            found = re.search(rb"content-length: (\d+)", self._data)
            assert found is not None
            self._size = end + 4 + int(found[1])
        if 0 <= self._size <= len(self._data):
            answer, self._data, self._size = self._data, b"", -1
            self._done(self, answer)


class Clients:
    """So many connections to a service, and the latencies of what they asked."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port, self._requests = port, cycle(requests)
        self.latencies: list[float] = []
        self._free: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._closed_loop, self._count = False, 0

    async def connect(self, count: int) -> None:
        """Open the connections."""
        self._count = count
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, made = await loop.create_connection(
                lambda: Connection(self._answered), "127.0.0.1", self._port
            )
            self._free.append(made)

    async def closed(self, seconds: float) -> float:
        """Each asks again as soon as it has its answer; requests a second."""
        self._closed_loop, begun = True, time.perf_counter()
        for connection in list(self._free):
            connection.ask(next(self._requests), time.perf_counter())
        self._free.clear()
        await asyncio.sleep(seconds)
        count, took = len(self.latencies), time.perf_counter() - begun
        self._closed_loop = False
        await self._settle()
        return count / took

    async def open(self, rate: float, seconds: float) -> None:
        """Requests are due at random times, `rate` a second."""
        draw = random.Random(0)
        due = begun = time.perf_counter()
        while due < begun + seconds:
            due += draw.expovariate(rate)
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if self._free:
                self._free.pop().ask(next(self._requests), due)
            else:
                self._waiting.append(due)
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(1000):
            if not self._waiting and len(self._free) == self._count:
                return
            await asyncio.sleep(0.01)
        raise SystemExit("some requests have had no answer")

    def _answered(self, connection: Connection, answer: bytes) -> None:
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not answered: {answer[:300]!r}")
        now = time.perf_counter()
        self.latencies.append(now - connection.due)
        if self._closed_loop:
            connection.ask(next(self._requests), now)
        elif self._waiting:
            connection.ask(next(self._requests), self._waiting.popleft())
        else:
            self._free.append(connection)


def request_of(name: str, text: str) -> bytes:
    """A request as it goes over the wire."""
    body = json.dumps({"text": text}).encode()
    return (
        f"POST /v1/{name}/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


async def load(
    port: int, requests: Sequence[bytes], count: int, seconds: float, rate: float | None = None
) -> tuple[float, list[float]]:
    """Requests a second and latencies in seconds, sorted."""
    clients = Clients(port, requests)
    await clients.connect(count)
    reached = 0.0
    if rate is None:
        reached = await clients.closed(seconds)
    else:
        await clients.open(rate, seconds)
        reached = len(clients.latencies) / seconds
    return reached, sorted(clients.latencies)


@contextmanager
def serving(folder: Path, core: int, words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """A service with the default settings on a core: its port and process."""
    with on_core(core):  # which a child inherits
        child = subprocess.Popen(
            [sys.executable, "-m", "seqnlp", "serve", f"model={folder}", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    assert child.stdout is not None
    try:
        found = re.match(r"http://127\.0\.0\.1:(\d+) ", child.stdout.readline())
        if found is None:
            raise SystemExit("the service has not started")
        yield int(found[1]), child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        if child.wait(60):
            raise SystemExit("the service has not ended well")


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Stay on one core for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    yield
    os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """What a process has had of the processor; Linux alone says so."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(latencies: Sequence[float], of: float) -> float:
    """A quantile in milliseconds."""
    return 1000 * latencies[min(len(latencies) - 1, int(of * len(latencies)))]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, nargs=2, default=[0, 1], help="of service and clients")
    parser.add_argument("--options", default="", help="of seqnlp serve: '--quantize int8'")
    parser.add_argument("--check", action="store_true", help="status 1 below the targets")
    arguments = parser.parse_args()
    server, client = arguments.cores
    import torch

    import seqnlp

    torch.set_num_threads(1)
    model = seqnlp.load(arguments.model)
    texts = list(model.corpus().split("test").column("text"))
    requests = [request_of("model", text) for text in texts]
    for text in texts[:100]:
        model(text)

    def library(seconds: float) -> tuple[float, float]:
        begun, cpu, count = time.perf_counter(), time.process_time(), 0
        for text in cycle(texts):
            model(text)
            count += 1
            if time.perf_counter() - begun > seconds:
                break
        return count / (time.perf_counter() - begun), (time.process_time() - cpu) / count

    sides: list[list[tuple[float, float]]] = [[], [], []]
    with serving(arguments.model, server, arguments.options.split()) as (port, pid):
        with on_core(client):
            asyncio.run(load(port, requests, arguments.clients, 1.0))
        for _ in range(arguments.rounds):
            with on_core(server):
                sides[0].append(library(arguments.seconds))
            with on_core(client):
                for side, count in ((1, 1), (2, arguments.clients)):
                    before = cpu_seconds(pid)
                    rate, latencies = asyncio.run(load(port, requests, count, arguments.seconds))
                    sides[side].append((rate, (cpu_seconds(pid) - before) / len(latencies)))
        call, one, peak = (statistics.median(rate for rate, _ in side) for side in sides)
        with on_core(client):
            reached, latencies = asyncio.run(
                load(port, requests, arguments.clients, 2 * arguments.seconds, peak / 2)
            )
    names = "library, one by one", "service, one client", f"service, {arguments.clients} clients"
    print("| side | requests a second | of the library | of one client | ms of the processor |")
    print("|---|---:|---:|---:|---:|")
    for name, rate, measured in zip(names, (call, one, peak), sides, strict=True):
        spent = 1000 * statistics.median(seconds for _, seconds in measured)
        print(f"| {name} | {rate:,.0f} | {rate / call:.2f} | {rate / one:.2f} | {spent:.2f} |")
    tail = share(latencies, 0.99)
    print(
        f"\nAt half of the peak ({reached:,.0f} a second): median {share(latencies, 0.5):.1f} ms, "
        f"99 % within {tail:.1f} ms."
    )
    if arguments.check and (peak < 3 * one or tail > 50):
        sys.exit("below the targets: 3 times the requests of one client, 99 % within 50 ms")


if __name__ == "__main__":
    main()
