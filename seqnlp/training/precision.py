"""The numbers that a network computes with while it is trained; its weights are always float32."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

Name = Literal["float32", "bf16", "fp16"]
_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Lower precision where torch holds it to be safe, see torch.amp; float32 changes nothing.

    Of fp16 the loss is scaled, so that small gradients are not lost, and a step whose gradients
    overflowed is left out (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2).

    Args:
        name: of the numbers.
        device: where the network computes.
    """

    def __init__(self, name: Name, device: torch.device) -> None:
        self.dtype, self.device = _DTYPES[name], device
        self._scaler = torch.amp.GradScaler(device.type) if name == "fp16" else None

    @classmethod
    def choose(cls, name: Name, device: torch.device) -> tuple[Precision, str | None]:
        """What was asked for, or float32 and the reason where that is faster."""
        reason = None
        if name != "float32" and device.type != "cuda":
            reason = f"the kernels for a {device.type.upper()} compute in float32, which is faster"
        elif name == "bf16" and torch.cuda.get_device_capability(device) < (8, 0):
            gpu = torch.cuda.get_device_name(device)
            reason = f"{gpu} has no units for it, and float32 is faster; it has some for fp16"
        if reason is None:
            return cls(name, device), None
        return cls("float32", device), f"train.precision {name} is off: {reason}"

    def autocast(self) -> AbstractContextManager[None]:
        """The block in which the loss is computed."""
        if self.dtype == torch.float32:
            return nullcontext()
        found: AbstractContextManager[None] = torch.autocast(self.device.type, self.dtype)
        return found

    def scale(self, loss: Tensor) -> Tensor:
        """The loss to go backward from."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the gradients, of which each process has the same, the scale of the loss."""
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Change the weights, unless gradients overflowed."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The scale and since when it holds, as JSON values; empty where there is none."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        if self._scaler is not None:
            self._scaler.load_state_dict(dict(state))
