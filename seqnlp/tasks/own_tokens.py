"""Scheduled sampling: decoders that read, in training, tokens that they have drawn themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqnlp.nn.decoder_state import DecoderState
from seqnlp.types import Copies, Memory

if TYPE_CHECKING:
    from seqnlp.tasks.sequence import EncoderDecoder

BLOCK = 512
"""Rows whose next tokens are drawn at once: what bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A decoder over whole targets.

    outputs: float [B, T, D]. inputs: float [B, T, E], the embeddings that it has read. weights:
    float [B, T, S], where they were asked for. What stands on padding means nothing.
    """

    outputs: Tensor
    inputs: Tensor
    weights: Tensor | None


def run_on_own(
    network: EncoderDecoder,
    ids: Tensor,
    real: Tensor,
    memory: Memory,
    state: DecoderState,
    copies: Copies | None,
    share: float,
) -> Run:
    """Run a decoder where each token but the first is, with probability `share`, one of its own.

    A decoder that reads its own outputs takes step after step. Another runs twice: what it
    predicts after the true tokens is mixed in, and it runs again over the mixture (Mihaylova
    and Martins 2019, arXiv:1906.07651).

    In the first case each step draws its own dropout. So locked dropout holds for a step there,
    and not for a row: a step knows nothing of those before it but the state.

    Args:
        network: whose decoder it is.
        ids: int64 [B, T], the true tokens.
        real: bool [B, T], True where there are any.
        memory: of B rows.
        state: before the first step.
        copies: what can be copied, for a network that does.
        share: in 0..1.
    """
    lengths = real.sum(1)
    chosen = torch.rand(ids.shape, device=ids.device) < share
    chosen[:, 0] = False
    if not network.decoder.sequential:
        with torch.no_grad():
            first = network.run(ids, lengths, memory, state)
            drawn = torch.zeros_like(ids)
            drawn[real] = _draw(network, first, copies, real)
        before = torch.cat([ids[:, :1], drawn[:, :-1]], dim=1)
        return network.run(torch.where(chosen, before, ids), lengths, memory, state)
    steps: list[Run] = []
    for time in range(ids.shape[1]):
        read = ids[:, time]
        if time and bool(chosen[:, time].any()):
            every = torch.ones_like(read, dtype=torch.bool).unsqueeze(1)
            read = torch.where(chosen[:, time], _draw(network, steps[-1], copies, every), read)
        x = network.embed(read)
        output, weights, state = network.decoder.step(x, memory, state)
        steps.append(
            Run(
                outputs=output.unsqueeze(1),
                inputs=x.unsqueeze(1),
                weights=None if weights is None else weights.unsqueeze(1),
            )
        )
    found = [step.weights for step in steps if step.weights is not None]
    return Run(
        outputs=torch.cat([step.outputs for step in steps], 1),
        inputs=torch.cat([step.inputs for step in steps], 1),
        weights=torch.cat(found, 1) if found else None,
    )


@torch.no_grad()
def _draw(network: EncoderDecoder, run: Run, copies: Copies | None, where: Tensor) -> Tensor:
    """What follows a run's steps, by its probabilities: ids that a decoder can read.

    Args:
        where: bool [B, T], the N steps that are asked for.

    Returns:
        Int64 [N].
    """
    outputs = run.outputs[where]
    drawn = torch.cat(
        [
            torch.multinomial(torch.softmax(network.output(block), dim=1), 1).squeeze(1)
            for block in torch.split(outputs, BLOCK)
        ]
    )
    if network.pointer is None or copies is None:
        return drawn
    assert run.weights is not None
    log_g, _ = network.pointer(outputs, run.inputs[where])
    rows = where.nonzero()[:, 0]
    ids = copies.ids[rows, torch.multinomial(run.weights[where], 1).squeeze(1)]
    if copies.slots.shape[1]:
        slots = copies.slots[rows, (ids - network.output.classes).clamp_min(0)]
        ids = torch.where(ids < network.output.classes, ids, slots)
    copying = (torch.rand_like(log_g) >= log_g.exp()) & (ids > 0)
    return torch.where(copying, ids, drawn)
