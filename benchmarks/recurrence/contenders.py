"""What is timed: cells on an engine, torch's modules, a plain loop, the products alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn, sigmoid, tanh

from recurrence.timing import Call
from seqnlp.nn import Cell, GatedCell, unroll
from seqnlp.nn.cells import Gates, State

TORCH: dict[str, Callable[..., nn.RNNBase]] = {
    "nn.LSTM": nn.LSTM,
    "nn.GRU": nn.GRU,
    "nn.RNN": nn.RNN,
}
STEPS: dict[str, Callable[..., nn.RNNCellBase]] = {
    "nn.LSTM": nn.LSTMCell,
    "nn.GRU": nn.GRUCell,
    "nn.RNN": nn.RNNCell,
}
GATES = {"nn.LSTM": 4, "nn.GRU": 3, "nn.RNN": 1}

PRODUCTS = ("mm", "mm, weight transposed", "oneDNN")

PEEPHOLE = "my_peephole"
"""The name of the cell below, as a user would register it."""


class MyPeepholeLSTM(GatedCell):
    """What a user writes: an LSTM whose gates see the memory (Gers and Schmidhuber 2000)."""

    gates, states, forget_gate = 4, 2, 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        for name in ("p_i", "p_f", "p_o"):
            self.register_parameter(name, nn.Parameter(torch.zeros(hidden_size)))

    def update(
        self, x_gates: Gates, h_gates: Gates, state: State, p_i: Tensor, p_f: Tensor, p_o: Tensor
    ) -> State:
        i, f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        c = sigmoid(f + p_f * state[1]) * state[1] + sigmoid(i + p_i * state[1]) * tanh(g)
        return sigmoid(o + p_o * c) * tanh(c), c


@dataclass(frozen=True, kw_only=True)
class Size:
    """T steps of B rows, H features in and out."""

    time: int
    batch: int
    hidden: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """From "T,B,H".

        Raises:
            ValueError: it is not three positive integers.
        """
        time, batch, hidden = map(int, text.split(","))
        if min(time, batch, hidden) < 1:
            raise ValueError(text)
        return cls(time=time, batch=batch, hidden=hidden)

    def __str__(self) -> str:
        return f"T{self.time} B{self.batch} H{self.hidden}"


Forward = Callable[[Tensor], Tensor]

Batches = Sequence[tuple[Tensor, Tensor]]
"""Padded batches, x [B, T, I], with the lengths of their rows, int64 [B]."""


def training(forward: Forward, x: Tensor, weights: Sequence[Tensor]) -> Call:
    """Forward, and backward to the input and to every weight."""
    x = x.detach().requires_grad_()
    wanted = [x, *weights]
    gradient = torch.randn_like(forward(x))
    return lambda: torch.autograd.grad(forward(x), wanted, gradient)


def inference(forward: Forward, x: Tensor) -> Call:
    """Forward alone."""

    def call() -> None:
        with torch.no_grad():
            forward(x)

    return call


def call_of(module: nn.Module, forward: Forward, x: Tensor, mode: str) -> Call:
    """A call in "training" or "inference"; `forward` runs `module`."""
    module.to(x.device).train(mode == "training")
    if mode == "inference":
        return inference(forward, x)
    return training(forward, x, list(module.parameters()))


def own(cell: Cell, x: Tensor, mode: str, engine: str) -> Call:
    """A cell on x [B, T, I]."""
    return call_of(cell, lambda x: unroll(cell, x, engine=engine)[0], x, mode)


def torchs(name: str, x: Tensor, mode: str, *, batch_first: bool) -> Call:
    """A module of torch, on x [B, T, I] or on the same in the order of time."""
    module = TORCH[name](x.shape[2], x.shape[2], batch_first=batch_first)
    return call_of(module, lambda x: module(x)[0], in_order(x, batch_first), mode)


def loop(name: str, x: Tensor, mode: str) -> Call:
    """Torch's cell of that kind in a plain loop over `unbind`, the best order for it."""
    cell = STEPS[name](x.shape[2], x.shape[2])

    def forward(x: Tensor) -> Tensor:
        outputs, state = [], None
        for x_t in x.unbind(0):
            state = cell(x_t, state)
            outputs.append(state[0] if isinstance(cell, nn.LSTMCell) else state)
        return torch.stack(outputs)

    return call_of(cell, forward, in_order(x, False), mode)


def products(name: str, x: Tensor, mode: str, *, by: str) -> Call:
    """The products that a recurrence can't do without, and nothing else.

    One with the whole input and one a step; in training one a step backward, and after the loop
    those for the gradients of the input and of both weights.

    Args:
        name: of the module of torch whose products they are.
        x: float [B, T, I].
        mode: "training" or "inference".
        by: one of `PRODUCTS`; which is fastest depends on the processor and on the sizes.
    """
    batch, time, size = x.shape
    weight = torch.randn(GATES[name] * size, size, device=x.device)
    inputs, h = x.reshape(time * batch, size), x[:, 0].contiguous()
    gates = torch.randn(time * batch, len(weight), device=x.device)
    steps = gates.view(time, batch, len(weight)).unbind(0)
    back, to_inputs, to_weight = (torch.empty_like(each) for each in (h, inputs, weight))

    def multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
        """Of [M, K] and [N, K], the second transposed."""
        if by == "oneDNN":
            _linear(left, right)
        else:
            torch.mm(left, right.t(), out=out)

    def call() -> None:
        right, left = weight, weight.t()
        if by == "oneDNN":
            right, left = (_reorder(each.contiguous(), batch) for each in (right, left))
        elif by == "mm, weight transposed":
            right = weight.t().contiguous().t()
        multiply(inputs, weight, gates)
        for step in steps:
            multiply(h, right, step)
        if mode == "training":
            for step in steps:
                multiply(step, left, back)
            multiply(gates, weight.t(), to_inputs)
            for _ in range(2):
                multiply(gates.t(), inputs.t(), to_weight)

    return call


def _linear(left: Tensor, right: Tensor) -> None:
    torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")


def _reorder(weight: Tensor, batch: int) -> Tensor:
    """A weight in the order that oneDNN likes best."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, batch)
    return packed


def padded(name: str, batches: Batches, *, batch_first: bool) -> Call:
    """Training of a module of torch on padded batches, as if nothing were padding."""
    size = batches[0][0].shape[2]
    module = TORCH[name](size, size, batch_first=batch_first)
    return together(
        call_of(module, lambda x: module(x)[0], in_order(x, batch_first), "training")
        for x, _ in batches
    )


def packed(name: str, batches: Batches, *, batch_first: bool) -> Call:
    """The same, packed and padded again; rows stand in the order of their lengths."""
    size = batches[0][0].shape[2]
    module = TORCH[name](size, size, batch_first=batch_first)

    def run(x: Tensor, lengths: Tensor) -> Tensor:
        rows = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=batch_first)
        return nn.utils.rnn.pad_packed_sequence(module(rows)[0], batch_first=batch_first)[0]

    return together(
        call_of(module, partial(run, lengths=lengths), in_order(x, batch_first), "training")
        for x, lengths in batches
    )


def ragged(cell: Cell, batches: Batches, engine: str) -> Call:
    """Training of a cell on the real steps of padded batches."""

    def run(x: Tensor, lengths: Tensor) -> Tensor:
        return unroll(cell, x, lengths.to(x.device), engine=engine)[0]

    return together(
        call_of(cell, partial(run, lengths=lengths), x, "training") for x, lengths in batches
    )


def in_order(x: Tensor, batch_first: bool) -> Tensor:
    """The same [B, T, I], or [T, B, I] in memory of its own."""
    return x if batch_first else x.transpose(0, 1).contiguous()


def together(calls: Iterable[Call]) -> Call:
    """All calls, one after another."""
    every = list(calls)

    def call() -> None:
        for one in every:
            one()

    return call
