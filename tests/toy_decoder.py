"""A decoder and an encoder that are no recurrent networks, as a plugin might have them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqnlp.nn import Decoded, Decoder, DecoderState, Encoder
from seqnlp.types import Encoded, Memory, lengths_to_mask


@dataclass(frozen=True, kw_only=True)
class ToyState(DecoderState):
    """total: float [N, E], the sum of what was read. sides: two tensors [N, 1]. steps: how many."""

    total: Tensor
    sides: tuple[Tensor, Tensor | None]
    steps: int = 0


class ToyDecoder(Decoder[ToyState]):
    """Reads the mean of all tokens so far, and attends to the source by it."""

    def __init__(
        self,
        input_size: int,
        memory_size: int,
        summary_size: int,
        *,
        output_size: int,
        hidden_size: int = 8,
        sharpness: float = 1.0,
    ) -> None:
        super().__init__(input_size, memory_size, summary_size, output_size=output_size)
        self.query = nn.Linear(2 * input_size, memory_size)
        self.hidden = nn.Linear(2 * input_size + memory_size, hidden_size)
        self.outputs = nn.Linear(hidden_size, output_size)
        self.sharpness = sharpness

    def prepare(self, encoded: Encoded) -> Memory:
        return Memory(keys=encoded.states, values=encoded.states, mask=encoded.mask)

    def initial_state(self, encoded: Encoded) -> ToyState:
        summary = encoded.summary
        return ToyState(
            total=summary.new_zeros(len(summary), self.input_size), sides=(summary[:, :1], None)
        )

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None,
        memory: Memory,
        state: ToyState,
        *,
        want_weights: bool = False,
    ) -> Decoded:
        self.check_targets(x, memory, state)
        if lengths is not None:
            x = x.masked_fill(~lengths_to_mask(lengths, x.shape[1]).unsqueeze(2), 0.0)
        steps = torch.arange(1, x.shape[1] + 1, device=x.device).unsqueeze(1) + state.steps
        outputs, weights = self._read(x, (state.total.unsqueeze(1) + x.cumsum(1)) / steps, memory)
        given = want_weights and self.gives_weights
        return Decoded(outputs=outputs, weights=weights if given else None)

    def step(
        self, x: Tensor, memory: Memory, state: ToyState
    ) -> tuple[Tensor, Tensor | None, ToyState]:
        self.check_step(x, memory, state)
        sources = len(memory.mask)
        total, steps = state.total + x, state.steps + 1
        grouped = [each.view(sources, -1, self.input_size) for each in (x, total / steps)]
        outputs, weights = self._read(*grouped, memory)
        after = ToyState(total=total, sides=state.sides, steps=steps)
        given = weights.flatten(0, 1) if self.gives_weights else None
        return outputs.flatten(0, 1), given, after

    def _read(self, x: Tensor, mean: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        both = torch.cat([x, mean], dim=2)
        scores = self.sharpness * self.query(both) @ memory.keys.transpose(1, 2)
        hidden = ~memory.mask.unsqueeze(1)
        weights = scores.masked_fill(hidden, -1e30).softmax(2).masked_fill(hidden, 0.0)
        h = torch.relu(self.hidden(torch.cat([both, weights @ memory.values], dim=2)))
        return self.outputs(h), weights


class BlindDecoder(ToyDecoder):
    """The same, which keeps to itself where it looks."""

    gives_weights = False


class ToyEncoder(Encoder):
    """A linear map of each position by itself."""

    def __init__(self, input_size: int, *, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size)
        self.map = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        mask = lengths_to_mask(lengths, x.shape[1])
        states = self.map(x).masked_fill(~mask.unsqueeze(2), 0.0)
        return Encoded(states=states, mask=mask, summary=states.sum(1))
