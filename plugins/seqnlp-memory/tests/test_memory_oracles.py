"""The cells against the equations of their papers, written out number by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from seqnlp.nn import Cell
from seqnlp.registry import cells

Floats = NDArray[np.float64]

NTMS = [
    {"slots": 5, "width": 3},
    {"slots": 7, "width": 2, "read_heads": 2, "write_heads": 3, "shift": 2},
    {"slots": 6, "width": 4, "controller": "feedforward"},
    {"slots": 3, "width": 3, "shift": 0},
]
STACKS = [
    {"depth": 4, "width": 3},
    {"depth": 5, "width": 2, "stacks": 3, "tops": 2},
    {"depth": 1, "width": 2, "controller": "feedforward"},
]

DNCS = [
    {"slots": 4, "width": 3},
    {"slots": 5, "width": 2, "read_heads": 3, "controller": "feedforward"},
]


def make(name: str, options: dict[str, Any], seed: int = 0) -> Cell:
    torch.manual_seed(seed)
    cell: Cell = cells.get(name)(3, 4, **options).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(std=0.8)
    return cell


def arrays(cell: Cell) -> dict[str, Floats]:
    return {name: p.detach().numpy() for name, p in cell.named_parameters()}


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def softmax(x: Floats) -> Floats:
    return np.exp(x) / np.exp(x).sum()


def control(p: dict[str, Floats], x: Floats, r: Floats, h: Floats | None, c: Floats | None) -> Any:
    seen = np.concatenate([x, r])
    if h is None or c is None:
        return np.tanh(p["weight_x"] @ seen + p["bias"]), None
    i, f, g, o = np.split(p["weight_x"] @ seen + p["weight_h"] @ h + p["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def ntm_memory(
    z: Floats, w: Floats, m: Floats, *, readers: int, writers: int, shift: int
) -> tuple[Floats, Floats, Floats]:
    """Equations 2 to 9 for one example: w [A, N], m [N, W]."""
    heads, (slots, width) = readers + writers, m.shape
    take = iter(z)

    def some(count: int) -> Floats:
        return np.array([next(take) for _ in range(count)])

    keys = [np.tanh(some(width)) for _ in range(heads)]
    adds = [np.tanh(some(width)) for _ in range(writers)]
    erases = [sigmoid(some(width)) for _ in range(writers)]
    gates = sigmoid(some(heads))
    betas = np.log1p(np.exp(some(heads)))
    gammas = 1 + np.log1p(np.exp(some(heads)))
    moves = [softmax(some(2 * shift + 1)) for _ in range(heads)]
    assert next(take, None) is None
    new = np.zeros_like(w)
    for a in range(heads):
        cosines = [
            keys[a] @ m[i] / (np.linalg.norm(keys[a]) * np.linalg.norm(m[i])) for i in range(slots)
        ]
        content = softmax(betas[a] * np.array(cosines))
        gated = gates[a] * content + (1 - gates[a]) * w[a]
        moved = np.zeros(slots)
        for i in range(slots):
            for j in range(-shift, shift + 1):
                moved[i] += gated[(i - j) % slots] * moves[a][j + shift]
        new[a] = moved ** gammas[a] / (moved ** gammas[a]).sum()
    for k in range(writers):
        m = m * (1 - np.outer(new[readers + k], erases[k]))
    for k in range(writers):
        m = m + np.outer(new[readers + k], adds[k])
    return np.concatenate([new[a] @ m for a in range(readers)]), new, m


@pytest.mark.parametrize("options", NTMS)
def test_a_step_of_the_turing_machine_is_the_equations_of_the_paper(
    options: dict[str, Any],
) -> None:
    cell: Any = make("ntm", options)
    p = arrays(cell)
    batch = 2
    x = torch.randn(batch, 3).double()
    start = cell.initial_state(batch)
    heads = torch.rand_like(start[-2]).softmax(2)
    memory = torch.randn_like(start[-1])
    control_state = tuple(torch.randn(leaf.shape).double() for leaf in start[:-2])
    output, state = cell(x, (*control_state, heads, memory))
    for row in range(batch):
        before = [leaf[row].numpy() for leaf in control_state]
        h, c = (before[0], before[1]) if len(before) == 3 else (None, None)
        h, c = control(p, x[row].numpy(), before[-1], h, c)
        z = p["interface.weight"] @ h + p["interface.bias"]
        reads, w, m = ntm_memory(
            z, heads[row].numpy(), memory[row].numpy(),
            readers=cell.read_heads, writers=cell.write_heads, shift=cell.shift,
        )  # fmt: skip
        expected = [reads, w, m] if c is None else [h, c, reads, w, m]
        for leaf, value in zip(state, expected, strict=True):
            np.testing.assert_allclose(leaf[row].detach(), value, rtol=1e-8, atol=1e-10)
        y = h + p["reading.weight"] @ reads
        np.testing.assert_allclose(output[row].detach(), y, rtol=1e-8, atol=1e-10)


def test_the_heads_begin_on_the_first_slot_of_a_memory_that_is_all_but_empty() -> None:
    heads, memory = make("ntm", NTMS[1]).initial_state(2)[-2:]
    assert heads.tolist() == [[[1.0] + [0.0] * 6] * 5] * 2
    assert memory.unique().tolist() == [1e-6]


@pytest.mark.parametrize("options", STACKS)
def test_a_step_of_the_stack_is_the_equations_of_the_paper(options: dict[str, Any]) -> None:
    cell: Any = make("stack", options)
    p = arrays(cell)
    batch = 2
    x = torch.randn(batch, 3).double()
    start = cell.initial_state(batch)
    before = tuple(torch.randn(leaf.shape).double() for leaf in start)
    output, state = cell(x, before)
    for row in range(batch):
        leaves = [leaf[row].numpy() for leaf in before]
        h, c = (leaves[0], leaves[1]) if len(leaves) == 4 else (None, None)
        h, c = control(p, x[row].numpy(), leaves[-2], h, c)
        z = (p["interface.weight"] @ h + p["interface.bias"]).reshape(cell.stacks, -1)
        stacks = leaves[-1].copy()
        for k in range(cell.stacks):
            push, keep, pop = softmax(z[k, :3])
            value = sigmoid(z[k, 3:])
            for i in range(cell.depth):
                above = value if i == 0 else leaves[-1][k, i - 1]
                below = leaves[-1][k, i + 1] if i + 1 < cell.depth else -np.ones(cell.width)
                stacks[k, i] = push * above + keep * leaves[-1][k, i] + pop * below
        reads = stacks[:, : cell.tops].reshape(-1)
        expected = [reads, stacks] if c is None else [h, c, reads, stacks]
        for leaf, wanted in zip(state, expected, strict=True):
            np.testing.assert_allclose(leaf[row].detach(), wanted, rtol=1e-9, atol=1e-12)
        y = h + p["reading.weight"] @ reads
        np.testing.assert_allclose(output[row].detach(), y, rtol=1e-9, atol=1e-12)


def similar(keys: Floats, beta: float, m: Floats) -> Floats:
    """Equation 5; a slot that is zero is like no key."""
    norms = [max(np.linalg.norm(keys) * np.linalg.norm(slot), 1e-300) for slot in m]
    return softmax(beta * np.array([keys @ m[i] / norms[i] for i in range(len(m))]))


def dnc_memory(z: Floats, leaves: list[Floats], heads: int) -> tuple[Floats, list[Floats]]:
    """The equations of "Dynamic memory addressing", for one example."""
    u, w, p, v, links, m = leaves
    slots, width = m.shape
    take = iter(z)

    def some(count: int) -> Floats:
        return np.array([next(take) for _ in range(count)])

    keys = [some(width) for _ in range(heads + 1)]
    betas = 1 + np.log1p(np.exp(some(heads + 1)))
    value, erase, free = some(width), sigmoid(some(width)), sigmoid(some(heads))
    write, allocate = sigmoid(some(2))
    modes = [softmax(some(3)) for _ in range(heads)]
    assert next(take, None) is None
    u = u + w - u * w
    for i in range(heads):
        u = u * (1 - free[i] * v[i])
    places, a = sorted(range(slots), key=lambda n: round(u[n] * 1e4)), np.zeros(slots)
    for j in range(slots):
        a[places[j]] = (1 - u[places[j]]) * np.prod([u[places[i]] for i in range(j)])
    w = write * (allocate * a + (1 - allocate) * similar(keys[heads], betas[heads], m))
    m = m * (1 - np.outer(w, erase)) + np.outer(w, value)
    new = np.zeros_like(links)
    for i in range(slots):
        for j in range(slots):
            if i != j:
                new[i, j] = (1 - w[i] - w[j]) * links[i, j] + w[i] * p[j]
    p = (1 - w.sum()) * p + w
    v = np.array([
        modes[i][0] * new.T @ v[i] + modes[i][1] * similar(keys[i], betas[i], m)
        + modes[i][2] * new @ v[i]
        for i in range(heads)
    ])  # fmt: skip
    return np.concatenate([v[i] @ m for i in range(heads)]), [u, w, p, v, new, m]


@pytest.mark.parametrize("options", DNCS)
def test_steps_of_the_neural_computer_are_the_equations_of_the_paper(
    options: dict[str, Any],
) -> None:
    cell: Any = make("dnc", options)
    p = arrays(cell)
    state = cell.initial_state(2)
    own = [[leaf[row].detach().numpy() for leaf in state] for row in range(2)]
    for _ in range(6):
        x = torch.randn(2, 3).double()
        output, state = cell(x, state)
        for row in range(2):
            begin = len(own[row]) - 6
            h, c = (own[row][0], own[row][1]) if begin == 3 else (None, None)
            h, c = control(p, x[row].numpy(), own[row][begin - 1], h, c)
            z = p["interface.weight"] @ h + p["interface.bias"]
            reads, memory = dnc_memory(z, own[row][begin:], cell.read_heads)
            own[row] = [reads, *memory] if c is None else [h, c, reads, *memory]
            for leaf, value in zip(state, own[row], strict=True):
                np.testing.assert_allclose(leaf[row].detach(), value, rtol=1e-7, atol=1e-9)
            y = h + p["reading.weight"] @ reads
            np.testing.assert_allclose(output[row].detach(), y, rtol=1e-7, atol=1e-9)


def test_a_stack_that_pushes_and_pops_wholly_gives_back_what_came_last() -> None:
    cell: Any = make("stack", {"depth": 3, "width": 1})
    stack = cell.initial_state(1)[-1]
    sure, value = 60.0, [torch.logit(torch.tensor(v)).item() for v in (0.25, 0.5, 0.75)]
    seen = []
    for action, v in ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 0), (2, 0)):
        z = [0.0, 0.0, 0.0, value[v]]
        z[action] = sure
        reads, (stack,) = cell.access(torch.tensor([z]).double(), (stack,))
        seen.append(round(reads.item(), 6))
    assert seen == [0.25, 0.5, 0.75, 0.75, 0.5, 0.25, -1.0]
