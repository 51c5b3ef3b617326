"""What a network says of a value: quantiles that it learns, or a distribution."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

LEAST = 1e-3
"""Of a scale, in units of the window's: a constant series would have a density without bound."""
_LEAST_FREEDOM = 2.05
"""Just above that of an infinite variance."""


class Output(ABC):
    """Parameters float [..., P] of a network, read as a distribution around `base`, float [...]."""

    size: int

    @abstractmethod
    def losses(self, raw: Tensor, base: Tensor, targets: Tensor) -> Tensor:
        """The loss of each target, float [...]."""

    @abstractmethod
    def quantiles(self, raw: Tensor, base: Tensor, levels: Sequence[float]) -> Tensor:
        """Float [..., Q], rising with the levels."""

    @abstractmethod
    def sample(self, raw: Tensor, base: Tensor) -> Tensor:
        """A value of each distribution, float [...], drawn by torch's generator."""

    @abstractmethod
    def location_scale(self, raw: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """Middle and width of each distribution, float [...]."""


class Quantiles(Output):
    """Q quantiles, of which none crosses another: the median, and steps away from it.

    Their loss is the pinball loss (Koenker and Bassett 1978), twice its mean over the levels.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels = tuple(levels)
        self.size = len(self.levels)
        self.middle = self.levels.index(0.5)

    def losses(self, raw: Tensor, base: Tensor, targets: Tensor) -> Tensor:
        """See `Output.losses`."""
        errors = targets.unsqueeze(-1) - self._values(raw, base)
        tau = torch.tensor(self.levels, dtype=raw.dtype, device=raw.device)
        return 2 * torch.maximum(tau * errors, (tau - 1) * errors).mean(-1)

    def quantiles(self, raw: Tensor, base: Tensor, levels: Sequence[float]) -> Tensor:
        """See `Output.quantiles`; levels that were not learned lie between those that were."""
        values = self._values(raw, base)
        if tuple(levels) == self.levels:
            return values
        found = []
        for level in levels:
            above = min(max(sum(own < level for own in self.levels), 1), self.size - 1)
            low, high = self.levels[above - 1], self.levels[above]
            share = min(max((level - low) / (high - low), 0.0), 1.0)
            found.append(torch.lerp(values[..., above - 1], values[..., above], share))
        return torch.stack(found, dim=-1)

    def sample(self, raw: Tensor, base: Tensor) -> Tensor:
        """A value between the outermost quantiles, by linear interpolation."""
        values = self._values(raw, base)
        tau = torch.tensor(self.levels, dtype=raw.dtype, device=raw.device)
        drawn = torch.rand(base.shape, dtype=raw.dtype, device=raw.device).clamp(tau[0], tau[-1])
        above = torch.searchsorted(tau, drawn).clamp(1, self.size - 1)
        share = (drawn - tau[above - 1]) / (tau[above] - tau[above - 1])
        low = values.gather(-1, above.unsqueeze(-1) - 1).squeeze(-1)
        high = values.gather(-1, above.unsqueeze(-1)).squeeze(-1)
        drawn_values: Tensor = torch.lerp(low, high, share)
        return drawn_values

    def location_scale(self, raw: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """The median, and half the distance of the outermost quantiles."""
        values = self._values(raw, base)
        width = (values[..., -1] - values[..., 0]) / 2
        return values[..., self.middle], width.clamp_min(LEAST)

    def _values(self, raw: Tensor, base: Tensor) -> Tensor:
        k = self.middle
        median = base.unsqueeze(-1) + raw[..., k : k + 1]
        up = median + functional.softplus(raw[..., k + 1 :] - 1).cumsum(-1)
        down = median - functional.softplus(raw[..., :k] - 1).flip(-1).cumsum(-1).flip(-1)
        return torch.cat([down, median, up], dim=-1)


class Gaussian(Output):
    """A normal distribution; the loss is its negative log-density in nats."""

    size = 2

    def losses(self, raw: Tensor, base: Tensor, targets: Tensor) -> Tensor:
        """See `Output.losses`."""
        loc, scale = self.location_scale(raw, base)
        error = (targets - loc) / scale
        return 0.5 * error.square() + scale.log() + 0.5 * math.log(2 * math.pi)

    def quantiles(self, raw: Tensor, base: Tensor, levels: Sequence[float]) -> Tensor:
        """See `Output.quantiles`."""
        loc, scale = self.location_scale(raw, base)
        units: Tensor = torch.special.ndtri(torch.tensor(levels, dtype=torch.float64)).to(raw)
        return loc.unsqueeze(-1) + scale.unsqueeze(-1) * units

    def sample(self, raw: Tensor, base: Tensor) -> Tensor:
        """See `Output.sample`."""
        loc, scale = self.location_scale(raw, base)
        return loc + scale * torch.randn_like(loc)

    def location_scale(self, raw: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        return base + raw[..., 0], functional.softplus(raw[..., 1]) + LEAST


class Student(Output):
    """Student's t with location, scale and degrees of freedom; outliers pull it less than a normal
    distribution. The loss is its negative log-density in nats.
    """

    size = 3

    def losses(self, raw: Tensor, base: Tensor, targets: Tensor) -> Tensor:
        """See `Output.losses`."""
        loc, scale = self.location_scale(raw, base)
        freedom = self._freedom(raw)
        error = (targets - loc) / scale
        half = (freedom + 1) / 2
        density = torch.lgamma(half) - torch.lgamma(freedom / 2) - 0.5 * (freedom * math.pi).log()
        return half * torch.log1p(error.square() / freedom) - density + scale.log()

    def quantiles(self, raw: Tensor, base: Tensor, levels: Sequence[float]) -> Tensor:
        """See `Output.quantiles`."""
        loc, scale = self.location_scale(raw, base)
        freedom = self._freedom(raw)
        units = torch.stack([student_quantile(freedom, level) for level in levels], dim=-1)
        return loc.unsqueeze(-1) + scale.unsqueeze(-1) * units

    def sample(self, raw: Tensor, base: Tensor) -> Tensor:
        """See `Output.sample`: a normal draw over the root of a chi-squared one."""
        loc, scale = self.location_scale(raw, base)
        freedom = self._freedom(raw)
        chi = 2 * torch._standard_gamma(freedom / 2)
        return loc + scale * torch.randn_like(loc) * (freedom / chi.clamp_min(1e-6)).sqrt()

    def location_scale(self, raw: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale."""
        return base + raw[..., 0], functional.softplus(raw[..., 1]) + LEAST

    def _freedom(self, raw: Tensor) -> Tensor:
        return _LEAST_FREEDOM + functional.softplus(raw[..., 2] + 2)


def student_quantile(freedom: Tensor, level: float) -> Tensor:
    """The quantile of a level in (0, 1) of Student's t with float [...] degrees of freedom over 2.

    Source: Hill 1970, "Algorithm 396: Student's t-quantiles", CACM 13(10); four digits and more.
    """
    n = freedom.double()
    tails = 2 * min(level, 1 - level)
    if tails == 1:
        return torch.zeros_like(freedom)
    a = 1 / (n - 0.5)
    b = 48 / a.square()
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * (a * math.pi / 2).sqrt() * n
    y = (d * tails) ** (2 / n)
    # Far in the tails.
    far = (1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1
    far = far * (n + 1) / (n + 2) + 1 / y
    # Near the middle, from the normal quantile.
    x = torch.special.ndtri(torch.full_like(n, tails / 2))
    c = torch.where(n < 5, c + 0.3 * (n - 4.5) * (x + 0.6), c)
    c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
    s = x.square()
    near = (((((0.4 * s + 6.3) * s + 36) * s + 94.5) / c - s - 3) / b + 1) * x
    near = torch.expm1(a * near.square())
    found = (n * torch.where(y > 0.05 + a, near, far)).sqrt()
    return (found if level > 0.5 else -found).to(freedom.dtype)


def make_output(name: str, levels: Sequence[float]) -> Output:
    """The output of a name: quantiles, gaussian, student."""
    made: dict[str, Output] = {"gaussian": Gaussian(), "student": Student()}
    return made[name] if name in made else Quantiles(levels)


def quantile_levels(intervals: Sequence[float]) -> tuple[float, ...]:
    """The levels of the ends of central intervals in %, and the median between them.

    >>> quantile_levels([80])
    (0.1, 0.5, 0.9)
    """
    ends = {round(0.5 + sign * percent / 200, 6) for percent in intervals for sign in (-1, 1)}
    return tuple(sorted(ends | {0.5}))
