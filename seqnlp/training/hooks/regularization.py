"""Dropout at named sites, and penalties on the size of weights."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from seqnlp.errors import InputError, SettingsError, suggest
from seqnlp.nn.dropout import dropout_sites
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer

SITES = ("word", "embedding", "layer", "output", "recurrent", "memory", "context")


class DropoutHook(Hook):
    """Dropout at the model's named sites, inside its recurrences too.

    The rates hold while training and are taken back at its end; a saved model has none.

    Args:
        word: share of whole tokens that are dropped.
        embedding: rate on the word vectors.
        layer: rate between layers.
        output: rate before the classifier, or before the output layer of a decoder.
        recurrent: rate inside the recurrent cells; their own kind is "locked".
        memory: rate on the states that a decoder attends to.
        context: rate on what a decoder has found there, beside its own state.
        sites: rates by name, for sites that a plugin adds.
        kind: "standard" draws every element (Srivastava et al. 2014), "fast" does so by a
            quicker generator, which matters on a CPU, "locked" draws one mask for all
            time steps (Gal and Ghahramani 2016, arXiv:1512.05287); of the sites whose own kind is
            "standard", which those of words and of recurrences are not.
        kinds: kinds by name of the site, before `kind`: `recurrent` can be "locked", "weight",
            "candidate" or "locked_candidate".

    Raises:
        SettingsError: a rate or kind for a site that the model does not have, or that cannot act
            there.
        UnknownNameError: a kind that does not exist.
    """

    def __init__(
        self,
        *,
        word: float = 0.0,
        embedding: float = 0.0,
        layer: float = 0.0,
        output: float = 0.0,
        recurrent: float = 0.0,
        memory: float = 0.0,
        context: float = 0.0,
        sites: dict[str, float] = {},  # noqa: B006 - read only
        kind: Literal["standard", "fast", "locked"] = "standard",
        kinds: dict[str, str] = {},  # noqa: B006 - read only
    ) -> None:
        rates = word, embedding, layer, output, recurrent, memory, context
        named = dict(zip(SITES, rates, strict=True))
        self.rates = {**named, **sites}
        self.kind, self.kinds = kind, kinds
        # The others are in every model, or a recipe that sets them suits those without too.
        special = {"recurrent": recurrent, "memory": memory, "context": context}
        self.required = {*sites, *kinds, *(name for name, rate in special.items() if rate)}
        for site, rate in self.rates.items():
            if not 0 <= rate < 1:
                raise InputError(f"the dropout rate of {site!r} must be in [0, 1), not {rate}")

    def on_fit_start(self, trainer: Trainer) -> None:
        self.set(trainer.task)

    def set(self, module: nn.Module) -> None:
        """Give the sites in a module their rates and kinds.

        Raises:
            SettingsError: see the class.
        """
        sites = dropout_sites(module)
        for name in sorted(self.required - set(sites)):
            raise SettingsError(f"hooks.dropout: no site {name!r}; {suggest(name, sites)}")
        for name in {**self.rates, **self.kinds}:
            for site in sites.get(name, []):
                site.rate = self.rates.get(name, 0.0)
                site.reset_kind()
                if name in self.kinds:
                    site.kind = self.kinds[name]
                elif site.own_kind == "standard":
                    site.kind = self.kind

    def on_fit_end(self, trainer: Trainer) -> None:
        self.unset(trainer.task)

    def unset(self, module: nn.Module) -> None:
        """Take the rates back."""
        for sites in dropout_sites(module).values():
            for site in sites:
                site.rate = 0.0


class PenaltyHook(Hook):
    """Penalties on the weights, l1 * sum |w| + l2 / 2 * sum w^2, through their gradient.

    Biases, gains and other vectors are left free. With an adaptive optimizer this differs from
    decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), which is the option
    `weight_decay` of AdamW.
    """

    order = 20

    def __init__(self, *, l1: float = 0.0, l2: float = 0.0) -> None:
        if min(l1, l2) < 0 or not math.isfinite(l1 + l2):
            raise InputError(f"penalties must not be negative: l1={l1}, l2={l2}")
        self.l1, self.l2 = l1, l2

    def on_backward_end(self, trainer: Trainer) -> None:
        for weight in trainer.task.parameters():
            if weight.grad is None or weight.ndim < 2:
                continue
            if self.l2:
                weight.grad.add_(weight.detach(), alpha=self.l2)
            if self.l1:
                weight.grad.add_(weight.detach().sign(), alpha=self.l1)
