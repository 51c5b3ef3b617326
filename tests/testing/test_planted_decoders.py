"""Our decoders keep their contract; broken ones are caught."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqnlp.nn import Decoded, Decoder, DecoderState, GeneralAttention
from seqnlp.testing import Report, check_decoder
from seqnlp.types import Encoded, Memory
from tests.testing.test_networks import names


@pytest.mark.parametrize("name", names("decoders"))
def test_decoders(name: str) -> None:
    assert check_decoder(name).ok


@pytest.mark.parametrize(
    "options",
    [
        {"input_feeding": True, "cell": "gru", "layers_after": 0},
        {"layers": 2, "layers_after": 1, "attention": "location", "intra_attention": True},
        {"attention": "additive", "attention_options": {"coverage": True}, "deep_output": False},
    ],
)
def test_recurrent_decoders(options: dict[str, Any]) -> None:
    assert check_decoder("recurrent", engine="reference", **options).ok


@dataclass(frozen=True, kw_only=True)
class Sum(DecoderState):
    """total: float [N, H], of all tokens so far."""

    total: Tensor


class Plain(Decoder[Sum]):
    """A sum of what was written, and an attention by it. Source: none."""

    def __init__(
        self,
        input_size: int,
        memory_size: int,
        summary_size: int,
        *,
        output_size: int,
        hidden_size: int = 8,
    ) -> None:
        super().__init__(input_size, memory_size, summary_size, output_size=output_size)
        self.start = nn.Linear(summary_size, hidden_size)
        self.inputs = nn.Linear(input_size, hidden_size)
        self.attention = GeneralAttention(hidden_size, memory_size)
        self.outputs = nn.Linear(hidden_size + memory_size, output_size)

    def prepare(self, encoded: Encoded) -> Memory:
        return self.attention.prepare(encoded)

    def initial_state(self, encoded: Encoded) -> Sum:
        return Sum(total=self.start(encoded.summary))

    def sums(self, x: Tensor) -> Tensor:
        return self.inputs(x).cumsum(1)

    def read(self, h: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        found = self.attention.attend(h, memory)
        return torch.tanh(self.outputs(torch.cat([h, found.context], dim=2))), found.weights

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None,
        memory: Memory,
        state: Sum,
        *,
        want_weights: bool = False,
    ) -> Decoded:
        h = torch.tanh(self.sums(x) + state.total.unsqueeze(1))
        outputs, weights = self.read(h, memory)
        return Decoded(outputs=outputs, weights=weights if want_weights else None)

    def step(self, x: Tensor, memory: Memory, state: Sum) -> tuple[Tensor, Tensor | None, Sum]:
        state = replace(state, total=state.total + self.inputs(x))
        h = torch.tanh(state.total)
        sources = len(memory.mask)
        outputs, weights = self.read(h.view(sources, len(x) // max(sources, 1), -1), memory)
        return outputs.flatten(0, 1), weights.flatten(0, 1), state


class Forgetful(Plain):
    """Each step begins anew."""

    def step(self, x: Tensor, memory: Memory, state: Sum) -> tuple[Tensor, Tensor | None, Sum]:
        output, weights, _ = super().step(x, memory, state)
        return output, weights, state


class Foreseeing(Plain):
    """Sees all of the target at each step."""

    def sums(self, x: Tensor) -> Tensor:
        return self.inputs(x).sum(1, keepdim=True).expand(-1, x.shape[1], -1)


class Overwriting(Plain):
    """Changes the state that it was given."""

    def step(self, x: Tensor, memory: Memory, state: Sum) -> tuple[Tensor, Tensor | None, Sum]:
        with torch.no_grad():
            state.total.add_(self.inputs(x))
        return super().step(torch.zeros_like(x), memory, state)


class WrongHypotheses(Plain):
    """Takes the hypotheses of a source for those of others."""

    def step(self, x: Tensor, memory: Memory, state: Sum) -> tuple[Tensor, Tensor | None, Sum]:
        sources = len(memory.mask)
        order = torch.arange(len(x)).view(-1, sources).T.flatten()
        output, weights, state = super().step(x[order], memory, state.select(order))
        back = order.argsort()
        assert weights is not None
        return output[back], weights[back], state.select(back)


class SeesPadding(Plain):
    """Attends to padding, too."""

    def prepare(self, encoded: Encoded) -> Memory:
        memory = super().prepare(encoded)
        return replace(memory, values=memory.values - memory.values.mean(1, keepdim=True))


class Silent(Plain):
    """Says that it gives weights, and gives none of a step."""

    def step(self, x: Tensor, memory: Memory, state: Sum) -> tuple[Tensor, Tensor | None, Sum]:
        output, _, state = super().step(x, memory, state)
        return output, None, state


class Unnormalized(Plain):
    """Weights that are no shares."""

    def read(self, h: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        outputs, weights = super().read(h, memory)
        return outputs, 2 * weights


class NoSizes(Plain):
    """Forgets what it was told."""

    def __init__(
        self, input_size: int, memory_size: int, summary_size: int, *, output_size: int
    ) -> None:
        super().__init__(input_size, memory_size, summary_size, output_size=output_size)
        self.output_size = 3


class Misnamed(Plain):
    """Other names for its sizes."""

    def __init__(self, size: int, memory_size: int, summary_size: int, *, output_size: int) -> None:
        super().__init__(size, memory_size, summary_size, output_size=output_size)


class DetachedSource(Plain):
    """Teaches the encoder nothing."""

    def prepare(self, encoded: Encoded) -> Memory:
        return super().prepare(replace(encoded, states=encoded.states.detach()))


class Positions(Plain):
    """Knows few positions."""

    def sums(self, x: Tensor) -> Tensor:
        return super().sums(x + torch.eye(64, x.shape[2]).to(x)[torch.arange(x.shape[1])])


FAULTS = {
    Forgetful: ("step after step equals the whole", "forward must equal step after step"),
    Foreseeing: ("step after step equals the whole", "let no step see a later one"),
    Overwriting: ("a search can ask it", "leave the state as it is"),
    WrongHypotheses: ("a search can ask it", "row b * K + k"),
    SeesPadding: ("padding is invisible", "hide positions of the source"),
    Silent: ("shapes are right", "set gives_weights to what it does"),
    Unnormalized: ("weights are shares of the source", "after the softmax"),
    NoSizes: ("shapes are right", "hand the sizes on"),
    DetachedSource: ("gradients are right", "detach nothing on the way"),
    Positions: ("long targets are written", "make what belongs to positions for as many"),
    Misnamed: ("options are typed", "by these names"),
}


def failed(report: Report) -> dict[str, str]:
    return {each.check: each.remedy for each in report.failed}


def test_a_plain_one_passes() -> None:
    assert check_decoder(Plain).ok


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught_by_its_check(fault: type[Decoder[Any]]) -> None:
    check, remedy = FAULTS[fault]
    report = check_decoder.examine(fault)
    assert remedy in failed(report).get(check, "no failure"), report.lines()
