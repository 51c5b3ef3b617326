"""Operations of torch in simpler ones, where torch's own decompositions do not go far enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor


def find_decomposition(func: Any) -> Callable[..., Any] | None:
    """The operation in simpler ones, or None."""
    found = _OWN.get(func.overloadpacket.__name__)
    if found is None:
        # Imported here: it takes a while, and hardly a cell needs it.
        from torch._decomp import decomposition_table

        found = decomposition_table.get(func)
    return found


def _normalize(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    mean = x.mean(-1, keepdim=True)
    centered = x - mean
    rstd = ((centered * centered).mean(-1, keepdim=True) + eps).rsqrt()
    out = centered * rstd
    if weight is not None:
        out = out * weight
    if bias is not None:
        out = out + bias
    return out, mean, rstd


def _normalize_backward(
    gradient: Tensor,
    x: Tensor,
    shape: Sequence[int],
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """With y the normalized x and g its gradient: rstd * (g - mean(g) - y * mean(g * y))."""
    y = (x - mean) * rstd
    scaled = gradient if weight is None else gradient * weight
    inner = scaled - scaled.mean(-1, keepdim=True) - y * (scaled * y).mean(-1, keepdim=True)
    return (
        inner * rstd,
        (gradient * y).sum(0) if wanted[1] else None,
        gradient.sum(0) if wanted[2] else None,
    )


def _variance(
    x: Tensor,
    dims: list[int] | None = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    centered = x - x.mean(dims, keepdim=True)
    count = x.shape[-1] - (int(unbiased) if correction is None else correction)
    return (centered * centered).sum(dims, keepdim=keepdim) / count


def _softplus(x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    scaled = x * beta
    return torch.where(scaled > threshold, x, scaled.exp().log1p() / beta)


def _softplus_backward(gradient: Tensor, x: Tensor, beta: float, threshold: float) -> Tensor:
    scaled = x * beta
    return torch.where(scaled > threshold, gradient, gradient * scaled.sigmoid())


def _variance_and_mean(x: Tensor, dims: list[int], **options: Any) -> tuple[Tensor, Tensor]:
    mean = x.mean(dims, keepdim=options.get("keepdim", False))
    return _variance(x, dims, **options), mean


def _interpolate(start: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    return start + weight * (end - start)


def _add_quotient(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return x + value * a / b


_OWN: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "native_layer_norm": _normalize,
        "native_layer_norm_backward": _normalize_backward,
        "softplus": _softplus,
        "softplus_backward": _softplus_backward,
        "var": _variance,
        "var_mean": _variance_and_mean,
        "lerp": _interpolate,
        "addcdiv": _add_quotient,
    }
)
