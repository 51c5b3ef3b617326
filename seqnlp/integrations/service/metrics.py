"""Figures of a service in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from seqnlp.integrations.service.batching import Batch

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """What is counted, in a registry of its own: several services in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "seqnlp_requests", "Requests that were answered, also by refusing them.",
            ("route", "model", "status"), registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "seqnlp_request_seconds", "From a request to the end of its answer.",
            ("route", "model"), buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._batch_texts = Histogram(
            "seqnlp_batch_texts", "Texts that a model answered together.", ("model",),
            buckets=_SIZES, registry=self.registry,
        )  # fmt: skip
        self._batch_seconds = Histogram(
            "seqnlp_batch_seconds", "What a batch took.", ("model",), buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._waiting = Gauge(
            "seqnlp_waiting_texts", "Texts that were taken on and are not answered.", ("model",),
            registry=self.registry,
        )  # fmt: skip
        self._reloads = Counter(
            "seqnlp_reloads", "Models loaded again, by outcome: done or refused.",
            ("model", "outcome"), registry=self.registry,
        )  # fmt: skip
        self._streams = Gauge(
            "seqnlp_streams", "Answers that are being streamed.", registry=self.registry
        )
        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def watch(self, name: str, waiting: Callable[[], float]) -> None:
        """Give the number of a model's texts that wait, whenever it is asked for."""
        self._waiting.labels(name).set_function(waiting)

    def watch_streams(self, running: Callable[[], float]) -> None:
        """Give the number of streams, whenever it is asked for."""
        self._streams.set_function(running)

    def request(self, route: str, model: str, status: int, seconds: float) -> None:
        """Count a request; names that come from outside must be none of these labels."""
        key = (route, model, status)
        if (found := self._counters.get(key)) is None:
            found = self._requests.labels(*map(str, key)), self._seconds.labels(route, model)
            self._counters[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def batch(self, batch: Batch) -> None:
        """Count a batch."""
        self._batch_texts.labels(batch.name).observe(batch.size)
        self._batch_seconds.labels(batch.name).observe(batch.seconds)

    def reload(self, model: str, outcome: str) -> None:
        """Count a reload."""
        self._reloads.labels(model, outcome).inc()

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self.registry)
