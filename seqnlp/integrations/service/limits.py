"""What a service takes on: sizes, numbers and times, and how often one client may ask."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields

from seqnlp.errors import InputError

_MOST_CLIENTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a service takes on. Sizes in bytes, times in seconds.

    max_body: bytes of a request. max_chars: characters of a text. max_texts: texts of a request.
    max_queue: texts that a model has taken on and not answered. max_concurrency: requests that are
    in work at once. max_streams: answers that are streamed at once.
    batch_size: texts that a model answers together. max_wait: how long the first text of a batch
    waits for others; by default a batch is what came while the last one ran.
    timeout: from a request to its answer. rate: requests a second of one client, by its address;
    None is any number.

    Raises:
        InputError: a value that no service could work with.
    """

    max_body: int = 1 << 20
    max_chars: int = 50_000
    max_texts: int = 256
    max_queue: int = 1024
    max_concurrency: int = 512
    max_streams: int = 16
    batch_size: int = 64
    max_wait: float = 0.0
    timeout: float = 30.0
    rate: float | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None and item.name == "rate":
                continue
            least = 0 if item.name == "max_wait" else 1 if isinstance(item.default, int) else None
            if least is None and not 0 < value < math.inf:
                raise InputError(f"{item.name}: must be over 0, not {value}")
            if least is not None and not least <= value < math.inf:
                raise InputError(f"{item.name}: must be at least {least}, not {value}")
        if self.max_texts > self.max_queue:
            raise InputError(
                f"max_texts: a request of {self.max_texts} texts would never find room in a queue "
                f"of max_queue = {self.max_queue}"
            )


class Rates:
    """How often each client may ask: buckets that fill with `rate` requests a second.

    A bucket holds two seconds' worth, at least one request. The clients that were not heard of for
    longest are forgotten, so that memory is bounded.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.most = rate, max(1.0, 2 * rate)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Count a request of a client: 0, or the seconds until it may ask again."""
        now = self._clock()
        level, then = self._buckets.pop(client, (self.most, now))
        level = min(self.most, level + (now - then) * self.rate)
        allowed = level >= 1
        self._buckets[client] = (level - 1 if allowed else level, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - level) / self.rate
