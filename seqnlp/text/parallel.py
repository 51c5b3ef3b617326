"""Tokenizing a whole corpus, on several cores where that pays.

The workers are plain child processes that speak JSON over pipes: nothing is pickled, a caller's
script needs no `if __name__ == "__main__"`, and an interrupt reaches the caller alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from time import perf_counter

from seqnlp import registry
from seqnlp.errors import InputError, SeqnlpError
from seqnlp.text.pipeline import TokenPipeline

_CHUNK_CHARACTERS = 200_000
_CHUNK_TEXTS = 5_000
_LOOKAHEAD = 150  # chunks: a tokenizer that is through these sooner needs no help
_WORTHWHILE = 8.0  # seconds of work that is left: a worker that imports spaCy starts in three

Worker = subprocess.Popen[str]


def tokenize_all(
    pipeline: TokenPipeline, texts: Iterable[str], *, workers: int | None = None
) -> Iterator[list[str]]:
    """Yield the tokens of each text, in order; some 30 million characters are in memory at most.

    Args:
        pipeline: its normalizers and tokenizer are used.
        texts: read as tokens are asked for.
        workers: processes; 1 works in this one. By default as many as there are cores, once the
            first texts have shown that the rest will take some seconds.

    Raises:
        InputError: `workers` is less than 1.
        SeqnlpError: a worker process ended early.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers = {workers}: expected 1 or more")
    return _tokenize(pipeline, _chunks(texts), workers)


def _tokenize(
    pipeline: TokenPipeline, chunks: Iterator[list[str]], workers: int | None
) -> Iterator[list[str]]:
    count = 1
    if workers != 1 and _reaches_workers(pipeline):
        count = _cores() if workers is None else workers
    if count > 1 and workers is None:
        first = next(chunks, [])
        started = perf_counter()
        yield from [pipeline.tokens(text) for text in first]
        pace = (perf_counter() - started) / max(1, sum(map(len, first)))
        ahead: list[list[str]] = []
        left = 0.0
        while left < _WORTHWHILE and len(ahead) < _LOOKAHEAD and (chunk := next(chunks, None)):
            ahead.append(chunk)
            left += pace * sum(map(len, chunk))
        count = count if left >= _WORTHWHILE else 1
        chunks = chain(ahead, chunks)
    shares = list(islice(chunks, count))
    chunks = chain(shares, chunks)
    if len(shares) > 1:
        yield from _distribute(pipeline, chunks, len(shares))
    else:
        for chunk in chunks:
            yield from map(pipeline.tokens, chunk)


def _distribute(
    pipeline: TokenPipeline, chunks: Iterator[list[str]], count: int
) -> Iterator[list[str]]:
    """One chunk at each worker, answered in turn.

    A worker gets its next chunk only when its answer is read, so that neither side ever waits at
    a full pipe for the other.
    """
    with _workers(pipeline, count) as idle:
        busy: deque[tuple[Worker, list[str]]] = deque()
        for worker, chunk in zip(idle, chunks, strict=False):
            _send(worker, chunk)
            busy.append((worker, chunk))
        while busy:
            worker, chunk = busy.popleft()
            answer = _receive(worker)
            if (following := next(chunks, None)) is not None:
                _send(worker, following)
                busy.append((worker, following))
            tokens = json.loads(answer)
            yield from map(pipeline.tokens, chunk) if tokens is None else tokens


@contextmanager
def _workers(pipeline: TokenPipeline, count: int) -> Iterator[list[Worker]]:
    setup = {
        "normalizers": pipeline.normalizers,
        "tokenizer": pipeline.tokenizer.family,
        "state": pipeline.tokenizer.state(),
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    workers: list[Worker] = []
    try:
        for _ in range(count):
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "seqnlp.text.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    encoding="ascii",
                    env=environment,
                    start_new_session=True,  # a Ctrl-C at the terminal is for the caller
                )
            )
        for worker in workers:
            _send(worker, setup)
        yield workers
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.communicate()


def _send(worker: Worker, value: object) -> None:
    assert worker.stdin is not None
    try:
        worker.stdin.write(json.dumps(value) + "\n")
        worker.stdin.flush()
    except BrokenPipeError:
        raise _ended(worker) from None


def _receive(worker: Worker) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line.endswith("\n"):
        raise _ended(worker)
    return line


def _ended(worker: Worker) -> SeqnlpError:
    status = worker.wait()
    return SeqnlpError(
        f"a tokenizing process ended early with status {status}; try again with one worker"
    )


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if characters >= _CHUNK_CHARACTERS or len(chunk) >= _CHUNK_TEXTS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _reaches_workers(pipeline: TokenPipeline) -> bool:
    """Whether another process finds the same parts: those of this process alone it cannot."""
    here = "this process"
    tokenizers, normalizers = registry.tokenizers.names(), registry.normalizers.names()
    owners = [tokenizers.get(pipeline.tokenizer.family, here)]
    owners += [normalizers.get(name, here) for name in pipeline.normalizers]
    return bool(sys.executable) and here not in owners


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
