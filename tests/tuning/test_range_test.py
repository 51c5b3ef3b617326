"""The learning-rate range test: what is read off a course of losses, and the course itself."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from seqnlp.config import Settings, change_settings
from seqnlp.errors import InputError
from seqnlp.tuning.range_test import LEAST_STEPS, range_test, read, smooth
from tests.toy import small_settings

RATES = np.geomspace(1e-6, 1.0, 121).tolist()


def course(fall: float, edge: float, noise: float = 0.0) -> list[float]:
    """Losses that fall around one learning rate, and rise beyond another."""
    random = np.random.default_rng(0)
    lrs = np.log10(RATES)
    values = 2 - 1 / (1 + np.exp(-4 * (lrs - math.log10(fall))))
    values += np.maximum(0, lrs - math.log10(edge)) ** 2
    return list(values + noise * random.standard_normal(len(RATES)))


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_fall_and_the_minimum_are_found(noise: float) -> None:
    test = read(RATES, course(1e-4, 1e-2, noise), diverged=True)
    assert test.steepest == pytest.approx(1e-4, rel=0.8)
    assert test.minimum is not None and test.suggestion is not None and test.cautious is not None  # noqa: PT018
    assert 1e-3 < test.minimum < 3e-2
    assert test.suggestion == pytest.approx(test.minimum / 3, rel=0.06)
    assert test.cautious == pytest.approx(test.minimum / 10, rel=0.06)


def test_where_nothing_falls_the_limit_is_told() -> None:
    rising = [max(2.0, 2 + math.log10(lr / 1e-2)) for lr in RATES]
    test = read(RATES, rising, diverged=True)
    assert test.minimum is None
    assert test.steepest is None
    assert test.limit == pytest.approx(1e-2, rel=0.3)
    assert test.suggestion == pytest.approx(1e-2 / 3, rel=0.3)


def test_a_level_course_suggests_nothing() -> None:
    test = read(RATES, [2.0] * len(RATES), diverged=False)
    assert test.suggestion is None
    assert test.limit is None
    assert read([], [], diverged=True).suggestion is None


def test_smoothing_does_not_lag() -> None:
    bump = [0.0] * 50 + [1.0] + [0.0] * 50
    found = smooth(bump)
    assert int(np.argmax(found)) == 50
    assert found[45] == pytest.approx(found[55])
    assert smooth([3.0] * 30) == pytest.approx([3.0] * 30)


@pytest.fixture
def settings(toy_corpus: Path) -> Settings:
    return small_settings(toy_corpus)


def test_the_learning_rate_rises_from_batch_to_batch(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[int, float]] = []
    watched = change_settings(settings, {"hooks.log.every": 1, "hooks.schedule.kind": "linear"})
    test = range_test(
        watched,
        low=1e-5,
        high=0.1,
        steps=40,
        on_step=lambda step, lr, loss: seen.append((step, lr)),
    )
    assert test.lrs == pytest.approx(np.geomspace(1e-5, 0.1, 40))
    # One batch more, whose loss is that after the last step.
    assert [step for step, _ in seen] == list(range(1, 42))
    assert len(test.losses) == len(test.smoothed) == 40
    assert min(test.losses) < 0.9 * test.losses[0]
    assert test.minimum is not None
    assert list(tmp_path.iterdir()) == []
    # The corpus has fewer batches than that: it was gone through several times.
    again = range_test(settings, low=1e-5, high=0.1, steps=40)
    assert again == test


def test_a_test_ends_where_the_loss_diverges(settings: Settings) -> None:
    wild = change_settings(settings, {"hooks.clip": False, "train.optimizer": "SGD"})
    test = range_test(wild, low=1e-2, high=1e6, steps=60)
    assert test.diverged
    assert len(test.losses) < 60
    broken = range_test(wild, low=1e-2, high=1e30, steps=LEAST_STEPS)
    assert broken.diverged
    assert all(map(math.isfinite, broken.losses))


@pytest.mark.parametrize(
    ("low", "high", "steps", "told"),
    [
        (1.0, 0.1, 100, "a range of learning rates needs 0 < low < high, not 1 and 0.1"),
        (0.0, 0.1, 100, "a range of learning rates needs 0 < low < high, not 0 and 0.1"),
        (1e-6, 1.0, 5, "5 steps are too few to see a loss fall; at least 20"),
    ],
)
def test_a_range_is_checked(
    settings: Settings, low: float, high: float, steps: int, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        range_test(settings, low=low, high=high, steps=steps)
    assert str(caught.value) == told


def test_an_interrupt_is_one(settings: Settings) -> None:
    def press(step: int, lr: float, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        range_test(settings, steps=40, on_step=press)
