import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from seqnlp import registry
from seqnlp.errors import InputError, SeqnlpError
from seqnlp.text import (
    BPETokenizer,
    NltkTokenizer,
    RegexTokenizer,
    Tokenizer,
    TokenPipeline,
    parallel,
    tokenize_all,
)

TEXTS = [f"Text {i}, isn't it?\n café \ud83d " * (i % 7) for i in range(200)]
PIPELINE = TokenPipeline(normalizers=("lowercase",), tokenizer=RegexTokenizer())


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_CHUNK_TEXTS", 7)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[parallel.Worker]:
    """The processes that a test starts."""
    processes: list[parallel.Worker] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> parallel.Worker:
        processes.append(popen(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return processes


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    "tokenizer", [RegexTokenizer(), BPETokenizer(size=300), NltkTokenizer("toktok")]
)
def test_parallel_is_serial(tokenizer: Tokenizer, started: list[parallel.Worker]) -> None:
    pipeline = TokenPipeline(normalizers=("lowercase",), tokenizer=tokenizer)
    pipeline = pipeline.with_trained_tokenizer(TEXTS)
    serial = list(map(pipeline.tokens, TEXTS))
    assert list(tokenize_all(pipeline, iter(TEXTS), workers=1)) == serial
    assert not started
    assert list(tokenize_all(pipeline, iter(TEXTS), workers=2)) == serial
    assert len(started) == 2
    assert all(worker.poll() is not None for worker in started)


def test_small_inputs_start_no_process(started: list[parallel.Worker]) -> None:
    serial = list(map(PIPELINE.tokens, TEXTS))
    assert list(tokenize_all(PIPELINE, TEXTS, workers=3)) == serial
    assert list(tokenize_all(PIPELINE, TEXTS)) == serial
    assert list(tokenize_all(PIPELINE, [], workers=3)) == []
    assert not started


@pytest.mark.usefixtures("small_chunks")
def test_by_default_slow_work_is_shared(
    started: list[parallel.Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    monkeypatch.setattr(parallel, "_WORTHWHILE", 1e-9)
    assert list(tokenize_all(PIPELINE, TEXTS)) == list(map(PIPELINE.tokens, TEXTS))
    assert len(started) == 2


@pytest.mark.usefixtures("small_chunks")
def test_texts_are_read_as_tokens_are_asked_for(started: list[parallel.Worker]) -> None:
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        for text in TEXTS:
            read += 1
            yield text

    tokens = tokenize_all(PIPELINE, texts(), workers=2)
    assert read == 0
    next(tokens)
    assert read <= 4 * 7
    tokens.close()  # type: ignore[attr-defined]
    assert all(worker.poll() is not None for worker in started)


@pytest.mark.usefixtures("small_chunks")
def test_an_interrupt_ends_the_processes(started: list[parallel.Worker]) -> None:
    def texts() -> Iterator[str]:
        for number, text in enumerate(TEXTS):
            if number == 50:
                os.kill(os.getpid(), signal.SIGINT)
            yield text

    with pytest.raises(KeyboardInterrupt):
        list(tokenize_all(PIPELINE, texts(), workers=2))
    assert len(started) == 2
    assert all(worker.poll() is not None for worker in started)


@pytest.mark.usefixtures("small_chunks")
def test_a_worker_that_dies_is_an_error(started: list[parallel.Worker]) -> None:
    def texts() -> Iterator[str]:
        for number, text in enumerate(TEXTS):
            if number == 50:
                for worker in started:
                    worker.kill()
                    worker.wait()
            yield text

    message = "a tokenizing process ended early with status -9; try again with one worker"
    with pytest.raises(SeqnlpError, match=message):
        list(tokenize_all(PIPELINE, texts(), workers=2))


@pytest.mark.usefixtures("small_chunks", "started")
def test_an_error_in_a_worker_is_the_error_itself() -> None:
    untrained = TokenPipeline(tokenizer=BPETokenizer(size=300))
    with pytest.raises(InputError, match="the bpe tokenizer is not trained yet"):
        list(tokenize_all(untrained, TEXTS, workers=2))


@pytest.mark.usefixtures("small_chunks")
def test_parts_of_this_process_work_here(
    started: list[parallel.Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.normalizers, "_local", {"reverse": lambda text: text[::-1]})
    pipeline = TokenPipeline(normalizers=("reverse",), tokenizer=RegexTokenizer())
    expected = [RegexTokenizer().tokenize(text[::-1]) for text in TEXTS]
    assert list(tokenize_all(pipeline, TEXTS, workers=2)) == expected
    assert not started


def test_bad_workers() -> None:
    with pytest.raises(InputError, match="workers = 0: expected 1 or more"):
        tokenize_all(PIPELINE, TEXTS, workers=0)
