"""Updates of one leaf that engines trace: every operation and rule, from two gates and a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, tanh

# Of x_gates, h_gates and one leaf of the state; `a` is the sum of the first gate's products.
ZOO: dict[str, Callable[[Any, Any, Tensor], Tensor]] = {}


def _add(name: str, change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    ZOO[name] = lambda x, h, s: change(x[0] + h[0], x[1], s)


def _leak(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda a, b, s: tanh(function(a)) + 0.1 * s


# Functions of one number, of every kind that torch has a derivative or a decomposition for.
for _name, _function in {
    "abs": torch.abs,
    "sign": torch.sign,
    "sqrt": lambda a: torch.sqrt(a.abs() + 1),
    "rsqrt": lambda a: torch.rsqrt(a.abs() + 1),
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": lambda a: torch.log(a.abs() + 1),
    "log1p": lambda a: torch.log1p(a.abs()),
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "neg": torch.neg,
    "reciprocal": lambda a: 1 / (a.abs() + 1),
    "relu": F.relu,
    "relu6": F.relu6,
    "softplus": F.softplus,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu tanh": lambda a: F.gelu(a, approximate="tanh"),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "mish": F.mish,
    "leaky_relu": lambda a: F.leaky_relu(a, 0.2),
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "hardtanh": F.hardtanh,
    "threshold": lambda a: F.threshold(a, 0.1, 0.5),
    "clamp": lambda a: a.clamp(-0.3, 0.4),
    "clamp min": lambda a: a.clamp(min=-0.3),
    "clamp max": lambda a: a.clamp(max=0.3),
    "square": torch.square,
    "power 3": lambda a: a**3,
    "power 8": lambda a: (a / 3) ** 8,
    "power -1": lambda a: (a.abs() + 1) ** -1,
    "power -8": lambda a: (a.abs() + 1) ** -8,
    "power 0": lambda a: a**0,
    "power 0.5": lambda a: (a.abs() + 1) ** 0.5,
    "power -0.5": lambda a: (a.abs() + 1) ** -0.5,
    "power 1.5": lambda a: (a.abs() + 1) ** 1.5,
    "logit": lambda a: torch.logit(torch.sigmoid(a)),
    "sinc": torch.sinc,
    "rsub": lambda a: 1 - a,
    # Sums over a row's features.
    "softmax": lambda a: F.softmax(a, -1),
    "log_softmax": lambda a: F.log_softmax(a, 1),
    "logsumexp": lambda a: a - torch.logsumexp(a, -1, keepdim=True),
    "layer_norm": lambda a: F.layer_norm(a, a.shape[1:]),
    "mean": lambda a: a - a.mean(-1, keepdim=True),
    "sum": lambda a: a * a.sum(1).unsqueeze(1),
    "var": lambda a: a / (a.var(-1, keepdim=True) + 1),
    "var of all": lambda a: a / (a.var(-1, correction=0).unsqueeze(1) + 1),
    "std": lambda a: a / (a.std(-1, keepdim=True) + 1),
    "var_mean": lambda a: a / (torch.var_mean(a, -1, keepdim=True)[0] + 1),
    "norm": lambda a: a / (a.norm(dim=-1, keepdim=True) + 1),
    "normalize": lambda a: F.normalize(a, dim=-1),
    "amax": lambda a: a - a.amax(-1, keepdim=True),
    "amin": lambda a: a - a.amin(1, keepdim=True),
    "two sums": lambda a: a * (a * a.sum(-1, keepdim=True)).sum(-1, keepdim=True),
    # Views and constants.
    "unsqueeze": lambda a: a.unsqueeze(1).squeeze(1),
    "expand": lambda a: a * a.sum(-1, keepdim=True).expand_as(a),
    "clone": lambda a: a.clone().contiguous(),
    "zeros_like": lambda a: a + torch.zeros_like(a),
    "ones": lambda a: a * torch.ones(a.shape[0], 1),
    "tensor": lambda a: a * torch.tensor(0.5),
    "new_full": lambda a: a * a.new_full((1,), 0.5),
    "infinity": lambda a: torch.minimum(a, torch.full_like(a, float("inf"))),
    "small numbers": lambda a: a * 1e-20 * 1e20,
}.items():
    _add(_name, _leak(_function))

# Functions of several, and of truths.
for _name, _change in {
    "maximum": lambda a, b, s: torch.maximum(tanh(a), s),
    "minimum": lambda a, b, s: torch.minimum(tanh(a), s),
    "maximum of equals": lambda a, b, s: torch.maximum(tanh(b), tanh(b) * 1),
    "clamp by tensors": lambda a, b, s: tanh(torch.clamp(a, min=0.5 * s, max=b)),
    "where": lambda a, b, s: torch.where(b > 0, tanh(a), 0.5 * s),
    "where of a number": lambda a, b, s: torch.where((b > 0) & (s < 0.1) | ~(s >= 0), tanh(a), 0.2),
    "masked_fill": lambda a, b, s: tanh(a).masked_fill(s <= 0, 0.5),
    "logical": lambda a, b, s: torch.where(
        torch.logical_or(b == 0, torch.logical_not(s != 0)), b, tanh(a)
    ),
    "xor": lambda a, b, s: torch.where((b > 0) ^ (s > 0), b, tanh(a)),
    "a truth times a number": lambda a, b, s: tanh(a) * (b > 0) + (s > 0) * 2,
    "a truth as a number": lambda a, b, s: tanh(a) * (1 - (b > 0) * 1.0),
    "the sum of truths": lambda a, b, s: tanh(a) * ((b > 0) + (s > 0)),
    "the product of truths": lambda a, b, s: tanh(a) * ((b > 0) * (s > 0)),
    "truths converted": lambda a, b, s: tanh(a) * ((b > 0).double() + (s > 0).long()),
    "truths counted": lambda a, b, s: tanh(a) * (b > 0).sum(-1, keepdim=True) / 5,
    "a number as a truth": lambda a, b, s: tanh(a) * F.relu(b).bool(),
    "where of a choice": lambda a, b, s: torch.where(torch.where(b > 0, s > 0, s < 0), a, b),
    "lerp": lambda a, b, s: torch.lerp(s, tanh(a), 0.3),
    "lerp by a tensor": lambda a, b, s: torch.lerp(s, tanh(a), torch.sigmoid(b)),
    "addcmul": lambda a, b, s: tanh(torch.addcmul(a, b, s, value=0.5)),
    "addcdiv": lambda a, b, s: tanh(torch.addcdiv(a, b, s.abs() + 1, value=0.5)),
    "add with alpha": lambda a, b, s: tanh(torch.add(a, b, alpha=2)),
    "sub with alpha": lambda a, b, s: tanh(torch.sub(a, b, alpha=2)),
    "rsub with alpha": lambda a, b, s: tanh(torch.rsub(a, b, alpha=2)),
    "div": lambda a, b, s: tanh(a / (b.abs() + 1)),
    "detach": lambda a, b, s: tanh(a) * torch.sigmoid(a).detach(),
    "mse": lambda a, b, s: tanh(F.mse_loss(a, s, reduction="none")),
    "smooth_l1": lambda a, b, s: tanh(F.smooth_l1_loss(a, s, reduction="none")),
    "distance": lambda a, b, s: tanh(a) * torch.pairwise_distance(b, s, keepdim=True),
    # What is left alone.
    "a state unchanged": lambda a, b, s: s,
    "a sum itself": lambda a, b, s: a,
    "an input alone": lambda a, b, s: b,
    "nothing of the input": lambda a, b, s: torch.sin(s),
    "a constant": lambda a, b, s: torch.zeros_like(s),
}.items():
    _add(_name, _change)

ZOO["a gate apart"] = lambda x, h, s: tanh(x[0] * h[0] + h[1])
ZOO["the recurrent product alone"] = lambda x, h, s: tanh(h[1])
ZOO["a sum used twice"] = lambda x, h, s: tanh(x[0] + h[0]) * torch.sigmoid(x[0] + h[0])
ZOO["products added crosswise"] = lambda x, h, s: tanh(x[0] + h[1]) * (x[1] + h[0])

# With one parameter, of five features or a single number.
PARAMETRIC: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], tuple[int, ...]]] = {
    "one a feature": (lambda a, b, p: a * p, (5,)),
    "one [1]": (lambda a, b, p: a * p, (1,)),
    "one []": (lambda a, b, p: a * p, ()),
    "functions": (lambda a, b, p: a * torch.exp(p) + 2 * p, (5,)),
    "functions of one": (lambda a, b, p: a * torch.exp(p) + 2 * p, (1,)),
    "its sum": (lambda a, b, p: a * p.sum(), (5,)),
    "its mean": (lambda a, b, p: a * p / p.mean(), (5,)),
    "its softmax": (lambda a, b, p: a * F.softmax(p, 0), (5,)),
    "clamped": (lambda a, b, p: a * p.clamp(0.6, 0.9), (5,)),
    "largest": (lambda a, b, p: torch.maximum(a, 0.1 * p), (5,)),
    "prelu": (lambda a, b, p: F.prelu(a, p), (5,)),
    "prelu of one": (lambda a, b, p: F.prelu(a, p), (1,)),
    "times a sum": (lambda a, b, p: a + (p * b.sum(1)).unsqueeze(1), ()),
    "times a sum [1]": (lambda a, b, p: a + (p * b.sum(1)).unsqueeze(1), (1,)),
    "a dot product": (lambda a, b, p: a * (b * p).sum(-1, keepdim=True), (5,)),
    "layer_norm": (lambda a, b, p: F.layer_norm(a, (5,), p, 2 * p), (5,)),
    "alone": (lambda a, b, p: p.expand_as(a), (5,)),
    "not used": (lambda a, b, p: a, (5,)),
}
