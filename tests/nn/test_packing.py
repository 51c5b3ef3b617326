"""Rows sorted and packed, and shared among threads."""

from __future__ import annotations

import torch

from seqnlp.nn.engines.packing import Packing


def test_threads_get_the_same_work() -> None:
    packing = Packing.of(torch.tensor([1, 9, 2, 2, 1, 3]))
    # By falling length: 9, 3, 2, 2, 1, 1, of 18 steps.
    assert packing.cut(1).tolist() == [0, 6]
    assert packing.cut(2).tolist() == [0, 1, 6]
    full = Packing.of_full(8, 5)
    assert full.cut(2).tolist() == [0, 4, 8]
    assert full.cut(4).tolist() == [0, 2, 4, 6, 8]


def test_rows_that_stand_in_order_are_not_moved() -> None:
    assert Packing.of(torch.tensor([3, 2, 2])).order is None
    assert Packing.of(torch.tensor([2, 3, 2])).order is not None
