"""How unusual the values of a series are: scores of every value by one network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqnlp.config import Settings
from seqnlp_timeseries.corpus import Part
from seqnlp_timeseries.networks import Autoencoder, DirectNetwork, StepNetwork
from seqnlp_timeseries.options import AnomalyOptions, Plan
from seqnlp_timeseries.outputs import make_output
from seqnlp_timeseries.windows import WindowBatch, Windows

Floats = NDArray[np.float64]
FIRST_THRESHOLD = 3.0
"""Until validation has chosen one."""


class Detector(nn.Module):
    """A network and the threshold that validation has chosen for its scores.

    A score is the error of the forecast of a value in scales of the forecast, or that of its
    reconstruction in scales of the window.
    """

    threshold: Tensor

    def __init__(self, settings: Settings, options: AnomalyOptions, plan: Plan) -> None:
        super().__init__()
        self.output = make_output(options.output, ())
        self.network: DirectNetwork | StepNetwork | Autoencoder
        if options.score == "forecast":
            self.network = DirectNetwork(settings, plan, self.output.size)
        elif options.score == "next":
            self.network = StepNetwork(settings, plan, self.output.size)
        else:
            self.network = Autoencoder(settings, plan, options.latent)
        # With the weights, so that the best epoch's comes back with them.
        self.register_buffer("threshold", torch.tensor(FIRST_THRESHOLD))

    def losses(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Losses, and where they count, float and bool [B, N]."""
        if not isinstance(self.network, Autoencoder):
            raw, base = self.network(batch)
            return self.output.losses(raw, base, batch.targets), batch.known
        values, known = batch.inputs[..., 0], batch.inputs[..., 1] > 0
        return functional.smooth_l1_loss(self.network(batch), values, reduction="none"), known

    def errors(self, batch: WindowBatch) -> Tensor:
        """Scores float [B, N] of the targets, or of the values of the windows."""
        if not isinstance(self.network, Autoencoder):
            loc, scale = self.output.location_scale(*self.network(batch))
            return (batch.targets - loc).abs() / scale
        whole: Tensor = self.network(batch)
        return (whole - batch.inputs[..., 0]).abs()


def scored_windows(parts: Sequence[Part], plan: Plan, score: str) -> Windows:
    """Windows that score every value from `first` on: blocks that follow each other or, where whole
    windows are put through, windows that overlap by half and one at the end.

    Where blocks begin depends on the beginning of the series alone, so that a stream has the same.
    """
    series, origins = [], []
    for number, part in enumerate(parts):
        size = len(part.series.values)
        if score != "reconstruction":
            blocks = np.arange(plan.minimum, size, plan.horizon)
            own = blocks[blocks + plan.horizon > part.first]
        else:
            stride = max(1, plan.context // 2)
            ends = np.arange(min(plan.context, size), size, stride)
            own = np.append(ends[ends > part.first], size)
        series.append(np.full(len(own), number))
        origins.append(own)
    return Windows(
        parts, np.concatenate(series), np.concatenate(origins), plan, through=score == "next"
    )


def score_parts(
    detector: Detector, rows: Windows, *, batch_size: int, device: torch.device
) -> list[Floats]:
    """Scores float64 [N] of each series from its beginning, NaN where there are none."""
    sums = [np.zeros(len(part.series.values)) for part in rows.parts]
    counts = [np.zeros(len(part.series.values)) for part in rows.parts]
    for begin in range(0, len(rows.origins), batch_size):
        indices = np.arange(begin, min(begin + batch_size, len(rows.origins)))
        errors = detector.errors(rows.batch(indices).to(device)).double().cpu().numpy()
        whole = isinstance(detector.network, Autoencoder)
        first = rows.begins[indices] if whole else rows.origins[indices]
        width = rows.lengths[indices] if whole else errors.shape[1]
        last = first + width
        for row, number, low, high in zip(errors, rows.series[indices], first, last, strict=True):
            end = min(high, len(sums[number]))
            sums[number][low:end] += row[: end - low]
            counts[number][low:end] += 1
    return [
        np.where((count > 0) & ~np.isnan(part.series.values), total / np.maximum(count, 1), np.nan)
        for part, total, count in zip(rows.parts, sums, counts, strict=True)
    ]
