"""Forecasts one step after the other: sampled paths, each value of which is read as if observed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch import device as Device

from seqnlp_timeseries.networks import StepNetwork
from seqnlp_timeseries.outputs import Output
from seqnlp_timeseries.windows import LARGEST, Ints, Scaled, Windows, inputs_at

SEED = 0


def sample_paths(
    network: StepNetwork, output: Output, rows: Windows, indices: Ints, samples: int, device: Device
) -> Tensor:
    """Scaled values float64 [B, samples, H] after the windows, the same in every call.

    The past is read once for each path: nobody but a cell can copy its states.
    """
    plan = rows.plan
    raw, past = rows.raw(indices)
    loc, scale = rows.scales(raw, past, indices)
    size = raw.shape[1]
    values = np.clip((raw - loc[:, None]) / scale[:, None], -LARGEST, LARGEST)
    values[np.arange(size) >= past[:, None]] = np.nan
    values, past = np.repeat(values, samples, axis=0), np.repeat(past, samples, axis=0)
    calendar = np.repeat(rows.calendar_of(indices, size), samples, axis=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return _draw(network, output, values, past, calendar, rows, device).reshape(
            len(indices), samples, plan.horizon
        )


def _draw(
    network: StepNetwork, output: Output, values: np.ndarray, past: Ints, calendar: np.ndarray,
    rows: Windows, device: Device,
) -> Tensor:  # fmt: skip
    plan, every = rows.plan, np.arange(len(values))
    # All but the last value of the past at once; its state, and those after, step by step.
    before = past - 1
    state = network.encoder.initial_state(len(values))
    width = int(before.max(initial=0))
    if width:
        places = np.broadcast_to(np.arange(width), (len(values), width))
        read = inputs_at(Scaled.of(values), places, calendar, plan, through=True)
        _, state = network.encoder.advance(
            _tensor(read, device), torch.from_numpy(before).to(device), state
        )
    drawn = []
    for ahead in range(plan.horizon):
        place = (before + ahead)[:, None]
        # Of what is far back only the lags are read; `Scaled.of` is linear in the window.
        inputs = _tensor(inputs_at(Scaled.of(values), place, calendar, plan, through=True), device)
        states, state = network.encoder.step(inputs[:, 0], state)
        value = output.sample(*network.read(inputs[:, 0], states)).double().cpu()
        value = value.clamp(-LARGEST, LARGEST)
        values[every, before + ahead + 1] = value.numpy()
        drawn.append(value)
    return torch.stack(drawn, dim=1)


def _tensor(values: np.ndarray, device: Device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
