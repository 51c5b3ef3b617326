"""Activations by name, for cells whose nonlinearity is a setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A pointwise function and the parameters that it learns.

    function: called with a tensor and, as keywords, the parameters.
    parameters: name to initial value; a cell makes one parameter [H] of each.
    """

    function: Callable[..., Tensor]
    parameters: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def prelu(x: Tensor, *, slope: Tensor) -> Tensor:
    """`x` where positive, `slope * x` elsewhere; slope [H], one a unit.

    Source: He et al. 2015, arXiv:1502.01852, equation 1.
    """
    return torch.where(x > 0, x, slope * x)


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "tanh": Activation(function=torch.tanh),
        "relu": Activation(function=torch.relu),
        "sigmoid": Activation(function=torch.sigmoid),
        "leaky_relu": Activation(function=F.leaky_relu),
        "prelu": Activation(function=prelu, parameters=MappingProxyType({"slope": 0.25})),
        "elu": Activation(function=F.elu),
        "selu": Activation(function=F.selu),
        "gelu": Activation(function=F.gelu),
        "silu": Activation(function=F.silu),
        "softplus": Activation(function=F.softplus),
        "softsign": Activation(function=F.softsign),
        "hardtanh": Activation(function=F.hardtanh),
        "identity": Activation(function=lambda x: x),
    }
)


def find_activation(name: str) -> Activation:
    """The activation of that name.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    if name not in ACTIVATIONS:
        raise UnknownNameError("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
