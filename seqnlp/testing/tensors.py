"""Padded inputs of a network, and comparisons of tensors that say where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.testing.contract import Violation
from seqnlp.types import lengths_to_mask

TOLERANCE = 1e-7
"""Of float64, relative to the greatest number of a tensor."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a network reads: float tensors by name, batch first.

    lengths: by name, int64 [B], how many steps of the second axis are real; of a tensor that has no
    such axis there are none.
    """

    tensors: Mapping[str, Tensor]
    lengths: Mapping[str, Tensor]

    @property
    def rows(self) -> int:
        """B."""
        return len(next(iter(self.tensors.values())))

    def mask(self, name: str) -> Tensor:
        """Bool [B, T] of a padded tensor, True on real steps."""
        return lengths_to_mask(self.lengths[name], self.tensors[name].shape[1])

    def select(self, rows: Tensor) -> Self:
        """The rows int64 [M], each as wide as before."""
        return replace(
            self,
            tensors={name: each[rows] for name, each in self.tensors.items()},
            lengths={name: each[rows] for name, each in self.lengths.items()},
        )

    def alone(self, row: int) -> Self:
        """One row without any padding."""
        one = self.select(torch.tensor([row]))
        cut = {name: each[:, : int(one.lengths[name])] for name, each in one._padded().items()}
        return replace(one, tensors={**one.tensors, **cut})

    def garbled(self, value: float, *, wider: int = 0) -> Self:
        """The same rows with this value on all padding, of which there are more steps."""
        changed = {}
        for name, each in self._padded().items():
            extra = each.new_zeros(len(each), wider, *each.shape[2:])
            whole = torch.cat([each, extra], dim=1)
            absent = ~lengths_to_mask(self.lengths[name], whole.shape[1])
            changed[name] = whole.masked_fill(absent.unsqueeze(2), value)
        return replace(self, tensors={**self.tensors, **changed})

    def learning(self) -> Self:
        """Copies of the tensors that gradients are asked of."""
        copies = {name: each.detach().clone() for name, each in self.tensors.items()}
        return replace(self, tensors={name: each.requires_grad_() for name, each in copies.items()})

    def to(self, dtype: torch.dtype) -> Self:
        """The same numbers in another type."""
        return replace(self, tensors={name: each.to(dtype) for name, each in self.tensors.items()})

    def _padded(self) -> dict[str, Tensor]:
        return {name: self.tensors[name] for name in self.lengths}


def contents(value: object) -> Iterable[object]:
    """What an attribute holds: the values of a container, or itself."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, tuple | list | set) else (value,)


def held_tensors(module: nn.Module) -> set[str]:
    """The attributes that hold tensors and are neither weights nor buffers."""
    found = set()
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if any(isinstance(each, Tensor) for each in contents(value)):
                found.add(f"{path}.{name}" if path else name)
    return found


def require_close(
    found: Tensor, expected: Tensor, what: str, remedy: str, *, tolerance: float = TOLERANCE
) -> None:
    """Raise a violation where two tensors differ by more than rounding.

    Args:
        found, expected: of one shape.
        what: the two are called in the message: "states of row 2, alone and in a batch".
        remedy: see `Violation`.
        tolerance: relative to the greatest number, or absolute where that is below 1.
    """
    found, expected = found.detach(), expected.detach()
    if found.shape != expected.shape:
        raise Violation(
            f"{what}: their shapes {list(found.shape)} and {list(expected.shape)} differ", remedy
        )
    if not found.numel():
        return
    far = (found - expected).abs().double()
    far = torch.where(torch.isnan(far), torch.full_like(far, torch.inf), far)
    both_nan = torch.isnan(found) & torch.isnan(expected)
    far = far.masked_fill(both_nan | (found == expected), 0.0)
    finite = expected[torch.isfinite(expected)].abs()
    scale = max(1.0, float(finite.max())) if finite.numel() else 1.0
    if float(far.max()) <= tolerance * scale:
        return
    index = tuple(int(i) for i in torch.unravel_index(far.argmax(), far.shape))
    place = f" at {list(index)}" if index else ""
    raise Violation(
        f"{what} differ{place}: {found[index].item():.6g} and {expected[index].item():.6g}", remedy
    )


def require_finite(found: Tensor, what: str, remedy: str) -> None:
    """Raise a violation where a tensor holds NaN or infinity."""
    wrong = int((~torch.isfinite(found)).sum())
    if wrong:
        raise Violation(f"{wrong} of {found.numel()} numbers of {what} are not finite", remedy)


def require_long(run: Callable[[], Tensor], what: str) -> str | None:
    """Raise a violation where something long is not read; one that is refused is told of."""
    try:
        found = run()
    except InputError as error:
        return str(error)
    except Exception as error:
        raise Violation(
            f"{what} raises {type(error).__name__}: {error}",
            "make what belongs to positions for as many as there are, or raise an InputError that "
            "names the most and the setting that keeps to it, such as text.max_tokens",
        ) from error
    require_finite(found, f"the states of {what}", "let no state grow without bounds")
    return None
