"""Frames against an independent computation, normalization, stacking, masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqnlp_speech.augmentation import mask_stripes
from seqnlp_speech.features import LogMel, deltas, mel_filters, stack_frames, stacked_length
from seqnlp_speech.normalization import NORMALIZERS, RunningNormalizer, TrainNormalizer
from seqnlp_speech.options import AugmentOptions, FeatureOptions

from seqnlp.errors import SettingsError


def noise(size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def log_mel_by_numpy(x: np.ndarray, rate: int, bands: int, low: float, high: float) -> np.ndarray:
    """Bin by bin, from the definitions."""
    window, hop = round(0.025 * rate), round(0.010 * rate)
    size = 2 ** math.ceil(math.log2(window))
    hann = np.array([0.5 - 0.5 * math.cos(2 * math.pi * n / window) for n in range(window)])
    mel = [2595 * math.log10(1 + f / 700) for f in (low, high)]
    corners = [
        700 * (10 ** ((mel[0] + (mel[1] - mel[0]) * i / (bands + 1)) / 2595) - 1)
        for i in range(bands + 2)
    ]
    frames = []
    for begin in range(0, len(x) - window + 1, hop):
        power = np.abs(np.fft.fft(x[begin : begin + window] * hann, size)) ** 2
        row = []
        for left, middle, right in zip(corners, corners[1:], corners[2:], strict=False):
            energy = 0.0
            for k in range(size // 2 + 1):
                f = k * rate / size
                if left < f <= middle:
                    energy += power[k] * (f - left) / (middle - left)
                elif middle < f < right:
                    energy += power[k] * (right - f) / (right - middle)
            row.append(math.log(max(energy, 1e-6)))
        frames.append(row)
    return np.array(frames)


def test_frames_are_those_of_the_definition() -> None:
    options = FeatureOptions(rate=8000, bands=20, low=100.0, high=3500.0)
    x = noise(1000) * torch.linspace(0, 1, 1000)
    wanted = log_mel_by_numpy(x.double().numpy(), 8000, 20, 100.0, 3500.0)
    found = LogMel(options)(x)
    assert found.shape == (11, 20)
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-4)


@pytest.mark.parametrize("size", [1, 199, 200, 279, 280, 1234])
def test_counts_are_known_before_the_frames(size: int) -> None:
    log_mel = LogMel(FeatureOptions(rate=8000, bands=20))
    assert len(log_mel(noise(size))) == log_mel.frames(size)
    assert log_mel.complete(size) == (0 if size < 200 else log_mel.frames(size))


def test_blocks_of_a_long_sound_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    log_mel, x = LogMel(FeatureOptions(rate=8000, bands=20)), noise(5000)
    whole = log_mel(x)
    monkeypatch.setattr("seqnlp_speech.features.BLOCK", 7)
    torch.testing.assert_close(log_mel(x), whole)


def test_silence_is_the_floor() -> None:
    found = LogMel(FeatureOptions(rate=8000, bands=20))(torch.zeros(400))
    torch.testing.assert_close(found, torch.full_like(found, math.log(1e-6)))


def test_filters_between_the_first_and_the_last_corner_add_up_to_one() -> None:
    sums = mel_filters(10, 512, 16000, 0.0, 8000.0).sum(0)
    inside = slice(12, 180)
    torch.testing.assert_close(sums[inside], torch.ones(168))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rate": 8000, "high": 5000.0}, "bands from 20 to 5000 Hz; expected a higher end, of at most half the rate, 4000"),
        ({"bands": 200}, "200 bands from 20 to 8000 Hz are too narrow: no frequency falls into band 3; use fewer"),
        ({"hop_ms": 30.0}, "30 ms leaves sound out between windows of 25 ms"),
    ],
)  # fmt: skip
def test_options_that_make_no_frames_are_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        LogMel(FeatureOptions.model_validate(changed))


def test_deltas_are_slopes() -> None:
    line = 3.0 * torch.arange(10).unsqueeze(1) + torch.tensor([1.0, 7.0])
    torch.testing.assert_close(deltas(line)[2:-2], torch.full((6, 2), 3.0))
    x = noise(12).reshape(6, 2)
    padded = torch.cat([x[:1], x[:1], x, x[-1:], x[-1:]])
    wanted = [
        sum(n * (padded[t + 2 + n] - padded[t + 2 - n]) for n in (1, 2)) / 10 for t in range(6)
    ]
    torch.testing.assert_close(deltas(x), torch.stack(wanted))  # type: ignore[arg-type]


@given(st.integers(0, 30), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_stacks_are_windows_with_zeros_behind(frames: int, stack: int, stride: int) -> None:
    x = torch.arange(1.0, 2 * frames + 1).reshape(1, frames, 2)
    found = stack_frames(x, stack=stack, stride=stride)
    assert found.shape == (1, stacked_length(frames, stride), 2 * stack)
    rows = x[0].tolist() + [[0.0, 0.0]] * (stack + stride)
    wanted = [
        [v for row in rows[begin : begin + stack] for v in row]
        for begin in range(0, frames, stride)
    ]
    assert found[0].tolist() == wanted


def test_each_normalizer_by_its_formula() -> None:
    parts = [3 * noise(40, 1).reshape(20, 2) + 5, noise(60, 2).reshape(30, 2)]
    x, every = parts[0], torch.cat(parts)
    made = {name: kind(2) for name, kind in NORMALIZERS.items()}
    for normalizer in made.values():
        normalizer.fit(parts)
    assert made["none"](x) is x
    mean, deviation = every.mean(0), every.std(0, correction=0)
    torch.testing.assert_close(made["train"](x), (x - mean) / deviation)
    torch.testing.assert_close(made["utterance"](x), (x - x.mean(0)) / x.std(0, correction=0))
    running = [(x[t] - (100 * mean + x[: t + 1].sum(0)) / (101 + t)) / deviation for t in range(20)]
    torch.testing.assert_close(made["running"](x), torch.stack(running))


def test_silence_is_not_blown_up() -> None:
    flat = torch.full((5, 2), 4.0)
    normalizer = TrainNormalizer(2)
    normalizer.fit([flat])
    assert normalizer.deviation.tolist() == pytest.approx([0.1, 0.1])
    assert NORMALIZERS["utterance"](2)(flat).abs().max() == 0


def test_a_running_mean_reads_on() -> None:
    normalizer, x = RunningNormalizer(3), noise(90).reshape(30, 3)
    normalizer.fit([x + 1])
    heard, made = normalizer.begin(), []
    for piece in x.split([1, 0, 9, 20]):
        out, heard = normalizer.advance(piece, heard)
        made.append(out)
    torch.testing.assert_close(torch.cat(made), normalizer(x))


def test_stripes_stay_within_rows_and_widths() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([50, 20])
    options = AugmentOptions(bands=1, band_width=3, times=1, time_width=8, time_share=0.2)
    widths: set[tuple[int, int, int]] = set()
    for _ in range(300):
        zero = mask_stripes(torch.ones(2, 50, 10), lengths, options) == 0
        bands, times = zero.all(1).sum(1), zero.all(2).sum(1)
        assert not zero[1, 20:].all(1).any()
        widths.add((int(bands[0]), int(times[0]), int(times[1])))
        assert int(zero[0].sum()) == 50 * bands[0] + 10 * times[0] - bands[0] * times[0]
    assert {a for a, _, _ in widths} == {0, 1, 2, 3}
    assert {b for _, b, _ in widths} == set(range(9))
    assert {c for _, _, c in widths} == set(range(5))


def test_without_stripes_nothing_changes() -> None:
    options = AugmentOptions(bands=0, times=0)
    x = torch.randn(2, 5, 3)
    assert torch.equal(mask_stripes(x, torch.tensor([5, 2]), options), x)
