"""One model that several threads ask at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from seqnlp.bundle import Model, load

RUNS = ["toy_run", "pairs_run", "reports_run"]
THREADS, BATCH, MOST = 4, 5, 20


@pytest.fixture(autouse=True)
def _restless() -> Iterator[None]:
    """Threads that take turns ten times as often as usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 10)
    yield
    sys.setswitchinterval(interval)


def ask(model: Model, texts: list[str]) -> list[Any]:
    """Everything that answers say, as values that can be compared."""
    answers = model.predict(texts, batch_size=BATCH)
    return [
        (
            answer.output,
            dict(answer.probabilities or {}),
            [(each.text, each.log_probability, each.tokens) for each in answer.hypotheses],
        )
        for answer in answers
    ]


@pytest.mark.parametrize("run", RUNS)
def test_each_gets_the_answers_that_it_would_get_alone(
    request: pytest.FixtureRequest, run: str
) -> None:
    model = load(request.getfixturevalue(run))
    if model.task.decoding is not None:
        model.task.decoding = model.task.decoding.model_copy(update={"beam": 3, "n_best": 2})
    split = model.corpus().split("test")
    texts = list(split.column(model.task.pipeline_names[0]))[:MOST]
    # In an order of its own, each thread has other texts side by side in its batches.
    orders = [np.random.default_rng(seed).permutation(len(texts)) for seed in range(THREADS)]
    mine = [[texts[i] for i in order] for order in orders]
    alone = [ask(model, each) for each in mine]
    together = load(request.getfixturevalue(run))
    together.task.decoding = model.task.decoding
    start = threading.Barrier(THREADS)

    def work(number: int) -> list[Any]:
        start.wait()
        return [ask(together, mine[number]) for _ in range(2)]

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(work, range(THREADS)))
    for number, rounds in enumerate(found):
        assert rounds == [alone[number]] * 2
