"""Checks of how a cell is run: engines that agree, and its speed."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqnlp.nn import engines, unroll
from seqnlp.testing.cells.subject import (
    RAGGED,
    B,
    CellSubject,
    D,
    T,
    distance,
    draw,
    expect_close,
    learned,
    start_of,
    weigh,
)
from seqnlp.testing.contract import Skip, Violation

_REMEDY = (
    "let update and mix compute from their arguments alone, coefficients from the inputs up to the "
    "step's own, and native() name a form of torch only where update is that form"
)


_COMPILED = ("native", "fused")
"""What `auto` chooses among on a CPU: an engine of another plugin is not the cell's affair."""


def check_engines(subject: CellSubject) -> str:
    """Each engine that takes the cell gives the values and gradients of the readable loop."""
    cell = subject.make_moved()
    x = draw(B, T, D)
    taking = [name for name in _COMPILED if engines.find(name).supports(cell, x)]
    obstacle = engines.find("fused").obstacle(cell, x)
    if not taking:
        raise Skip(f"the fused engine does not take it: {obstacle}")
    for name in taking:
        for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-4)):
            for lengths in (None, torch.tensor(RAGGED)):
                for reverse in (False, True):
                    _compare(subject, name, dtype, lengths, reverse, tolerance)
    left_out = f"; fused does not take it: {obstacle}" if obstacle is not None else ""
    return f"{' and '.join(taking)}{left_out}"


def _compare(
    subject: CellSubject,
    engine: str,
    dtype: torch.dtype,
    lengths: Tensor | None,
    reverse: bool,
    tolerance: float,
) -> None:
    cell = subject.make_moved()
    state = tuple(_as(leaf.detach(), dtype) for leaf in start_of(cell))
    x = draw(B, T, D).to(dtype).requires_grad_()
    cell = cell.to(dtype)
    wanted = {"x": x} | dict(learned(cell))
    results = []
    for name in (engine, "reference"):
        outputs, final = unroll(cell, x, lengths, state, reverse=reverse, engine=name)
        gradients = torch.autograd.grad(
            weigh(outputs, final), list(wanted.values()), allow_unused=True, materialize_grads=True
        )
        results.append((outputs, final, gradients))
    (found, final, gradients), (expected, last, others) = results
    what = f"by the engine {engine!r} against the reference loop"
    expect_close((found, final), (expected, last), what, _REMEDY, tolerance=tolerance)
    for name, one, other in zip(wanted, gradients, others, strict=True):
        off = distance(one, other)
        if not off <= 10 * tolerance:
            raise Violation(f"{what}, the gradient of {name} differs by {off:.2g}", _REMEDY)


def _as(leaf: Tensor, dtype: torch.dtype) -> Tensor:
    """A leaf in that precision, if it has one."""
    if leaf.is_complex():
        return leaf.to(torch.complex64 if dtype == torch.float32 else torch.complex128)
    return leaf.to(dtype) if leaf.is_floating_point() else leaf


_SPEED = {"rows": 32, "time": 32, "size": 64}


def measure_speed(subject: CellSubject) -> str:
    """A training step beside torch's LSTM of the same sizes: for information, never a failure."""
    rows, steps, size = _SPEED["rows"], _SPEED["time"], _SPEED["size"]
    cell = subject.make(size, size, training=True, dtype=torch.float32)
    lstm = nn.LSTM(size, size, batch_first=True)
    x = draw(rows, steps, size, dtype=torch.float32)
    own = _best(lambda: unroll(cell, x)[0])
    torchs = _best(lambda: lstm(x)[0])
    engine = engines.select("auto", cell, x).name
    ratio = torchs / own
    times = f"{max(ratio, 1 / ratio):.2g} times "
    pace = f"{times if times != '1 times ' else ''}as {'fast' if ratio >= 1 else 'slow'} as"
    return (
        f"{own * 1000:.1f} ms by the engine {engine!r}, {pace} torch.nn.LSTM (a training step of "
        f"{rows} rows, {steps} steps, {size} features)"
    )


def _best(run: Callable[[], Tensor]) -> float:
    """The least of a few times, in seconds: what disturbs only adds."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 2 or (len(times) < 10 and time.perf_counter() - begin < 0.2):
        start = time.perf_counter()
        run().sum().backward()  # type: ignore[no-untyped-call]
        times.append(time.perf_counter() - start)
    return min(times[1:])  # the first one compiles
