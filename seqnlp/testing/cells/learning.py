"""Checks of what training needs: gradients, seeds, modes, saved weights, a loss that falls."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import Tensor, nn

from seqnlp.nn import Cell, GatedCell, State, initialize, unroll
from seqnlp.testing.cells.steps import to_comparable
from seqnlp.testing.cells.subject import (
    EXACT,
    B,
    CellSubject,
    D,
    distance,
    draw,
    expect_close,
    learned,
    start_of,
    weigh,
)
from seqnlp.testing.contract import Skip, Violation
from seqnlp.testing.seeding import SEEDS, UNSEEDED

_STEPS = 3
_NUDGES = ((1e-5, 1e-5), (1e-7, 1e-4), (1e-8, 1e-3))
"""Nudges with what they may lose of a gradient: a small one by rounding, a great one where numbers
are so small that a step bends within it."""
_DIRECTIONS = 4

FINITE = (
    "keep the argument of a root, a logarithm, a division or a norm away from 0 by a small number, "
    "1e-6, and that of exp from great ones by clamp or by taking off the greatest"
)


def check_gradients(subject: CellSubject) -> None:
    """Autograd's gradients of input, state and parameters are those of finite differences."""
    for training in (False, True):
        cell = subject.make_moved(training=training)
        x = draw(B, _STEPS, D).requires_grad_()
        state = start_of(cell)
        moving = {"x": x} | {
            f"leaf {index} of the state": leaf
            for index, leaf in enumerate(state)
            if leaf.requires_grad
        }
        moving |= learned(cell)
        total = _total(cell, x, state)
        if not total.requires_grad:
            raise Violation(
                "nothing that a step gives has a gradient",
                "compute on torch tensors: no detach(), item(), numpy() or torch.no_grad()",
            )
        found = torch.autograd.grad(
            total, list(moving.values()), allow_unused=True, materialize_grads=True
        )
        for (name, tensor), gradient in zip(moving.items(), found, strict=True):
            _compare(cell, x, state, name, tensor, gradient, float(total.detach().abs()))
    cell = subject.make_moved()
    x = draw(B, 2 * _STEPS, D)
    unroll(cell, x, engine="reference")[0].square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in learned(cell).items():
        if parameter.grad is None or not bool(parameter.grad.any()):
            raise Violation(
                f"the outputs do not depend on the parameter {name!r}",
                f"use self.{name} in a step, or do not register it",
            )


def _total(cell: Cell, x: Tensor, state: State) -> Tensor:
    torch.manual_seed(1)  # masks that the cell draws itself are the same each time
    return weigh(*unroll(cell, x, state=state, engine="reference"))


def _compare(
    cell: Cell,
    x: Tensor,
    state: State,
    name: str,
    tensor: Tensor,
    gradient: Tensor,
    size: float,
) -> None:
    """Refuse a gradient that is none along most of a few directions: one may cross a kink.

    size: of the total, which rounding is relative to.
    """
    generator = torch.Generator().manual_seed(3)
    wrong = []
    for _ in range(_DIRECTIONS):
        direction = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        analytic = float((gradient.conj() * direction).real.sum())
        slopes = []
        for nudge, tolerance in _NUDGES:
            slopes.append(_rise(cell, x, state, tensor, nudge * direction) / nudge)
            off = abs(slopes[-1] - analytic)
            rounding = 1e-14 * size / nudge
            if off <= rounding + tolerance * max(1.0, abs(slopes[-1]), abs(analytic)):
                break
        else:
            wrong.append((analytic, slopes[0]))
    if len(wrong) > _DIRECTIONS // 2:
        analytic, slope = wrong[0]
        if not math.isfinite(analytic):
            raise Violation(f"the gradient of {name} is {analytic}", FINITE)
        raise Violation(
            f"the gradient of {name} is {analytic:.4g} along a direction in which the outputs "
            f"grow by {slope:.4g}",
            "compute on torch tensors: no detach(), item(), numpy(), .data or torch.no_grad(); "
            "of an autograd.Function, mend backward",
        )


@torch.no_grad()
def _rise(cell: Cell, x: Tensor, state: State, tensor: Tensor, change: Tensor) -> float:
    """Half of what the total grows by from a tensor less a change to the tensor with it."""
    kept = tensor.detach().clone()
    totals = []
    for sign in (1, -1):
        tensor.copy_(kept + sign * change)
        totals.append(float(_total(cell, x, state)))
    tensor.copy_(kept)
    return (totals[0] - totals[1]) / 2


def check_seeds(subject: CellSubject) -> None:
    """Under one seed of torch the same weights, whatever other generators do; and `initialize`."""
    cells = [subject.make(seed=7), subject.make(seed=7)]
    (one, other) = (cell.state_dict() for cell in cells)
    for name in one:
        if not torch.equal(to_comparable(one[name]), to_comparable(other[name])):
            raise Violation(
                f"two cells made under one seed of torch differ in {name!r}",
                "draw by torch's own generator: nn.init, torch.randn, not random or numpy",
            )
    _check_draws(subject)
    cell = cells[0]
    owners = list(cell.parameters())
    for role, block in cell.weight_blocks():
        if not any(_holds(owner, block) for owner in owners):
            raise Violation(
                f"weight_blocks yields a copy as {role.name}, so that no initializer reaches it",
                "yield the parameter or a view of it, such as self.weight.chunk(2)[0]: no clone, "
                "cat or detach",
            )


def _check_draws(subject: CellSubject) -> None:
    """What is drawn after a cell is made depends on the seed before it."""
    after = []
    for seed in (7, 8):
        subject.make(seed=seed)
        after.append(torch.random.get_rng_state())
    if torch.equal(*after):
        raise Violation(SEEDS, UNSEEDED)


def _holds(owner: Tensor, block: Tensor) -> bool:
    first = owner.data_ptr()
    return first <= block.data_ptr() < first + owner.numel() * owner.element_size()


def check_modes(subject: CellSubject) -> str | None:
    """Training differs from evaluation by dropout that is drawn, or where rows interact."""
    cell = subject.make_moved()
    x, state = draw(B, 4, D), start_of(cell)
    with torch.no_grad():
        expected = unroll(cell, x, state=state, engine="reference")
        before = torch.random.get_rng_state()
        found = unroll(deepcopy(cell).train(), x, state=state, engine="reference")
    drew = not torch.equal(torch.random.get_rng_state(), before)
    _check_masks(cell, x, state)
    if cell.rows_interact:
        raise Skip("rows interact in training, by rows_interact")
    if drew:
        return "it draws dropout of its own in training"
    expect_close(
        found,
        expected,
        "in training against evaluation, with no random number drawn",
        "compute the same in both modes: only dropout, or statistics of a cell that declares "
        "rows_interact = True, may ask self.training",
    )
    return None


def _check_masks(cell: Cell, x: Tensor, state: State) -> None:
    """The masks that a gated cell takes: ones change nothing, zeros something."""
    if not isinstance(cell, GatedCell):
        return
    size = (len(x), cell.hidden_size)
    own: dict[str, Any] = cell.author_parameters()
    x_gates, h_gates = (tuple(draw(*size) for _ in range(cell.gates)) for _ in range(2))

    def update(**masks: Tensor) -> State:
        return cell.update(x_gates, h_gates, state, **own, **masks)

    plain = update()
    for name in cell.masks:
        advice = f"multiply by {name} what a step adds to the memory: drop(tanh(g), {name})"
        try:
            kept = update(**{name: x.new_ones(size)})
            gone = update(**{name: x.new_zeros(size)})
        except TypeError as error:
            raise Violation(
                f"masks names {name!r}, which update does not take: {error}",
                f"add the keyword {name}: Tensor | None = None to update",
            ) from error
        if any(not distance(one, two) <= EXACT for one, two in zip(kept, plain, strict=True)):
            raise Violation(f"a {name} of ones changes the step", advice)
        if all(distance(one, two) <= EXACT for one, two in zip(gone, plain, strict=True)):
            raise Violation(f"a {name} of zeros changes nothing", advice)


def check_saving(subject: CellSubject) -> None:
    """Weights that are saved and loaded into a new cell of the same options give the same."""
    cell = subject.make_moved(seed=3)
    kept: dict[str, object] = cell.state_dict()
    packed = {name: each.clone() for name, each in kept.items() if isinstance(each, Tensor)}
    wrong = sorted(kept.keys() - packed.keys())
    if wrong:
        raise Violation(
            f"the state dict has {wrong[0]!r}, which is no tensor",
            "keep numbers in buffers, and options as plain attributes",
        )
    other = subject.make(seed=4)
    other.load_state_dict(load(save({name: each.contiguous() for name, each in packed.items()})))
    x = draw(B, 4, D)
    with torch.no_grad():
        expect_close(
            unroll(other.eval(), x, engine="reference"),
            unroll(cell.eval(), x, engine="reference"),
            "saved, and loaded into a new cell",
            "make what a step reads a parameter or a buffer (self.register_buffer), not a plain "
            "tensor or number that is drawn or counted",
        )


_SYMBOLS, _LENGTH, _WIDTH, _ROWS = 4, 6, 32, 64
_CHANCE = 1.386
"""log 4: the loss of one who knows nothing."""
_ENOUGH = 0.7 * _CHANCE
_MOST_STEPS = 250


def check_training(subject: CellSubject) -> str:
    """It learns to name the first of six symbols, which is marked, when it has read the last."""
    reached = []
    for seed in range(3):
        loss, steps = _train(subject, seed)
        if loss <= _ENOUGH:
            return f"loss {_CHANCE:.2f} to {loss:.2f} in {steps} steps"
        reached.append(loss)
        if not math.isfinite(loss):
            raise Violation(
                f"the loss of a small memory problem becomes {loss}",
                "keep a state from growing at every step: a factor below 1, tanh, or a division",
            )
    raise Violation(
        f"the loss of a small memory problem (name the first of {_LENGTH} symbols) stays at "
        f"{min(reached):.2f}, where guessing gives {_CHANCE:.2f}",
        "let the new state depend on the old one and on x, and the output on the state; let a "
        "gate begin open, by forget_gate",
    )


def _train(subject: CellSubject, seed: int) -> tuple[float, int]:
    """The loss that is reached, smoothed, and after how many steps."""
    cell = subject.make(_SYMBOLS + 1, _WIDTH, training=True, dtype=torch.float32, seed=seed)
    initialize(cell)
    head = nn.Linear(_WIDTH, _SYMBOLS)
    weights = [*cell.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, lr=0.01)
    smooth = _CHANCE
    for step in range(1, _MOST_STEPS + 1):
        symbols = torch.randint(_SYMBOLS, (_ROWS, _LENGTH))
        # The mark is for gates that see the input alone.
        x = F.pad(F.one_hot(symbols, _SYMBOLS).float(), (0, 1))
        x[:, 0, _SYMBOLS] = 1.0
        outputs, _ = unroll(cell, x)
        loss = F.cross_entropy(head(outputs[:, -1]), symbols[:, 0])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()
        smooth = 0.8 * smooth + 0.2 * float(loss.detach())
        if smooth <= _ENOUGH or not math.isfinite(smooth):
            return smooth, step
    return smooth, _MOST_STEPS
