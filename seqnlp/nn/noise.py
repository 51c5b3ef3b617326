"""Dropout inside a recurrence: what is drawn for one call, outside of the loop over time.

An engine gets the masks and stays deterministic, so that all engines give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The masks of one cell for one batch.

    hidden: float [B, H]. What the recurrent product sees of the last output is multiplied by it, at
        every step by the same (Gal and Ghahramani 2016, arXiv:1512.05287).
    weight: float [G*H, H]. The recurrent weight is multiplied by it for the whole call (weight
        drop, Merity et al. 2018, arXiv:1708.02182).
    masks: by the names that the cell declares in `GatedCell.masks`, float [B, T, H] or, the same at
        every step, [B, H]; keywords of its `update`.
    keep: for each leaf of the state None or float [B, T, H], the share of the old value that the
        new one keeps: 0 or 1 in training, the rate in evaluation (zoneout, Krueger et al. 2017,
        arXiv:1606.01305). Empty for none.

    Times are those of the inputs, in both directions.
    """

    hidden: Tensor | None = None
    weight: Tensor | None = None
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    keep: tuple[Tensor | None, ...] = ()

    def map(self, change: Callable[[Tensor], Tensor]) -> Noise:
        """The same with another form of each mask that has a time axis."""

        def changed(mask: Tensor) -> Tensor:
            return change(mask) if mask.dim() == 3 else mask

        return replace(
            self,
            masks={name: changed(mask) for name, mask in self.masks.items()},
            keep=tuple(None if share is None else changed(share) for share in self.keep),
        )

    def first(self, count: int) -> Noise:
        """The masks of the first rows of the batch."""
        return replace(
            self,
            hidden=None if self.hidden is None else self.hidden[:count],
            masks={name: mask[:count] for name, mask in self.masks.items()},
            keep=tuple(None if share is None else share[:count] for share in self.keep),
        )

    def steps(self, time: int) -> list[Noise]:
        """Each step's own: masks [B, H] alone."""
        names = list(self.masks)
        masks = [_unbind(mask, time) for mask in self.masks.values()]
        shares = [[None] * time if s is None else _unbind(s, time) for s in self.keep]
        return [
            replace(
                self,
                masks={name: mask[t] for name, mask in zip(names, masks, strict=True)},
                keep=tuple(share[t] for share in shares),
            )
            for t in range(time)
        ]


def _unbind(mask: Tensor, time: int) -> Sequence[Tensor]:
    return mask.unbind(1) if mask.dim() == 3 else [mask] * time
