"""Networks over an encoder of any cell: all steps at once, one after the other, or through a
narrow vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqnlp.config import Settings
from seqnlp.errors import InputError, SettingsError
from seqnlp.nn import DropoutSite
from seqnlp.tasks import build_encoder
from seqnlp_timeseries.options import Plan
from seqnlp_timeseries.timeline import CALENDAR
from seqnlp_timeseries.windows import WindowBatch, input_size


class Blend(nn.Module):
    """A learned mean of what the past says of a target: where a network begins, and a skip.

    lags: float [..., L] to float [...].
    """

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(*sizes))

    def forward(self, lags: Tensor) -> Tensor:
        """See the class."""
        return (lags * self.weights.softmax(-1)).sum(-1)


class DirectNetwork(nn.Module):
    """Parameters of all horizons from the state after the last value, and the lags of each target.

    Dropout sites: layer, output.
    """

    def __init__(self, settings: Settings, plan: Plan, outputs: int) -> None:
        super().__init__()
        hidden = settings.model.hidden_size
        self.encoder = build_encoder(settings.model, input_size(plan, through=False))
        self.base = Blend(plan.horizon, plan.lags)
        features = 2 * plan.lags + (CALENDAR if plan.calendar else 0)
        self.of_past = nn.Linear(self.encoder.output_size, hidden)
        self.of_target = nn.Linear(features, hidden)
        self.of_step = nn.Parameter(torch.zeros(plan.horizon, hidden))
        self.output_dropout = DropoutSite("output")
        self.output = nn.Linear(hidden, outputs)

    def forward(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Parameters float [B, H, P], and what they are around, float [B, H]."""
        summary = self.encoder(batch.inputs, batch.lengths).summary
        features = torch.cat([batch.lags, batch.marks, batch.calendar], dim=-1)
        hidden = self.of_past(summary).unsqueeze(1) + self.of_target(features) + self.of_step
        raw = self.output(self.output_dropout(nn.functional.silu(hidden)))
        return raw, self.base(batch.lags)


class StepNetwork(nn.Module):
    """Parameters of the next value at every step: inputs have the lags of what comes next.

    Source: Salinas et al. 2017, arXiv:1704.04110 (DeepAR). Dropout sites: layer, output.

    Raises:
        SettingsError: the encoder reads in both directions, or whole texts only.
    """

    def __init__(self, settings: Settings, plan: Plan, outputs: int) -> None:
        super().__init__()
        self.encoder = build_encoder(settings.model, input_size(plan, through=True))
        try:
            self.encoder.initial_state(1)
        except InputError as error:
            raise SettingsError(
                "a forecast one step after the other reads in one direction: set "
                f"model.bidirectional = false ({error})"
            ) from error
        self.lags = plan.lags
        self.base = Blend(plan.lags)
        self.output_dropout = DropoutSite("output")
        self.output = nn.Linear(self.encoder.output_size, outputs)

    def forward(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Parameters float [B, H, P] of the targets, each given all values before it; and base."""
        states = self.encoder(batch.inputs, batch.lengths).states
        places = (batch.past - 1).unsqueeze(1) + torch.arange(
            batch.targets.shape[1], device=states.device
        )
        rows = torch.arange(len(states), device=states.device).unsqueeze(1)
        # Rows of fewer targets than others end earlier: their states there are padding.
        places = places.clamp_max(states.shape[1] - 1)
        return self.read(batch.inputs[rows, places], states[rows, places])

    def read(self, inputs: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters [..., P] and base [...] from an input [..., F] and the state after it."""
        return self.output(self.output_dropout(states)), self.base(inputs[..., 2 : 2 + self.lags])


class Autoencoder(nn.Module):
    """A window, put through a narrow vector: what does not fit in is no part of what is usual.

    Source: after Malhotra et al. 2016, arXiv:1607.00148, whose decoder is recurrent.
    """

    def __init__(self, settings: Settings, plan: Plan, latent: int) -> None:
        super().__init__()
        hidden = settings.model.hidden_size
        self.encoder = build_encoder(settings.model, input_size(plan, through=False))
        self.narrow = nn.Linear(self.encoder.output_size, latent)
        self.output_dropout = DropoutSite("output")
        self.wide = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU())
        self.output = nn.Linear(hidden, plan.context)

    def forward(self, batch: WindowBatch) -> Tensor:
        """The values of the window, float [B, T]; of shorter ones they are the first of it."""
        vector = self.narrow(self.encoder(batch.inputs, batch.lengths).summary)
        whole: Tensor = self.output(self.output_dropout(self.wide(vector)))
        return whole[:, : batch.inputs.shape[1]]
