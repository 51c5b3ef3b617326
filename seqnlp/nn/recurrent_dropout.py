"""Dropout inside recurrences: which masks are drawn for a cell, and when.

Engines get them as `Noise` and draw nothing themselves.
"""

from __future__ import annotations

import inspect
from dataclasses import replace

from torch import Tensor

from seqnlp.errors import SettingsError
from seqnlp.nn.cells.base import Cell, GatedCell
from seqnlp.nn.dropout import RECURRENT_KINDS, Site
from seqnlp.nn.noise import Noise

CANDIDATE_KINDS = ("candidate", "locked_candidate")


class RecurrentDropout(Site):
    r"""The dropout site "recurrent" of one layer, and the zoneout of its cells.

    Kinds, in training only, with masks of 0 and 1 / (1 - rate):

    - "locked": the recurrent product sees mask * h, one mask a row for all its steps (Gal and
      Ghahramani 2016, arXiv:1512.05287).
    - "weight": the recurrent product is with mask * weight_h, one mask a batch (weight drop of
      AWD-LSTM, Merity et al. 2018, arXiv:1708.02182).
    - "candidate": what a step would add to the memory is multiplied by that step's mask, so that
      nothing remembered is lost (Semeniuta et al. 2016, arXiv:1603.05118). A cell takes part by
      naming a keyword of its `update` in `GatedCell.masks`.
    - "locked_candidate": the same with one mask a row for all its steps.

    Zoneout (Krueger et al. 2017, arXiv:1606.01305) is apart from these: in training each unit keeps
    its old value at a step with the probability `rate`, in evaluation it is
    rate * old + (1 - rate) * new. So its rates are part of the model.

    Args:
        cell: of the layer, either direction's.
        zoneout_output: rate of the first leaf of the state, the output h.
        zoneout_memory: rate of the second, in cells with two.

    Raises:
        SettingsError: a zoneout rate is out of range, or the cell has nothing that zones out.
    """

    def __init__(
        self, cell: Cell, *, zoneout_output: float = 0.0, zoneout_memory: float = 0.0
    ) -> None:
        where = f"in {type(cell).__name__}"
        super().__init__("recurrent", kind="locked", kinds=kinds_of(cell), where=where)
        self.zoneout = _zoneout_rates(cell, zoneout_output, zoneout_memory)

    def draw(self, cell: Cell, batch_size: int, time: int) -> Noise | None:
        """The masks of one cell for one batch; None, and nothing drawn, where there are none.

        Args:
            cell: of the class that the site was made for.
            batch_size: B.
            time: T.
        """
        dropping = self.training and self.rate > 0
        if not dropping and not self.zoneout:
            return None
        assert isinstance(cell, GatedCell)
        noise = self._drop(cell, batch_size, time) if dropping else Noise()
        return replace(noise, keep=self._keep(cell, batch_size, time)) if self.zoneout else noise

    def _drop(self, cell: GatedCell, batch_size: int, time: int) -> Noise:
        def mask(*shape: int) -> Tensor:
            drawn = cell.weight_h.new_empty(shape).bernoulli_(1 - self.rate)
            return drawn.div_(1 - self.rate)

        if self.kind == "weight":
            return Noise(weight=mask(*cell.weight_h.shape))
        if self.kind == "locked":
            return Noise(hidden=mask(batch_size, cell.hidden_size))
        steps = (time,) if self.kind == "candidate" else ()
        return Noise(
            masks={name: mask(batch_size, *steps, cell.hidden_size) for name in cell.masks}
        )

    def _keep(self, cell: GatedCell, batch_size: int, time: int) -> tuple[Tensor | None, ...]:
        shape = (batch_size, time, cell.hidden_size)

        def share(rate: float) -> Tensor | None:
            if rate == 0:
                return None
            if self.training:
                return cell.weight_h.new_empty(shape).bernoulli_(rate)
            return cell.weight_h.new_full((), rate).expand(shape)

        return tuple(share(rate) for rate in self.zoneout)

    def extra_repr(self) -> str:
        """Name, rate, kind and zoneout, for printing."""
        zoneout = f", zoneout={self.zoneout}" if self.zoneout else ""
        return f"{super().extra_repr()}{zoneout}"


def kinds_of(cell: Cell) -> tuple[str, ...]:
    """The kinds that can act inside a cell."""
    if not takes_noise(cell):
        return ()
    assert isinstance(cell, GatedCell)
    # A subclass that writes its own `update` may have left out the keywords of its base.
    keywords = inspect.signature(cell.update).parameters
    masked = bool(cell.masks) and all(name in keywords for name in cell.masks)
    return tuple(kind for kind in RECURRENT_KINDS if masked or kind not in CANDIDATE_KINDS)


def takes_noise(cell: Cell) -> bool:
    """Whether `noisy_step` is a step of the same recurrence as `forward`, row by row."""
    if not isinstance(cell, GatedCell) or cell.rows_interact:
        return False
    steps = ("noisy_step", "forward")
    nearest = next(each for each in type(cell).__mro__ if any(name in vars(each) for name in steps))
    return "noisy_step" in vars(nearest)


def _zoneout_rates(cell: Cell, output: float, memory: float) -> tuple[float, ...]:
    """The rate of each leaf of the state; empty where all are 0."""
    for key, rate in (("zoneout_output", output), ("zoneout_memory", memory)):
        if not 0.0 <= rate < 1.0:
            raise SettingsError(f"model.{key} must be in [0, 1), not {rate!r}")
    if output == memory == 0:
        return ()
    name = type(cell).__name__
    if not takes_noise(cell):
        key = "zoneout_output" if output > 0 else "zoneout_memory"
        raise SettingsError(
            f"model.{key}: {name} cannot zone out, as gated cells can; leave it at 0"
        )
    assert isinstance(cell, GatedCell)
    if memory > 0 and cell.states == 1:
        raise SettingsError(
            f"model.zoneout_memory: {name} has no memory beside its output; "
            "use model.zoneout_output"
        )
    if memory > 0 and cell.states > 2:
        raise SettingsError(
            f"model.zoneout_memory: the {cell.states - 1} parts of the memory of {name} mean "
            "nothing one by one; leave it at 0"
        )
    return (output, memory, *(0.0 for _ in range(cell.states - 2)))[: cell.states]
