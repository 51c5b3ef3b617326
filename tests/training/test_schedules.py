"""Every kind of schedule, against torch's own or the formula of its paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, Optimizer
from torch.optim import lr_scheduler as torchs

from seqnlp.config import build
from seqnlp.errors import SettingsError
from seqnlp.training.hooks.schedules import Kind, ScheduleHook

STEPS, EPOCHS = 6, 8
TOTAL = STEPS * EPOCHS
# A peak after a share p of N steps is at p * N; torch's one at p * (N + 1) - 1 of N + 1 steps.
SHARE = (0.25 * TOTAL + 1) / (TOTAL + 1)

ORACLES: list[tuple[dict[str, Any], Callable[[Optimizer], Any]]] = [
    ({"kind": "constant"}, lambda o: torchs.ConstantLR(o, factor=1.0)),
    ({"kind": "linear", "final": 0.2}, lambda o: torchs.LinearLR(o, 1.0, 0.2, TOTAL)),
    ({"kind": "cosine", "final": 0.1}, lambda o: torchs.CosineAnnealingLR(o, TOTAL, 0.1)),
    ({"kind": "polynomial", "power": 3.0}, lambda o: torchs.PolynomialLR(o, TOTAL, 3.0)),
    (
        {"kind": "exponential", "factor": 0.7, "every": 2},
        lambda o: torchs.ExponentialLR(o, 0.7 ** (1 / (2 * STEPS))),
    ),
    ({"kind": "step", "factor": 0.3, "every": 3}, lambda o: torchs.StepLR(o, 3 * STEPS, 0.3)),
    (
        {"kind": "milestones", "milestones": [2, 4.5], "factor": 0.1},
        lambda o: torchs.MultiStepLR(o, [2 * STEPS, 27], 0.1),
    ),
    (
        {"kind": "one_cycle", "start": 0.05, "peak": 0.25, "final": 0.01},
        lambda o: torchs.OneCycleLR(
            o, 1.0, TOTAL + 1, pct_start=SHARE, div_factor=20, final_div_factor=5
        ),
    ),
    (
        {"kind": "restarts", "cycle": 1.5, "final": 0.05},
        lambda o: torchs.CosineAnnealingWarmRestarts(o, 9, 1, 0.05),
    ),
    (
        {"kind": "restarts", "cycle": 0.5, "growth": 3},
        lambda o: torchs.CosineAnnealingWarmRestarts(o, 3, 3),
    ),
    *(
        (
            {"kind": "cyclic", "start": 0.2, "cycle": 2, "mode": mode, "factor": 0.8},
            lambda o, mode=mode: torchs.CyclicLR(
                o, 0.2, 1.0, STEPS, mode=mode, gamma=0.8 ** (1 / STEPS), cycle_momentum=False
            ),
        )
        for mode in ("triangular", "triangular2", "exp_range")
    ),
]


@pytest.mark.parametrize(("options", "oracle"), ORACLES, ids=[str(o) for o, _ in ORACLES])
def test_every_step_has_the_rate_of_torchs_schedule(
    options: dict[str, Any], oracle: Callable[[Optimizer], Any]
) -> None:
    hook = build(ScheduleHook, options, where="hooks.schedule")
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = oracle(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    found = [hook.scale(step / STEPS, EPOCHS) for step in range(TOTAL)]
    assert found == pytest.approx(rates, abs=1e-7)


def test_the_inverse_root_is_that_of_the_transformer() -> None:
    hook, warmup = ScheduleHook(kind="inverse_sqrt", warmup=2), 2 * STEPS

    def vaswani(step: int) -> float:
        return min(step**-0.5, step * warmup**-1.5)

    for step in range(1, TOTAL):
        expected = vaswani(step) / vaswani(warmup)
        assert hook.scale(step / STEPS, EPOCHS) == pytest.approx(expected)


def test_all_kinds_have_an_oracle() -> None:
    tested = {options["kind"] for options, _ in ORACLES}
    assert {*tested, "inverse_sqrt", "plateau"} == set(get_args(Kind))


@given(
    kind=st.sampled_from(["linear", "cosine", "polynomial", "exponential", "restarts", "step"]),
    warmup=st.floats(0.1, 3),
    final=st.floats(0, 1, allow_subnormal=False),
    epochs=st.floats(0, 8, allow_subnormal=False),
    growth=st.floats(1, 3),
    cycle=st.floats(0.1, 4),
)
def test_a_warm_up_comes_before_any_kind(
    kind: Any, warmup: float, final: float, epochs: float, growth: float, cycle: float
) -> None:
    hook = ScheduleHook(kind=kind, warmup=warmup, final=final, growth=growth, cycle=cycle)
    factor = hook.scale(epochs, EPOCHS)
    assert -1e-9 <= factor <= 1 + 1e-9
    if epochs < warmup:
        assert factor == pytest.approx(epochs / warmup)
    elif kind not in ("step", "exponential"):
        assert factor >= final - 1e-9
        assert hook.scale(warmup, EPOCHS) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power": 0}, "power must be positive, not 0.0"),
        ({"cycle": -1}, "cycle must be positive, not -1.0"),
        ({"start": 1}, "start must be between 0 and 1, not 1.0"),
        ({"peak": 0}, "peak must be between 0 and 1, not 0.0"),
        ({"growth": 0.5}, "growth must be at least 1, not 0.5"),
        ({"kind": "one_cycle", "warmup": 1}, "'one_cycle' rises from `start` by itself; leave warmup at 0"),
        ({"kind": "cyclic", "warmup": 1}, "'cyclic' rises from `start` by itself; leave warmup at 0"),
        ({"kind": "inverse_sqrt"}, "'inverse_sqrt' falls from the end of a warm-up: set warmup"),
        ({"kind": "milestones"}, r"such as \[4, 6\]; found \[\] for 'milestones'"),
        ({"kind": "milestones", "milestones": [0]}, r"such as \[4, 6\]; found \[0.0\] for 'milestones'"),
        ({"kind": "cosine", "milestones": [3]}, r"found \[3.0\] for 'cosine'"),
        ({"kind": "cyclic", "mode": "square"}, "Input should be 'triangular', 'triangular2' or 'exp_range'"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(ScheduleHook, options, where="hooks.schedule")
