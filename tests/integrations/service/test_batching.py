"""Batches across requests, with a task that says what it was asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.integrations.service.batching import Batch, Dispatcher
from seqnlp.integrations.service.limits import Limits
from seqnlp.integrations.service.refusals import RefusedError
from seqnlp.tasks.base import Task
from seqnlp.tasks.decoding.wanted import GivenUpError, check_wanted
from seqnlp.types import Prediction

T = TypeVar("T")


class Echo:
    """Answers texts in capitals; waits while `closed`, refuses "bad" and breaks on "broken"."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.open, self.begun = threading.Event(), threading.Event()
        self.open.set()

    def answer_texts(self, texts: Sequence[str], *, batch_size: int) -> list[Prediction]:
        assert batch_size == len(texts)
        self.begun.set()
        assert self.open.wait(10)
        self.asked.append(list(texts))
        if "bad" in texts:
            raise InputError("bad is no text")
        if "broken" in texts:
            raise RuntimeError("broken")
        return [Prediction(output=text.upper()) for text in texts]

    @property
    def task(self) -> Task:
        return cast(Task, self)


def run(
    test: Callable[[Dispatcher], Coroutine[Any, Any, T]],
    done: Callable[[Batch], None] = lambda batch: None,
    **limits: Any,
) -> T:
    dispatcher = Dispatcher(Limits(**limits), done)

    async def bounded() -> T:
        async with asyncio.timeout(20):
            return await test(dispatcher)

    try:
        return asyncio.run(bounded())
    finally:
        dispatcher.close()


def outputs(answers: Sequence[Prediction]) -> list[str]:
    return [answer.output for answer in answers]


async def begun(echo: Echo) -> None:
    while not echo.begun.is_set():
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.open.set()


def test_what_comes_at_once_is_one_batch_and_what_comes_meanwhile_the_next(echo: Echo) -> None:
    sizes: list[int] = []

    async def ask(dispatcher: Dispatcher) -> list[list[str]]:
        echo.open.clear()
        first = [asyncio.create_task(dispatcher.answer("m", echo.task, [t])) for t in "ab"]
        await begun(echo)
        later = [asyncio.create_task(dispatcher.answer("m", echo.task, [t, t])) for t in "cde"]
        await asyncio.sleep(0.01)
        assert dispatcher.waiting == {"m": 8}
        echo.open.set()
        return [outputs(await each) for each in first + later]

    answers = run(ask, done=lambda batch: sizes.append(batch.size))
    assert answers == [["A"], ["B"], ["C", "C"], ["D", "D"], ["E", "E"]]
    assert echo.asked == [["a", "b"], ["c", "c", "d", "d", "e", "e"]]
    assert sizes == [2, 6]


@given(st.lists(st.lists(st.text(max_size=3), max_size=7), max_size=9), st.integers(1, 5))
def test_every_request_gets_the_answers_to_its_texts_in_order(
    requests: list[list[str]], size: int
) -> None:
    echo = Echo()

    async def ask(dispatcher: Dispatcher) -> list[list[Prediction]]:
        return await asyncio.gather(
            *(dispatcher.answer("m", echo.task, texts) for texts in requests)
        )

    answers = run(ask, batch_size=size)
    assert [outputs(each) for each in answers] == [[t.upper() for t in texts] for texts in requests]
    assert max(map(len, echo.asked), default=0) <= size
    assert sum(map(len, echo.asked)) == sum(map(len, requests))


def test_texts_of_another_task_or_that_stay_alone_share_no_batch(echo: Echo) -> None:
    other = Echo()

    async def ask(dispatcher: Dispatcher) -> None:
        await asyncio.gather(
            dispatcher.answer("m", echo.task, ["a"]),
            dispatcher.answer("m", other.task, ["x"]),
            dispatcher.answer("m", echo.task, ["b"], alone=True),
            dispatcher.answer("m", echo.task, ["c"]),
            dispatcher.answer("m", echo.task, ["d"], alone=True),
        )
        assert dispatcher.waiting == {"m": 0}

    run(ask)
    assert sorted(echo.asked) == [["a", "c"], ["b"], ["d"]]
    assert other.asked == [["x"]]


def test_models_take_turns(echo: Echo) -> None:
    order: list[str] = []

    async def ask(dispatcher: Dispatcher) -> None:
        await asyncio.gather(
            dispatcher.answer("long", echo.task, ["a"] * 6),
            dispatcher.answer("b", echo.task, ["b"]),
        )

    run(ask, done=lambda batch: order.append(batch.name), batch_size=2)
    assert order == ["long", "b", "long", "long"]


@pytest.mark.parametrize(("text", "kind"), [("bad", InputError), ("broken", RuntimeError)])
def test_who_asks_beside_a_text_that_fails_gets_an_answer(
    echo: Echo, text: str, kind: type[Exception]
) -> None:
    async def ask(dispatcher: Dispatcher) -> list[Any]:
        return await asyncio.gather(
            *(dispatcher.answer("m", echo.task, texts) for texts in (["a"], ["b", text], ["c"])),
            return_exceptions=True,
        )

    first, failed, last = run(ask)
    assert outputs(first) + outputs(last) == ["A", "C"]
    assert isinstance(failed, kind)


def test_a_full_queue_refuses(echo: Echo) -> None:
    async def ask(dispatcher: Dispatcher) -> None:
        echo.open.clear()
        running = asyncio.create_task(dispatcher.answer("m", echo.task, ["a", "b"]))
        await begun(echo)
        with pytest.raises(RefusedError) as caught:
            await dispatcher.answer("m", echo.task, ["c", "d"])
        assert caught.value.status == 503
        assert caught.value.message == "2 texts wait for the model 'm'; try again soon"
        assert caught.value.headers == {"Retry-After": "1"}
        other = asyncio.create_task(dispatcher.answer("other", echo.task, ["e"]))
        echo.open.set()
        assert outputs(await running) + outputs(await other) == ["A", "B", "E"]
        assert outputs(await dispatcher.answer("m", echo.task, ["c", "d"])) == ["C", "D"]

    run(ask, max_queue=3, max_texts=2)


def test_what_takes_too_long_is_refused_and_dropped(echo: Echo) -> None:
    async def ask(dispatcher: Dispatcher) -> None:
        echo.open.clear()
        calls: list[Awaitable[Any]] = [
            asyncio.create_task(dispatcher.answer("m", echo.task, ["a"]))
        ]
        await begun(echo)
        calls.append(asyncio.create_task(dispatcher.answer("m", echo.task, ["late"])))
        for found in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(found, RefusedError)
            assert (found.status, found.message) == (504, "no answer within 0.1 s")
        assert dispatcher.waiting == {"m": 0}
        echo.open.set()
        assert outputs(await dispatcher.answer("m", echo.task, ["b"])) == ["B"]

    run(ask, timeout=0.1)
    assert echo.asked == [["a"], ["b"]]


def test_who_goes_away_leaves_nothing_in_the_queue(echo: Echo) -> None:
    async def ask(dispatcher: Dispatcher) -> None:
        echo.open.clear()
        stays = asyncio.create_task(dispatcher.answer("m", echo.task, ["a"]))
        await begun(echo)
        goes = asyncio.create_task(dispatcher.answer("m", echo.task, ["b"]))
        await asyncio.sleep(0.01)
        goes.cancel()
        echo.open.set()
        assert outputs(await stays) == ["A"]
        assert dispatcher.waiting == {"m": 0}

    run(ask)
    assert echo.asked == [["a"]]


def test_a_batch_waits_for_others_if_it_is_told_to_and_not_once_it_is_full(echo: Echo) -> None:
    async def ask(dispatcher: Dispatcher) -> None:
        first = asyncio.create_task(dispatcher.answer("m", echo.task, ["a"]))
        await asyncio.sleep(0.05)
        assert not echo.begun.is_set()
        second = asyncio.create_task(dispatcher.answer("m", echo.task, ["b", "c"]))
        # Far sooner than `max_wait`, which is longer than this test may take.
        assert outputs(await first) + outputs(await second) == ["A", "B", "C"]

    run(ask, max_wait=100.0, batch_size=3)
    assert echo.asked == [["a", "b", "c"]]


def test_a_batch_that_waits_begins_in_the_end(echo: Echo) -> None:
    async def ask(dispatcher: Dispatcher) -> None:
        assert outputs(await dispatcher.answer("m", echo.task, ["a"])) == ["A"]

    run(ask, max_wait=0.01)


def test_one_dispatcher_serves_one_loop_after_another(echo: Echo) -> None:
    dispatcher = Dispatcher(Limits())
    for text in "ab":
        answers = asyncio.run(dispatcher.answer("m", echo.task, [text]))
        assert outputs(answers) == [text.upper()]
    dispatcher.close()
    assert outputs(asyncio.run(dispatcher.answer("m", echo.task, ["c"]))) == ["C"]
    dispatcher.close()


class Endless(Echo):
    """Writes until nobody waits for it any more."""

    given_up = 0

    def answer_texts(self, texts: Sequence[str], *, batch_size: int) -> list[Prediction]:
        self.begun.set()
        try:
            while self.open.wait(0.001):
                check_wanted()
        except GivenUpError:
            self.given_up += 1
            raise
        raise AssertionError("unreachable")


def test_what_nobody_waits_for_any_more_is_given_up_as_a_whole() -> None:
    endless, echo = Endless(), Echo()

    async def ask(dispatcher: Dispatcher) -> list[str]:
        asked = [dispatcher.answer("m", endless.task, [text]) for text in "ab"]
        both = await asyncio.gather(*asked, return_exceptions=True)
        assert [each.status for each in both if isinstance(each, RefusedError)] == [504, 504]
        return outputs(await dispatcher.answer("m", echo.task, ["c"]))

    assert run(ask, timeout=0.2) == ["C"]
    assert endless.given_up == 1
