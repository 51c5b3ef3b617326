"""Batches across requests: what has come while the last batch ran is the next one."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from seqnlp.integrations.service.limits import Limits
from seqnlp.integrations.service.refusals import RefusedError, busy
from seqnlp.tasks.base import Task
from seqnlp.tasks.decoding.wanted import GivenUpError, while_wanted
from seqnlp.types import Prediction

Outcome = list[Prediction] | Exception

_PATIENCE = 1.0
_GRACE = 0.005
"""Seconds after a batch, at the most, for as many to come again."""
R = TypeVar("R")


@dataclass(eq=False, slots=True)
class Ticket:
    """The texts of a request on their way.

    taken: how many have been handed out. answers: one for each text that is answered.
    """

    texts: Sequence[str]
    task: Task
    future: asyncio.Future[list[Prediction]]
    came: float
    alone: bool
    taken: int = 0
    answers: list[Prediction] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Batch:
    """Texts that are answered together: of each ticket a part. seconds: that it took."""

    name: str
    task: Task
    parts: list[tuple[Ticket, Sequence[str]]]
    seconds: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many texts these are."""
        return sum(len(texts) for _, texts in self.parts)


class Dispatcher:
    """Queues of models and the one thread that answers them, model by model in turn.

    Everything but `_work` and what it calls runs in the event loop. A batch is begun when the loop
    brings nothing new, so that all that has come by then is in it; and after a batch there is a
    moment for those who have had their answers to ask again, until as many texts have come.
    """

    def __init__(self, limits: Limits, done: Callable[[Batch], None] = lambda batch: None) -> None:
        self.limits, self._on_done = limits, done
        self.waiting: dict[str, int] = {}
        self._queues: dict[str, deque[Ticket]] = {}
        # queued: texts that are in no batch yet. soon: whether the loop is about to begin one.
        self._queued = self._seen = 0
        self._running = self._soon = False
        self._timer: asyncio.TimerHandle | None = None
        self._enough, self._patient_until = 0, 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def answer(
        self, name: str, task: Task, texts: Sequence[str], *, alone: bool = False
    ) -> list[Prediction]:
        """The answers of a task to texts, in their order.

        Args:
            name: of the model, whose queue this is.
            task: texts of one task object are answered together.
            texts: any number.
            alone: let these texts share no batch with another request's.

        Raises:
            RefusedError: 503, the queue is full; 504, there was no answer in time.
        """
        if not texts:
            return []
        taken_on = self.waiting.get(name, 0)
        if taken_on + len(texts) > self.limits.max_queue:
            raise busy(f"{taken_on} texts wait for the model {name!r}; try again soon")
        loop = self._bind()
        ticket = Ticket(texts, task, loop.create_future(), loop.time(), alone)
        tickets = self._queues.setdefault(name, deque())
        tickets.append(ticket)
        self._queued += len(texts)
        self.waiting[name] = taken_on + len(texts)
        timer = loop.call_later(self.limits.timeout, _expire, ticket, self.limits.timeout)
        self._plan()
        try:
            return await ticket.future
        finally:
            timer.cancel()
            self.waiting[name] = max(0, self.waiting.get(name, 0) - len(texts))
            if ticket.taken < len(texts):
                with suppress(ValueError):
                    tickets.remove(ticket)
                    self._queued -= len(texts) - ticket.taken

    async def run(self, work: Callable[[], R]) -> R:
        """The result of some work on the thread that answers, done between batches.

        Work that was begun is ended even if nobody waits for it any more.
        """
        loop = self._bind()
        future: asyncio.Future[R] = loop.create_future()
        self._jobs.put(partial(_settle, work, future, loop))
        return await future

    def after(self, work: Callable[[], None]) -> None:
        """Do something on that thread when it has done what it was given; it must not fail."""
        self._jobs.put(work)

    def close(self) -> bool:
        """End the thread when it has done what it was given, unless that takes long.

        Returns:
            Whether it has ended.
        """
        if self._thread is None:
            return True
        self._jobs.put(None)
        # Who ends a service does not wait for an answer that nobody will have.
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            return False
        self._thread = None
        return True

    def _bind(self) -> asyncio.AbstractEventLoop:
        """The loop that runs; one that is over has taken its tickets along."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer, self._soon, self._queued = loop, None, False, 0
            self._queues.clear()
            self.waiting.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
            self._thread.start()
        return loop

    def _plan(self) -> None:
        """Begin the next batch as soon as one may."""
        assert self._loop is not None
        if self._running or self._soon or not self._queued:
            return
        until, enough = self._patient_until, self._enough
        if self.limits.max_wait:
            came = min(tickets[0].came for tickets in self._queues.values() if tickets)
            until, enough = came + self.limits.max_wait, self.limits.batch_size
        wait = until - self._loop.time()
        if wait > 0 and self._queued < enough:
            if self._timer is None:
                self._timer = self._loop.call_later(wait, self._begin)
            return
        self._soon = True
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._soon = None, False
        if self._running:
            return
        if self._seen < self._queued < self.limits.batch_size:
            # More may stand in the sockets; a larger batch takes less time for each of its texts.
            self._seen, self._soon = self._queued, True
            self._loop.call_soon(self._begin)
            return
        self._seen = 0
        if (batch := self._next()) is not None:
            self._running = True
            self._jobs.put(partial(self._answer, batch, self._loop))

    def _next(self) -> Batch | None:
        """A batch of the queue whose turn it is; that queue comes last from now on."""
        name = next((name for name, tickets in self._queues.items() if tickets), None)
        if name is None:
            return None
        tickets = self._queues.pop(name)
        self._queues[name] = tickets
        first, room = tickets[0], self.limits.batch_size
        batch = Batch(name, first.task, [])
        for ticket in list(tickets):
            if ticket.task is not first.task or ((ticket.alone or first.alone) and batch.parts):
                continue
            part = ticket.texts[ticket.taken : ticket.taken + room]
            batch.parts.append((ticket, part))
            ticket.taken += len(part)
            self._queued -= len(part)
            room -= len(part)
            if ticket.taken == len(ticket.texts):
                tickets.remove(ticket)
            if not room:
                break
        return batch

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _answer(self, batch: Batch, loop: asyncio.AbstractEventLoop) -> None:
        begun = time.perf_counter()
        batch.outcomes = _answer(batch)
        batch.seconds = time.perf_counter() - begun
        try:
            loop.call_soon_threadsafe(self._done, batch)
        except RuntimeError:  # the loop is over, and nobody waits for these
            self._running = False

    def _done(self, batch: Batch) -> None:
        assert self._loop is not None
        self._running = False
        self._enough = min(batch.size, self.limits.batch_size)
        self._patient_until = self._loop.time() + min(_GRACE, batch.seconds / 4)
        for (ticket, _), outcome in zip(batch.parts, batch.outcomes, strict=True):
            if ticket.future.done():
                continue
            if isinstance(outcome, Exception):
                ticket.future.set_exception(outcome)
                continue
            ticket.answers += outcome
            if len(ticket.answers) == len(ticket.texts):
                ticket.future.set_result(ticket.answers)
        self._on_done(batch)
        # Behind those who have waited: what they ask next may come into the next batch.
        self._plan()


def _answer(batch: Batch) -> list[Outcome]:
    """The answers of each part; where one fails, the others do not."""
    texts = [text for _, part in batch.parts for text in part]
    try:
        with while_wanted(lambda: not all(ticket.future.done() for ticket, _ in batch.parts)):
            answers = batch.task.answer_texts(texts, batch_size=len(texts))
    except GivenUpError as error:
        return [error] * len(batch.parts)
    except Exception as error:
        if len(batch.parts) == 1:
            return [error]
        alone = (Batch(batch.name, batch.task, [part]) for part in batch.parts)
        return [outcome for each in alone for outcome in _answer(each)]
    made = iter(answers)
    return [[next(made) for _ in part] for _, part in batch.parts]


def _settle(
    work: Callable[[], R], future: asyncio.Future[R], loop: asyncio.AbstractEventLoop
) -> None:
    """Do some work and tell the loop what came of it."""

    def tell(found: R | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(found)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    found, failed = None, None
    try:
        found = work()
    except Exception as error:
        failed = error
    with suppress(RuntimeError):  # the loop is over
        loop.call_soon_threadsafe(tell, found, failed)


def _expire(ticket: Ticket, seconds: float) -> None:
    if not ticket.future.done():
        ticket.future.set_exception(
            RefusedError(504, "timeout", f"no answer within {seconds:g} s", retry_after=1)
        )
