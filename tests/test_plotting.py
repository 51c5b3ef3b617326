"""Pictures: what all of them share."""

from __future__ import annotations

import pytest

from seqnlp.plotting import new_figure, tidy


@pytest.mark.parametrize("counts", [False, True])
def test_between_counted_things_stands_no_tick(counts: bool) -> None:
    figure = new_figure()
    axes = figure.subplots()
    axes.plot([1, 2], [0.5, 0.6])
    tidy(axes, x="epoch", counts=counts)
    figure.draw_without_rendering()
    assert all(float(tick).is_integer() for tick in axes.get_xticks()) is counts
