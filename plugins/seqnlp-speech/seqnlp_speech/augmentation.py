"""SpecAugment: what can be recognized with a part missing is recognized better whole."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp_speech.options import AugmentOptions


def mask_stripes(x: Tensor, lengths: Tensor, options: AugmentOptions) -> Tensor:
    """Frames [B, T, D] with stripes over bands and over time set to 0, their mean.

    Each stripe's width is uniform in 0..W and its place uniform where it fits; W is at most
    `time_share` of the row's own length int64 [B] over time. Draws come from torch's generator.

    Source: Park et al. 2019, arXiv:1904.08779, section 2, without the warping of time, which its
    authors found to help the least.
    """
    sizes = torch.full_like(lengths, x.shape[2])
    width = torch.full_like(lengths, options.band_width)
    bands = _stripes(sizes, width, x.shape[2], options.bands)
    width = (lengths * options.time_share).long().clamp(max=options.time_width)
    times = _stripes(lengths, width, x.shape[1], options.times)
    return x.masked_fill(bands.unsqueeze(1) | times.unsqueeze(2), 0.0)


def _stripes(sizes: Tensor, widths: Tensor, whole: int, count: int) -> Tensor:
    """Bool [B, whole], True within one of `count` stripes of each row."""
    sizes, widths = sizes.unsqueeze(1), torch.minimum(widths, sizes).unsqueeze(1)
    drawn = torch.rand(2, len(sizes), count, device=sizes.device)
    width = (drawn[0] * (widths + 1)).long()
    first = (drawn[1] * (sizes - width + 1)).long()
    places = torch.arange(whole, device=sizes.device).view(1, 1, -1)
    inside = (places >= first.unsqueeze(2)) & (places < (first + width).unsqueeze(2))
    return inside.any(1)
