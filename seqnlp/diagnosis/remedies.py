"""Flags of `seqnlp train` that suit a layer and what is in use already."""

from __future__ import annotations

import math

from seqnlp.config import Settings
from seqnlp.diagnosis.report import LayerReport, short

NEAR_ONE = 0.05
"""A spectral radius this near to 1 is 1."""
NORMED = {"LSTMCell": "layer_norm_lstm", "GRUCell": "layer_norm_gru"}
"""The cells that normalize the sums which others give their gates."""


class Remedies:
    """What to type for a layer.

    Args:
        layer: that something is wrong with.
        settings: that it was trained with.
    """

    def __init__(self, layer: LayerReport, settings: Settings) -> None:
        self.layer, self.settings = layer, settings
        self.decodes = any("decoder" in part for part in layer.path.split("."))
        # Where there are several gates, no single weight decides.
        self.radius = layer.blocks[0].radius if len(layer.blocks) == 1 else None
        self.shrinks = self.radius is not None and self.radius < 1 - NEAR_ONE
        self.stretches = self.radius is not None and self.radius > 1 + NEAR_ONE

    def why_it_decays(self) -> str:
        """What the only recurrent weight has to do with it; "" where it has nothing.

        A radius below 1 makes a gradient shrink in the long run, but a norm below 1 at each step.
        Source: Pascanu et al. 2013, arXiv:1211.5063, section 2.1; and so `why_it_grows`.
        """
        if not self.shrinks:
            return ""
        must = self.layer.blocks[0].norm < 1
        return self._radius(f"below 1, so that it must{'' if must else ' in the long run'}")

    def why_it_grows(self) -> str:
        """What the only recurrent weight has to do with it; "" where it has nothing."""
        return self._radius("above 1, so that it can") if self.stretches else ""

    def _radius(self, side: str) -> str:
        return f"; the recurrent weight's spectral radius is {short(self.radius or 0.0)}, {side}"

    def against_decay(self) -> str:
        """What carries further."""
        bias = self.lasting_bias()
        if self.layer.remembers:
            if self.settings.model.forget_bias + 0.5 < bias and not self.keeps():
                return f"--set model.forget_bias={bias:g} would let the forget gate keep that long"
            return f"{self.cell('irnn')}, or attention to every step, would carry further"
        carry = f"{self.cell('lstm')} with --set model.forget_bias={bias:g}"
        if self.settings.model.cell != "irnn":
            carry += f", or {self.cell('irnn')},"
        start = "--set model.recurrent_init=orthogonal begins with a radius of 1; "
        return f"{start if self.shrinks else ''}{carry} would carry further"

    def keeps(self) -> bool:
        """Whether the forget gate, as it was measured, is open enough for all the steps."""
        return any(
            use.name == "forget" and use.mean >= _lasting_share(self.layer.flow.steps)
            for use in self.layer.gates
        )

    def against_growth(self) -> str:
        """What bounds a gradient, or keeps it from growing."""
        found = []
        if not self.settings.hooks.get("clip"):
            found.append("--set hooks.clip.norm=1 bounds it")
        if self.stretches:
            found.append("--set model.recurrent_init=orthogonal begins with a radius of 1")
        if not self.layer.remembers:
            found.append(f"{self.cell('lstm')} has gates that keep it from growing")
        return "; ".join(found) or f"--lr {self.settings.train.lr / 2:g} keeps the weights small"

    def against_saturation(self, name: str) -> str:
        """What keeps the sums that an activation is given small."""
        if name == "memory":
            return f"{self.cell('layer_norm_lstm')} keeps what is summed up there in bounds"
        found = f"--lr {self.settings.train.lr / 2:g}"
        if (normed := NORMED.get(self.layer.cell)) is not None:
            found += f" or {self.cell(normed)}"
        return f"{found} would keep the sums smaller"

    def against_dead_units(self) -> str:
        """What keeps units alive."""
        model = self.settings.model
        found = f"--lr {self.settings.train.lr / 2:g} keeps more of them alive"
        if model.cell_options.get("activation") == "relu":
            found += ", and so does --set model.cell_options.activation=leaky_relu"
        alive = self.layer.units - self.layer.dead_units
        if alive and not self.decodes:
            found += f"; --hidden-size {alive} would do"
        return found

    def cell(self, name: str) -> str:
        """The flag of another cell for this layer."""
        return f"--set head.decoder_cell={name}" if self.decodes else f"--cell {name}"

    def lasting_bias(self) -> float:
        """The forget gate's bias of a half-life of all the steps: f^T = 1/2, f = sigmoid(b).

        Tallec and Ollivier 2018, arXiv:1804.11188, section 2, have it about log(T).
        """
        keep = _lasting_share(self.layer.flow.steps)
        return float(max(1, math.ceil(math.log(keep / (1 - keep)))))


def _lasting_share(steps: int) -> float:
    """What a step must keep for half to be left after so many."""
    return float(0.5 ** (1 / max(steps, 1)))
