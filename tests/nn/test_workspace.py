"""Memory that is kept from one call to the next."""

from __future__ import annotations

import pytest
import torch

from seqnlp.nn import PeepholeLSTMCell, unroll
from seqnlp.nn.engines import build, workspace


def test_what_inference_has_used_serves_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_COMPILER", "none")
    monkeypatch.setattr(workspace, "_shelf", workspace._Shelf())
    build.forget()
    cell, x = PeepholeLSTMCell(3, 7), torch.rand(2, 11, 3)
    with torch.inference_mode():
        expected, _ = unroll(cell, x, engine="fused")
    outputs, _ = unroll(cell, x, engine="fused")
    outputs.sum().backward()
    torch.testing.assert_close(outputs.detach(), expected.clone())
    monkeypatch.undo()
    build.forget()


def test_memory_is_kept_by_name_and_grows() -> None:
    like = torch.zeros(1)
    first = workspace.borrow("a test", like, 2, 3)
    assert workspace.borrow("a test", like, 3, 2).data_ptr() == first.data_ptr()
    assert workspace.borrow("another", like, 3, 2).data_ptr() != first.data_ptr()
    assert workspace.borrow("a test", like, 20, 30).shape == (20, 30)
