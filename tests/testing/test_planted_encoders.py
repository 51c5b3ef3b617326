"""Broken encoders: which check catches each, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn import Encoder, EncoderState
from seqnlp.testing import Report, check_encoder
from seqnlp.types import Encoded, lengths_to_mask


class Plain(Encoder):
    """A mean of all before, by a layer. Source: none."""

    def __init__(self, input_size: int, *, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size)
        self.layer = nn.Linear(input_size, hidden_size)

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        zeroed = self.layer(x.masked_fill(~mask.unsqueeze(2), 0.0)) * mask.unsqueeze(2)
        return torch.tanh(zeroed.cumsum(1)) * mask.unsqueeze(2)

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        mask = lengths_to_mask(lengths, x.shape[1])
        states = self.read(x, mask)
        return Encoded(states=states, mask=mask, summary=states.sum(1))


class LeakyPadding(Plain):
    """Sums over padding too."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        encoded = super().forward(x, lengths)
        summary = torch.tanh(self.layer(x).mean(1))
        return Encoded(states=encoded.states, mask=encoded.mask, summary=summary)


class LeakyGradients(Plain):
    """Lets a gradient into padding only."""

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        leak = x.sum() - x.detach().sum()
        return super().read(x, mask) + leak * mask.unsqueeze(2)


class MixedRows(Plain):
    """Subtracts the mean of the batch."""

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        states = super().read(x, mask)
        return (states - states.mean(0)) * mask.unsqueeze(2)


class WrongWhereSizesMeet(Plain):
    """Takes B for H."""

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        states = super().read(x, mask)
        return states * mask[:, -1] if len(x) == self.output_size else states


class NoMask(Plain):
    """Says that all is real."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        encoded = super().forward(x, lengths)
        return Encoded(
            states=encoded.states, mask=torch.ones_like(encoded.mask), summary=encoded.summary
        )


class Detached(Plain):
    """Loses its gradient on the way."""

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().read(x, mask) + super().read(x, mask).detach()


class Remembering(Plain):
    """Keeps the last batch."""

    last: Tensor | float = 0.0

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        encoded = super().forward(x, lengths)
        self.last = encoded.summary
        return encoded


class InPlace(Plain):
    """Zeroes what it was given."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        with torch.no_grad():
            x[:, 0] *= 2
        return super().forward(x, lengths)


class HiddenList(Plain):
    """Keeps its layer where torch does not look."""

    def __init__(self, input_size: int, *, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size=hidden_size)
        self.weight = torch.randn(hidden_size, dtype=torch.float64)

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().read(x, mask) * self.weight.to(x.dtype)


class Unused(Plain):
    """Makes a layer that it does not use."""

    def __init__(self, input_size: int, *, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size=hidden_size)
        self.other = nn.Linear(3, 3)


class Noisy(Plain):
    """Drops in evaluation too."""

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        return nn.functional.dropout(super().read(x, mask), 0.1)


class Careless(Plain):
    """Swallows options."""

    def __init__(self, input_size: int, **options: Any) -> None:
        super().__init__(input_size)


class Empty(Plain):
    """Divides by nothing."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        encoded = super().forward(x, lengths)
        summary = encoded.states.sum(1) / lengths.unsqueeze(1)
        return Encoded(states=encoded.states, mask=encoded.mask, summary=summary)


class Forgetful(Plain):
    """Streams, but begins anew with each chunk."""

    def initial_state(self, batch_size: int) -> EncoderState:
        return EncoderState(layers=(), summary=torch.zeros(batch_size, self.output_size).double())

    def advance(
        self, x: Tensor, lengths: Tensor | None, state: EncoderState
    ) -> tuple[Encoded, EncoderState]:
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[1])
        encoded = self(x, lengths)
        return encoded, EncoderState(layers=(), summary=encoded.summary)


class HalfStreaming(Plain):
    """Has a first state, but reads on nowhere."""

    def initial_state(self, batch_size: int) -> EncoderState:
        raise InputError("not yet")


class Positions(Plain):
    """Knows few positions."""

    def __init__(self, input_size: int, *, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size=hidden_size)
        self.positions = nn.Embedding(64, input_size)

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().read(x + self.positions(torch.arange(x.shape[1])), mask)


class Refusing(Positions):
    """Knows few positions and says so."""

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        if x.shape[1] > 64:
            raise InputError("reads 64 words at the most: set text.max_tokens = 64")
        return super().read(x, mask)


class DetachedSummary(Plain):
    """Loses the gradient of one of two outputs."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        encoded = super().forward(x, lengths)
        return replace(encoded, summary=encoded.summary.detach())


class Seeding(Plain):
    """Begins with the same weights always."""

    def __init__(self, input_size: int, *, hidden_size: int = 8) -> None:
        torch.manual_seed(0)
        super().__init__(input_size, hidden_size=hidden_size)


class Memoizing(Plain):
    """Keeps weights of the first call in a dict."""

    def __init__(self, input_size: int, *, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size=hidden_size)
        self.memo: dict[str, Tensor] = {}

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        scale = self.memo.setdefault("scale", self.layer.weight.detach().norm())
        return super().read(x, mask) * scale


FAULTS = {
    LeakyPadding: ("padding is invisible", "x may hold anything beyond lengths"),
    LeakyGradients: ("padding is invisible", "take the summary at lengths - 1"),
    MixedRows: ("a batch equals its rows one by one", "compute each row from itself alone"),
    WrongWhereSizesMeet: ("a batch equals its rows one by one", "no view that mixes"),
    NoMask: ("shapes are right", "make it by the lengths"),
    Detached: ("gradients are right", "detach nothing on the way"),
    Remembering: ("nothing is kept between calls", "keep no tensor on self in forward"),
    InPlace: ("inputs are left alone", "write x = x + y, not x += y"),
    HiddenList: ("saved and loaded it is the same", "register what it learns as nn.Parameter"),
    Unused: ("every weight learns", "use them in forward, or do not make them"),
    Noisy: ("a seed repeats it", "make evaluation free of chance"),
    Careless: ("options are typed", "name each option"),
    Positions: ("long texts are read", "raise an InputError that names the most"),
    DetachedSummary: ("gradients are right", "detach nothing on the way"),
    Seeding: ("a seed repeats it", "no torch.manual_seed"),
    Memoizing: ("nothing is kept between calls", "keep no tensor on self in forward"),
    Empty: ("empty texts and batches are read", "return zeros at once"),
    Forgetful: ("streams, or says that it cannot", "let EncoderState carry all"),
    HalfStreaming: ("streams, or says that it cannot", "override both"),
}


def failed(report: Report) -> dict[str, str]:
    return {each.check: each.remedy for each in report.failed}


def test_a_plain_one_passes() -> None:
    assert check_encoder(Plain).ok


def test_a_length_may_be_refused_by_a_message() -> None:
    (found,) = check_encoder(Refusing, only="long texts are read").findings
    assert found.what == "reads 64 words at the most: set text.max_tokens = 64"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught_by_its_check(fault: type[Encoder]) -> None:
    check, remedy = FAULTS[fault]
    report = check_encoder.examine(fault, only=None)
    assert remedy in failed(report).get(check, ""), report.lines()
