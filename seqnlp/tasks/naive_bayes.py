"""Naive Bayes evidence beside a network: what words and word pairs say by their counts alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.types import Bag


class NaiveBayes(nn.Module):
    r"""Log-odds of each label, summed over the distinct words and word pairs of a text.

        log-odds(f, k) = log (n_fk + a_k) / (n_f - n_fk + a_rest)  -  log N_k / (N - N_k)

    with n_fk the training texts of label k that hold f, N_k those of label k, and the smoothing
    a_k = K N_k / N, a_rest = K (N - N_k) / N, so that what was never seen says nothing. While
    training, each text is taken out of its own counts, else the network would learn to trust odds
    that know the answer.

    Source: Wang and Manning 2012, "Baselines and Bigrams", section 2.1, on presence, one label
    against the rest.

    Args:
        features: how many distinct words and word pairs `fit` found; known to whoever loads.
        classes: K.
    """

    keys: Tensor
    counts: Tensor
    totals: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(features, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(features, classes))
        self.register_buffer("totals", torch.zeros(classes))

    @classmethod
    def fit(cls, bag: Bag, labels: Tensor, classes: int) -> NaiveBayes:
        """Count B texts, each once; labels int64 [B], numbers below `classes`."""
        keys, places = torch.unique(bag.ids, return_inverse=True)
        made = cls(len(keys), classes)
        made.keys.copy_(keys)
        owners = labels.repeat_interleave(_sizes(bag))
        found = torch.bincount(places * classes + owners, minlength=len(keys) * classes)
        made.counts.copy_(found.view(len(keys), classes))
        made.totals.copy_(torch.bincount(labels, minlength=classes))
        return made

    def forward(self, bag: Bag, labels: Tensor | None = None) -> Tensor:
        """Log-odds float [B, K]; with labels int64 [B], each text is left out of its own counts."""
        sizes = _sizes(bag)
        totals = self.totals.expand(len(sizes), -1)
        found = self._look_up(bag.ids)
        if labels is not None:
            own = F.one_hot(labels, len(self.totals)).to(found.dtype)
            found = (found - own.repeat_interleave(sizes, 0)).clamp_min(0.0)
            # A label of a single text keeps it: there is nothing else to know it by.
            totals = (totals - own).clamp_min(1.0)
        classes, total = len(self.totals), totals.sum(1, keepdim=True)
        odds = totals / (total - totals)
        smoothing = (classes * totals / total).repeat_interleave(sizes, 0)
        rest = found.sum(1, keepdim=True) - found
        evidence = ((found + smoothing) / (rest + classes - smoothing)).log()
        rows = torch.arange(len(sizes), device=found.device).repeat_interleave(sizes)
        summed = torch.zeros_like(totals).index_add_(0, rows, evidence)
        return summed - sizes.unsqueeze(1) * odds.log()

    def _look_up(self, ids: Tensor) -> Tensor:
        """Counts float [N, K], zero for what was never seen."""
        if not len(self.keys):
            return self.counts.new_zeros(len(ids), len(self.totals))
        places = torch.searchsorted(self.keys, ids).clamp_max(len(self.keys) - 1)
        return self.counts[places] * (self.keys[places] == ids).unsqueeze(1)


def _sizes(bag: Bag) -> Tensor:
    ends = torch.cat([bag.offsets[1:], bag.offsets.new_tensor([len(bag.ids)])])
    return ends - bag.offsets
