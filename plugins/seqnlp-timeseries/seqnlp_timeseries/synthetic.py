"""Makes the bundled series: `python -m seqnlp_timeseries.synthetic FILE.csv`.

Ten meters of a made town, a value every three hours for 150 days from Monday, 2023-01-02. A value
is

    (level + trend + shifts) * (1 + daily wave + weekly wave) + noise,

rounded to four digits. The daily wave has two harmonics, the weekly one lowers or raises the
weekend; phases and sizes differ from series to series. Noise is AR(1). A shift of the level stays,
and is no anomaly. Anomalies are labeled: a spike or a dip of one or two steps, a sensor that is
stuck for six to nine steps, and a day that is half a day late. Three values in a thousand are
missing. All draws are of `random.Random(SEED)`, whose numbers are the same in every version.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from seqnlp.files import write_text

NAMES = ("bakery", "clinic", "depot", "library", "market", "pool", "school", "station", "theater",
         "town_hall")  # fmt: skip
SEED, START, STEP = 2023, datetime(2023, 1, 2), timedelta(hours=3)
DAY, WEEK, STEPS, EVENTS = 8, 56, 1200, 12

Values = list[float]


def make() -> str:
    """The CSV text: series, time, value, anomaly."""
    draw = random.Random(SEED)
    lines = ["series,time,value,anomaly"]
    for name in NAMES:
        values, labels = _series(draw)
        for step, (value, label) in enumerate(zip(values, labels, strict=True)):
            cell = "" if draw.random() < 0.003 else f"{value:.4g}"
            lines.append(
                f"{name},{(START + step * STEP).isoformat(timespec='minutes')},{cell},{label:d}"
            )
    return "\n".join(lines) + "\n"


def _series(draw: random.Random) -> tuple[Values, list[bool]]:
    level = 10 ** draw.uniform(1.5, 3)
    wave = _wave(draw)
    slope = level * draw.uniform(-0.25, 0.4) / STEPS
    shifts = {draw.randrange(100, STEPS - 60):
              level * draw.choice((-1, 1)) * draw.uniform(0.12, 0.3)
              for _ in range(draw.randrange(3))}  # fmt: skip
    base, clean = level, []
    noise, size = 0.0, level * draw.uniform(0.02, 0.05)
    for step in range(STEPS):
        base += slope + shifts.get(step, 0.0)
        noise = 0.5 * noise + draw.gauss(0, size)
        clean.append(base * (1 + wave(step)) + noise)
    return _disturb(draw, clean, level)


def _wave(draw: random.Random) -> Callable[[int], float]:
    """Daily and weekly wave around 0."""
    height, half, weekend = draw.uniform(0.2, 0.45), draw.uniform(0, 0.15), draw.uniform(-0.3, 0.15)
    phase, other = draw.random(), draw.random()

    def wave(step: int) -> float:
        turn, day = step / DAY, (step // DAY) % 7
        daily = height * math.sin(2 * math.pi * (turn - phase))
        daily += half * math.sin(4 * math.pi * (turn - other))
        return daily * (1 + weekend) + weekend if day >= 5 else daily

    return wave


def _disturb(draw: random.Random, values: Values, level: float) -> tuple[Values, list[bool]]:
    labels = [False] * STEPS
    for event in range(EVENTS):
        # One in every twelfth of the time, apart from its borders, so that no two meet.
        begin = event * STEPS // EVENTS + draw.randrange(20, STEPS // EVENTS - 20)
        kind = draw.choice(("spike", "dip", "stuck", "late"))
        size = {"spike": draw.randint(1, 2), "dip": draw.randint(1, 2),
                "stuck": draw.randint(6, 9), "late": DAY}[kind]  # fmt: skip
        change = level * draw.uniform(0.35, 0.8)
        before = values[begin - DAY // 2 : begin + DAY]
        for i in range(size):
            labels[begin + i] = True
            if kind == "stuck":
                values[begin + i] = values[begin]
            elif kind == "late":
                values[begin + i] = before[i]
            else:
                values[begin + i] += change if kind == "spike" else -change
    return values, labels


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), make())
