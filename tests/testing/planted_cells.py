"""Cells with one fault each, as their authors come to write them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn, sigmoid, tanh

from seqnlp.nn import Cell, GatedCell, Gates, LinearCell, NativeForm, Role, State


class Plain(GatedCell):
    """A right one, which the others are changes of.

    Source: own.
    """

    gates = 1

    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return (tanh(x_gates[0] + h_gates[0]),)


class Memory(GatedCell):
    """A right one with a memory.

    Source: own.
    """

    gates = 3
    states = 2
    forget_gate = 0

    def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
        f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        c = sigmoid(f) * state[1] + tanh(g)
        return sigmoid(o) * tanh(c), c


class Free(Cell):
    """A right one of the most general kind.

    Source: own.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> Any:
        return (self.linear.weight.new_zeros(batch_size, self.hidden_size),)

    def forward(self, x: Tensor, state: Any) -> Any:
        h = tanh(self.linear(torch.cat([x, state[0]], 1)))
        return h, (h,)


class Blend(LinearCell):
    """A right one that is linear in its state.

    Source: own.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size, 2 * hidden_size)

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        f, b = self.linear(x).chunk(2, dim=2)
        return sigmoid(f), b


# What cannot be made.


class NoSuper(Cell):
    """Source: own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        self.weight = nn.Parameter(torch.zeros(hidden_size, input_size))

    def initial_state(self, batch_size: int) -> State:
        return ()

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x @ self.weight.t(), state


class LateSuper(GatedCell):
    """Source: own."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        self.slope = nn.Parameter(torch.ones(hidden_size))
        super().__init__(input_size, hidden_size)

    def update(self, x_gates: Any, h_gates: Any, state: Any, slope: Any = None) -> Any:
        return (tanh(x_gates[0] + slope * h_gates[0]),)


class NoSizes(GatedCell):
    """Source: own."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()  # type: ignore[call-arg]

    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return (tanh(x_gates[0] + h_gates[0]),)


class NoGates(GatedCell):
    """Source: own."""

    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return (tanh(x_gates[0] + h_gates[0]),)


class NoUpdate(GatedCell):
    """Source: own."""

    gates = 1

    def step(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return (tanh(x_gates[0] + h_gates[0]),)


class NoParameters(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        Cell.__init__(self, input_size, hidden_size)
        self.weight = torch.randn(hidden_size, input_size)


class NotACell(nn.Module):
    """Source: own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(input_size, hidden_size)


class OtherSizes(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, 2 * hidden_size)


class NeedsOption(Plain):
    def __init__(self, input_size: int, hidden_size: int, *, scale: float) -> None:
        super().__init__(input_size, hidden_size)


class OtherNames(Plain):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)


# What is of another shape or type.


class BareState(Free):
    def initial_state(self, batch_size: int) -> Any:
        return self.linear.weight.new_zeros(batch_size, self.hidden_size)


class RowsLast(Free):
    def initial_state(self, batch_size: int) -> Any:
        return (self.linear.weight.new_zeros(self.hidden_size, batch_size),)


class SinglePrecision(Free):
    def initial_state(self, batch_size: int) -> Any:
        return (torch.zeros(batch_size, self.hidden_size),)


class ConstantPrecision(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = tanh(self.linear(torch.cat([x, state[0]], 1)))
        h = F.linear(h, torch.eye(self.hidden_size))
        return h, (h,)


class BareLeaf(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return tanh(x_gates[0] + h_gates[0])


class NoComma(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return [tanh(x_gates[0] + h_gates[0])]


class LostLeaf(Memory):
    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return (super().update(x_gates, h_gates, state)[0],)


class StateOnly(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        return (tanh(self.linear(torch.cat([x, state[0]], 1))),)


class OutputOnly(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        return tanh(self.linear(torch.cat([x, state[0]], 1)))


class BareNewState(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = tanh(self.linear(torch.cat([x, state[0]], 1)))
        return h, h


class WrongWidth(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = tanh(self.linear(torch.cat([x, state[0]], 1)))
        return torch.cat([h, x], 1), (h,)


class TooManyGates(Memory):
    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        i, f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        c = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


class TooFewGates(Memory):
    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        return sigmoid(o) * tanh(g), g


class GateOutOfRange(Memory):
    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        c = sigmoid(x_gates[3] + h_gates[3]) * state[1]
        return tanh(c), c


class LeafOutOfRange(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return (tanh(x_gates[0] + h_gates[0]) + state[1],)


class UnpacksOneLeaf(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        h, c = state
        return (tanh(x_gates[0] + h_gates[0]) + h, c)


class WholeGates(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return (tanh(x_gates + h_gates),)


class WholeState(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return (tanh(x_gates[0] + h_gates[0]) + 0.5 * state,)


class MissingImport(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return (relu(x_gates[0] + h_gates[0]),)  # type: ignore[name-defined]  # noqa: F821


class MissingModule(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        import my_activations  # type: ignore[import-not-found]

        return (my_activations.swish(x_gates[0] + h_gates[0]),)


class Misspelled(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return (torch.sigmod(x_gates[0] + h_gates[0]),)  # type: ignore[attr-defined]


class FewArguments(Plain):
    def update(self, x_gates: Any, state: Any) -> Any:  # type: ignore[override]
        return (tanh(x_gates[0]),)


class UntakenParameter(GatedCell):
    """Source: own."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.slope = nn.Parameter(torch.ones(hidden_size))

    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return (tanh(x_gates[0] + self.slope * h_gates[0]),)


class NoForward(Cell):
    """Source: own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight = nn.Parameter(torch.zeros(hidden_size))

    def initial_state(self, batch_size: int) -> State:
        return (self.weight.new_zeros(batch_size, self.hidden_size),)


class WrongProduct(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = tanh(self.linear(x))
        return h, (h,)


# What is changed, kept or drawn.


class ScalesState(Memory):
    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        h, c = super().update(x_gates, h_gates, state)
        return h, state[1].mul_(0.5).add_(c)


class ScalesStateFreely(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = state[0]
        h *= 0.5
        h = h + tanh(self.linear(torch.cat([x, h], 1)))
        return h, (h,)


class ScalesInput(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        x.mul_(2)
        return super().forward(x, state)


class ScalesGate(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        gate = sigmoid(x_gates[0])
        kept = gate * h_gates[0]
        gate.mul_(2)
        return (tanh(kept + gate),)


class MakesParameter(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        if not hasattr(self, "slope"):
            self.slope = nn.Parameter(torch.ones(self.hidden_size))
        return (tanh(x_gates[0] + h_gates[0]),)


class MakesLayer(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = tanh(nn.Linear(x.shape[1], self.hidden_size).to(x)(x) + state[0])
        return h, (h,)


class RemembersOnSelf(Free):
    before: Any = None

    def forward(self, x: Tensor, state: Any) -> Any:
        h, _ = super().forward(x, state)
        h = h if self.before is None or len(self.before) != len(h) else h + 0.5 * self.before
        self.before = h.detach()
        return h, (h,)


class RemembersInDict(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.memo: dict[str, Tensor] = {}

    def forward(self, x: Tensor, state: Any) -> Any:
        bias = self.memo.setdefault("bias", self.linear.bias.detach().clone())
        h = tanh(self.linear(torch.cat([x, state[0]], 1)) + bias)
        return h, (h,)


class EndsPython(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        raise SystemExit(3)


class CountsOnSelf(Free):
    count = 0

    def forward(self, x: Tensor, state: Any) -> Any:
        self.count += 1
        h = super().forward(x, state)[0] / self.count
        return h, (h,)


class AlwaysDrops(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        return (F.dropout(tanh(x_gates[0] + h_gates[0]), 0.2),)


class Shakes(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = super().forward(x, state)[0] + random.random()
        return h, (h,)


class Squeezes(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = super().forward(x, state)[0].squeeze()
        return h, (h,)


class CallsNumpy(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = torch.from_numpy(np.tanh(self.linear(torch.cat([x, state[0]], 1)).numpy()))
        return h, (h,)


# What is read in another order than it is returned.


class Swapped(Memory):
    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        h, c = super().update(x_gates, h_gates, state)
        return c, h


class ReturnsOldMemory(Memory):
    def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
        h, c = state
        f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        new = sigmoid(f) * h + tanh(g)
        return sigmoid(o) * tanh(new), c


class SwappedMemories(Memory):
    """A sum and a count of what is in it, returned the other way round.

    Source: own.
    """

    states = 3

    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        f, i = sigmoid(f), sigmoid(o)
        c = f * state[1] + i * tanh(g)
        n = f * state[2] + i
        return c / (n + 1), n, c


class SwappedNames(Free):
    def initial_state(self, batch_size: int) -> Any:
        return super().initial_state(batch_size) * 2

    def forward(self, x: Tensor, state: Any) -> Any:
        h, c = state
        c = 0.9 * c + tanh(self.linear(torch.cat([x, h], 1)))
        h = tanh(c)
        return h, (c, h)


class SwappedShapes(Free):
    def initial_state(self, batch_size: int) -> Any:
        (h,) = super().initial_state(batch_size)
        return h, h.new_zeros(batch_size, 2 * self.hidden_size)

    def forward(self, x: Tensor, state: Any) -> Any:
        h, c = state
        new_h, _ = super().forward(x, (h,))
        return new_h, (0.5 * c + new_h.repeat(1, 2), new_h)


# What mixes rows or steps.


class Centers(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        h = tanh(x_gates[0] + h_gates[0])
        return (h - h.mean(0),)


class Branches(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        if x_gates[0].mean() > 0:
            return (tanh(x_gates[0] + h_gates[0]),)
        return (tanh(x_gates[0] - h_gates[0]),)


class Undeclared(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.norm = nn.BatchNorm1d(hidden_size)

    def forward(self, x: Tensor, state: Any) -> Any:
        h, _ = super().forward(x, state)
        h = self.norm(h)
        return h, (h,)


class SharedMemory(Free):
    """One memory [H, H] for all rows.

    Source: own.
    """

    def initial_state(self, batch_size: int) -> Any:
        size = self.hidden_size
        return *super().initial_state(batch_size), self.linear.weight.new_zeros(size, size)


class LooksAhead(Blend):
    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = super().coefficients(x)
        return a, b + b.mean(1, keepdim=True)


class CountsSteps(Blend):
    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = super().coefficients(x)
        return a, b * torch.arange(1, x.shape[1] + 1).to(x).unsqueeze(1)


# What cannot learn.


class Detaches(Memory):
    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return super().update(x_gates, h_gates, (state[0], state[1].detach()))


class ReadsNumber(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, state: Any) -> Any:
        h = super().forward(x, state)[0] * self.scale.item()
        return h, (h,)


class ThroughNumpy(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        h = np.tanh((x_gates[0] + h_gates[0]).detach().numpy())
        return (torch.from_numpy(h),)


class Unused(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.slope = nn.Parameter(torch.ones(hidden_size))


class ForgetsAll(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, state: Any) -> Any:
        h = tanh(self.linear(x))
        return h, (h,)


class RootBelowZero(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        z = self.linear(torch.cat([x, state[0]], 1))
        h = torch.where(z > 0, z.sqrt(), torch.zeros_like(z))
        return h, (h,)


class Explodes(Free):
    def forward(self, x: Tensor, state: Any) -> Any:
        h = 1e9 * self.linear(torch.cat([x, state[0]], 1))
        return h, (h,)


class DrawsByNumpy(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        drawn = np.random.default_rng().standard_normal((hidden_size, input_size + hidden_size))
        self.linear.weight = nn.Parameter(torch.tensor(drawn, dtype=torch.float32))


class Seeds(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        torch.manual_seed(0)
        super().__init__(input_size, hidden_size)


class Grows(Blend):
    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        f, b = self.linear(x).chunk(2, dim=2)
        return 2 + sigmoid(f), b


class NeverFilled(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.slope = nn.Parameter(torch.empty(hidden_size))

    def forward(self, x: Tensor, state: Any) -> Any:
        h = super().forward(x, state)[0] * (1 + 0.1 * tanh(self.slope.nan_to_num()))
        return h, (h,)


class Copies(Free):
    def weight_blocks(self) -> Any:
        yield Role.INPUT, self.linear.weight.clone()


class AsksMode(Plain):
    def update(self, x_gates: Any, h_gates: Any, state: Any, **_: Any) -> Any:
        h = tanh(x_gates[0] + h_gates[0])
        return (h if self.training else 0.8 * h,)


class ForgottenMask(Memory):
    masks = ("candidate_mask",)


class IdleMask(Memory):
    masks = ("candidate_mask",)

    def update(  # type: ignore[override]
        self, x_gates: Any, h_gates: Any, state: Any, *, candidate_mask: Any = None
    ) -> Any:
        return super().update(x_gates, h_gates, state)


class PlainTensor(Free):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.mix = torch.rand(hidden_size)

    def forward(self, x: Tensor, state: Any) -> Any:
        h = super().forward(x, state)[0] * self.mix.to(x)
        return h, (h,)


class SavesWords(Free):
    def get_extra_state(self) -> Any:
        return "some words"

    def set_extra_state(self, state: Any) -> None:
        pass


class ClaimsToBeLSTM(GatedCell):
    """Source: own."""

    gates = 4
    states = 2

    def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
        i, f, o, g = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        c = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def native(self) -> NativeForm | None:
        return NativeForm.LSTM


# What a user reads and types.


class Wordless(Plain):
    pass


Wordless.__doc__ = None


class Sourceless(Plain):
    """A cell from somewhere."""


class TakesAnything(Plain):
    """Source: own."""

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size)


class Untyped(Plain):
    """Source: own."""

    def __init__(self, input_size: int, hidden_size: int, *, scale=1.0) -> None:  # type: ignore[no-untyped-def]
        super().__init__(input_size, hidden_size)


class WrongDefault(Plain):
    """Source: own."""

    def __init__(self, input_size: int, hidden_size: int, *, scale: float = "one") -> None:  # type: ignore[assignment]
        super().__init__(input_size, hidden_size)


class BrokenChoice(Free):
    """Source: own."""

    def __init__(self, input_size: int, hidden_size: int, *, wide: bool = False) -> None:
        super().__init__(input_size, hidden_size)
        if wide:
            self.linear = nn.Linear(2 * input_size + hidden_size, hidden_size)
