"""A running service: its models, limits, figures and log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from seqnlp.bundle import Model
from seqnlp.errors import InputError, suggest
from seqnlp.integrations.service.batching import Dispatcher
from seqnlp.integrations.service.limits import Limits, Rates
from seqnlp.integrations.service.logs import EventLog
from seqnlp.integrations.service.metrics import Metrics
from seqnlp.integrations.service.models import Served
from seqnlp.integrations.service.refusals import RefusedError


class Service:
    """What the routes of one application share.

    models: by name. draining: whether new requests are refused, since the service ends. in_flight:
    requests that are in work. streams: answers that are being streamed.
    """

    def __init__(
        self,
        models: Mapping[str, str | Path | Model],
        *,
        limits: Limits,
        token: str | None = None,
        quantize: str | None = None,
        engine: str | None = None,
        log: TextIO | None = None,
    ) -> None:
        if not models:
            raise InputError("a service needs at least one model")
        if "models" in models:
            raise InputError("'models' is the list of all; NAME=FOLDER gives a model another name")
        if token is not None and not token.strip():
            raise InputError("an empty token lets everybody in; leave it out, or give another")
        self.limits, self.log, self.metrics = limits, EventLog(log), Metrics()
        self.token = None if token is None else token.strip().encode()
        self.rates = None if limits.rate is None else Rates(limits.rate)
        self.dispatcher = Dispatcher(limits, self.metrics.batch)
        self.models = {
            name: Served(name, source, quantize=quantize, engine=engine)
            for name, source in models.items()
        }
        self.draining, self.in_flight, self.streams = False, 0, 0
        for name in self.models:
            self.metrics.watch(name, lambda name=name: self.dispatcher.waiting.get(name, 0))  # type: ignore[misc]
        self.metrics.watch_streams(lambda: self.streams)

    def model(self, name: str) -> Served:
        """The model of that name.

        Raises:
            RefusedError: 404, with the nearest one.
        """
        if (found := self.models.get(name)) is None:
            raise RefusedError(404, "no_model", f"no model {name!r}; {suggest(name, self.models)}")
        return found

    async def reload(self, name: str) -> Served:
        """Load a model again, write that down and count it.

        Raises:
            RefusedError: see `Served.reload`.
        """
        served = self.model(name)
        try:
            await served.reload()
        except RefusedError as refused:
            self.metrics.reload(name, "refused")
            self.log.write("reload", model=name, done=False, message=refused.message)
            raise
        self.metrics.reload(name, "done")
        self.log.write("reload", model=name, done=True)
        return served
