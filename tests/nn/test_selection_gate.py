"""The gate on an encoder's states, by its formula."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.nn.selection import SelectionGate
from seqnlp.types import Encoded, lengths_to_mask

B, S, D, C = 3, 4, 5, 6


def make() -> tuple[SelectionGate, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    gate = SelectionGate(D, C).double()
    mask = lengths_to_mask(torch.tensor([4, 1, 2]), S)
    states = torch.randn(B, S, D, dtype=torch.float64) * mask.unsqueeze(2)
    return gate, states, torch.randn(B, C, dtype=torch.float64), mask


def test_by_the_formula() -> None:
    gate, states, summary, mask = make()
    found = gate(Encoded(states=states, mask=mask, summary=summary))
    own, whole, bias = gate.state_map.weight, gate.summary_map.weight, gate.summary_map.bias
    for row in range(B):
        for t in range(S):
            opened = torch.sigmoid(own @ states[row, t] + whole @ summary[row] + bias)
            torch.testing.assert_close(found.states[row, t], opened * states[row, t])
    assert found.summary is summary
    assert found.mask is mask
    assert not found.states[~mask].any()


def test_gradients_are_numerically_right() -> None:
    gate, states, summary, mask = make()

    def run(states: Tensor, summary: Tensor, *_: Tensor) -> Tensor:
        found: Encoded = gate(Encoded(states=states, mask=mask, summary=summary))
        return found.states

    leaves = states.requires_grad_(), summary.requires_grad_(), *gate.parameters()
    assert torch.autograd.gradcheck(run, leaves)
