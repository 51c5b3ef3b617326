"""Checks of many steps: padding, pieces, the order of rows, layers in both directions."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from seqnlp.nn import Cell, GatedCell, Padding, State, engines, unroll
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.testing.cells.learning import FINITE
from seqnlp.testing.cells.steps import to_comparable
from seqnlp.testing.cells.subject import (
    EXACT,
    RAGGED,
    B,
    CellSubject,
    D,
    H,
    T,
    distance,
    draw,
    expect_close,
    is_real_valued,
    learned,
    loop,
    start_of,
    weigh,
)
from seqnlp.testing.contract import Violation

_LONG = 300
_OWN_ROW = (
    "compute each row from itself: no mean, norm or index over axis 0, no if on a tensor's values "
    "(torch.where), leaves [B, ...] with the rows first"
)
_COEFFICIENTS = (
    "let the coefficients of a step depend on its own input and the window - 1 before it alone, "
    "not on how many steps are given or on later ones"
)
_ENGINE = (
    "let update compute from its arguments alone, and native() name a form of torch only where "
    "update is that form, gates in torch's order"
)


def check_padding(subject: CellSubject) -> None:
    """Padding, whatever stands there and however much, changes nothing that a run leaves behind."""
    lengths = torch.tensor(RAGGED)
    absent = (torch.arange(T + 2) >= lengths[:, None]).unsqueeze(2)
    shortest = min(range(B), key=lambda row: RAGGED[row] or T)
    for training in (False, True):
        cell = subject.make_moved(training=training)
        clean = draw(B, T, D)
        wider = torch.cat([clean, draw(B, 2, D)], dim=1)
        for reverse in (False, True):
            expected = _everything(cell, clean, lengths, reverse=reverse)
            for garbage in (float("nan"), 1e30):
                dirty = wider.masked_fill(absent, garbage)
                for x, what in (
                    (dirty[:, :T], f"with {garbage} on padding"),
                    (dirty, "with two steps of padding more"),
                ):
                    found = _everything(cell, x, lengths, reverse=reverse)
                    for name, tensor in found.items():
                        if not torch.equal(to_comparable(tensor), to_comparable(expected[name])):
                            raise Violation(f"{what} {name} change{_s(name)}", _OWN_ROW)
            if cell.rows_interact and training:
                continue
            other = clean.index_fill(0, torch.tensor([shortest]), 0.5)
            rest = [row for row in range(B) if row != shortest]
            outputs = _everything(cell, other, lengths, reverse=reverse)["the outputs"]
            if not distance(outputs[rest], expected["the outputs"][rest]) <= EXACT:
                raise Violation("rows that go on depend on one that has ended", _OWN_ROW)


def _s(name: str) -> str:
    return "" if name.endswith("outputs") else "s"


def _everything(cell: Cell, x: Tensor, lengths: Tensor, *, reverse: bool) -> dict[str, Tensor]:
    """All that a run leaves behind, by what it is called; of the first T steps."""
    own = deepcopy(cell)
    x = x.clone().requires_grad_()
    torch.manual_seed(1)
    outputs, state = unroll(own, x, lengths, reverse=reverse, engine="reference")
    wanted = {"the gradient of x": x}
    wanted |= {f"the gradient of {name}": each for name, each in learned(own).items()}
    outputs = outputs[:, :T]
    gradients = torch.autograd.grad(
        weigh(outputs, state), list(wanted.values()), materialize_grads=True, allow_unused=True
    )
    leaves = {f"leaf {index} of the final state": leaf for index, leaf in enumerate(state)}
    buffers = {f"the statistic {name}": buffer for name, buffer in own.named_buffers()}
    return {
        "the outputs": outputs,
        **leaves,
        **buffers,
        **dict(zip(wanted, (gradients[0][:, :T], *gradients[1:]), strict=True)),
    }


def check_steps(subject: CellSubject) -> None:
    """A whole batch equals each of its rows alone, one step at a time, from any state."""
    cell = subject.make_moved()
    x = draw(B, T, D)
    state = start_of(cell)
    chosen = engines.select("auto", cell, x).name
    for engine in dict.fromkeys(("reference", chosen)):
        what = "of a batch against each row by itself"
        remedy = _OWN_ROW
        if engine != "reference":
            what += f" (by the engine {engine!r})"
            remedy = _ENGINE if isinstance(cell, GatedCell) else _COEFFICIENTS
        with torch.no_grad():
            for lengths in ((T,) * B, RAGGED):
                for reverse in (False, True):
                    found = unroll(
                        cell, x, torch.tensor(lengths), state, reverse=reverse, engine=engine
                    )
                    expected = loop(cell, x, lengths, state, reverse=reverse)
                    expect_close(found, expected, what, remedy)


def check_long(subject: CellSubject) -> None:
    """A text of some hundred words overflows nothing, as a cell begins."""
    cell = subject.make(dtype=torch.float32)
    with torch.no_grad():
        outputs, state = unroll(cell, draw(B, _LONG, D, dtype=torch.float32), engine="reference")
    for name, found in (
        ("outputs", outputs),
        *((f"leaf {i}", leaf) for i, leaf in enumerate(state)),
    ):
        if is_real_valued(found) and not bool(found.isfinite().all()):
            raise Violation(
                f"after {_LONG} steps from its first weights {name} are not finite",
                "keep what a step multiplies the state by at 1 or below, by a gate's sigmoid, an "
                "orthogonal matrix or smaller first weights; or bound the state by tanh",
            )


def check_chunks(subject: CellSubject) -> None:
    """Two pieces, the second begun with the state after the first, equal the whole."""
    for training in (False, True):
        cell = subject.make_moved(training=training)
        x = draw(B, T, D)
        for cut in (1, 3):
            with torch.no_grad():
                torch.manual_seed(1)
                whole = unroll(deepcopy(cell), x)
                torch.manual_seed(1)
                own = deepcopy(cell)
                first, state = unroll(own, x[:, :cut])
                second, final = unroll(own, x[:, cut:], state=state)
            expect_close(
                (torch.cat([first, second], 1), final),
                whole,
                f"cut after {cut} of {T} steps",
                "keep all that a step needs of the past in the state: leaves of their own for a "
                "count or a window, and nothing on self",
            )


def check_rows(subject: CellSubject) -> None:
    """Other rows, and their order, change nothing of a row."""
    order = torch.tensor([2, 0, 3, 1])
    for training in (False, True):
        cell = subject.make_moved(training=training)
        x, state = draw(B, T, D), tuple(leaf.detach() for leaf in start_of(cell))
        if training and _draws(cell, x, state):
            continue  # its own dropout: rows get other masks
        with torch.no_grad():
            outputs, final = unroll(deepcopy(cell), x, state=state, engine="reference")
            turned = unroll(
                deepcopy(cell),
                x[order],
                state=tuple(leaf[order] for leaf in state),
                engine="reference",
            )
            expected = outputs[order], tuple(leaf[order] for leaf in final)
            expect_close(turned, expected, "with the rows in another order", _OWN_ROW)
            if training and cell.rows_interact:
                continue
            alone = unroll(
                deepcopy(cell), x[:1], state=tuple(leaf[:1] for leaf in state), engine="reference"
            )
        remedy = _OWN_ROW
        if training:
            remedy += "; where rows must meet in training, say rows_interact = True on the class"
        expected = outputs[:1], tuple(leaf[:1] for leaf in final)
        expect_close(alone, expected, "of a row alone against the same row in a batch", remedy)


def _draws(cell: Cell, x: Tensor, state: State) -> bool:
    before = torch.random.get_rng_state()
    with torch.no_grad():
        unroll(deepcopy(cell), x, state=state, engine="reference")
    return not torch.equal(torch.random.get_rng_state(), before)


def check_layers(subject: CellSubject) -> None:
    """Two layers of both directions equal the four runs that they are made of; gradients flow."""
    sizes = (D, 2 * H)
    cells = [subject.make(size, seed=seed + at) for at, size in enumerate(sizes) for seed in (1, 5)]
    layers = [
        RecurrentLayer(*cells[at : at + 2], residual=False, layer_norm=False, engine="auto").eval()
        for at in (0, 2)
    ]
    x = draw(B, T, D).requires_grad_()
    lengths = torch.tensor(RAGGED)
    padding = Padding.of(lengths, x)
    assert padding is not None
    found = expected = padding.zero(x)
    for layer, at in zip(layers, (0, 2), strict=True):
        found = layer(found, padding)
        runs = [
            loop(
                cells[at + turn],
                expected,
                RAGGED,
                cells[at + turn].initial_state(B),
                reverse=bool(turn),
            )[0]
            for turn in (0, 1)
        ]
        expected = torch.cat(runs, dim=2)
    expect_close((found, ()), (expected, ()), "of two layers in both directions", _OWN_ROW)
    weigh(found).backward()  # type: ignore[no-untyped-call]
    for cell in cells:
        for name, parameter in cell.named_parameters():
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
                raise Violation(
                    f"the gradient of {name} is not finite in two layers of both directions",
                    FINITE,
                )
