"""Dropout at named sites: a model says where, a hook says how much and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.nn.engines.dropout import dropout


def drop_elements(x: Tensor, rate: float) -> Tensor:
    """Zero each element on its own and rescale the rest. Source: Srivastava et al. 2014."""
    return F.dropout(x, rate)


def drop_fast(x: Tensor, rate: float) -> Tensor:
    """`drop_elements` by another generator, which takes a tenth of the time on a CPU."""
    return dropout(x, rate)


def drop_locked(x: Tensor, rate: float) -> Tensor:
    """Zero the same features at every step of a row, [B, T, D] or [B, D], and rescale the rest.

    Source: Gal and Ghahramani 2016, arXiv:1512.05287.
    """
    shape = (x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])
    return x * x.new_empty(shape).bernoulli_(1 - rate).div_(1 - rate)


def drop_words(x: Tensor, rate: float) -> Tensor:
    """Zero whole positions of [B, T, D]; the rest keep their scale, as a word is there or not.

    Source: Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods", section 3.2.
    """
    return x * x.new_empty(*x.shape[:2], 1).bernoulli_(1 - rate)


KINDS: Mapping[str, Callable[[Tensor, float], Tensor]] = MappingProxyType(
    {"standard": drop_elements, "fast": drop_fast, "locked": drop_locked, "word": drop_words}
)

RECURRENT_KINDS = ("locked", "weight", "candidate", "locked_candidate")
"""Those of `seqnlp.nn.recurrent_dropout`."""


class Site(nn.Module):
    """A named place where dropout may act.

    Rate and kind belong to the training, not to the model: they are no part of the state dict.

    Args:
        name: what hooks call the place.
        kind: its own kind, the one that it has unless told otherwise.
        kinds: those that can act there.
        where: how messages call the place.
    """

    def __init__(self, name: str, *, kind: str, kinds: Iterable[str], where: str = "here") -> None:
        super().__init__()
        self.name = name
        self.own_kind = kind
        self.kinds = tuple(kinds)
        self.where = where
        self._kind = kind
        self._rate = 0.0

    @property
    def rate(self) -> float:
        """The share that is dropped, in [0, 1).

        Raises:
            SettingsError: set to anything else, or no kind can act here.
        """
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        if not 0.0 <= value < 1.0:
            raise SettingsError(
                f"dropout site {self.name!r}: the rate must be in [0, 1), not {value!r}"
            )
        if value > 0:
            self._check_any()
        self._rate = float(value)

    @property
    def kind(self) -> str:
        """What is dropped together: one of `kinds`.

        Raises:
            UnknownNameError: set to a kind that exists nowhere.
            SettingsError: set to one that acts at other places only.
        """
        return self._kind

    @kind.setter
    def kind(self, value: str) -> None:
        self._check_any()
        if value not in self.kinds:
            if value not in (*KINDS, *RECURRENT_KINDS):
                raise UnknownNameError("dropout kind", value, self.kinds)
            raise SettingsError(
                f"dropout site {self.name!r}: the kind {value!r} does not act {self.where}; "
                f"use {_either(self.kinds)}"
            )
        self._kind = value

    def reset_kind(self) -> None:
        """Take the site's own kind again."""
        self._kind = self.own_kind

    def _check_any(self) -> None:
        if not self.kinds:
            raise SettingsError(
                f"dropout site {self.name!r}: no kind acts {self.where}; leave the rate at 0"
            )

    def extra_repr(self) -> str:
        """Name, rate and kind, for printing."""
        return f"{self.name!r}, rate={self._rate}, kind={self._kind!r}"


class DropoutSite(Site):
    """A place on the way of a tensor; it passes its input on in evaluation and at rate 0.

    Args:
        name: what hooks call the place: "embedding".
        kind: "standard", "fast", "locked" or "word".
    """

    def __init__(self, name: str, *, kind: str = "standard") -> None:
        super().__init__(name, kind=kind, kinds=KINDS)

    def forward(self, x: Tensor) -> Tensor:
        """Drop from float [B, T, D] or [B, D].

        Raises:
            InputError: the kind drops words and the input has no time axis.
        """
        if not self.training or self._rate == 0.0:
            return x
        if self._kind == "word" and x.dim() != 3:
            raise InputError(
                f"dropout site {self.name!r}: the kind 'word' needs [B, T, D], "
                f"but this site sees {list(x.shape)}; use 'standard'"
            )
        return KINDS[self._kind](x, self._rate)


def dropout_sites(module: nn.Module) -> dict[str, list[Site]]:
    """The sites of a module and its parts, by name, in the order of `module.modules()`."""
    sites: dict[str, list[Site]] = {}
    for part in module.modules():
        if isinstance(part, Site):
            sites.setdefault(part.name, []).append(part)
    return sites


def _either(names: Sequence[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last
