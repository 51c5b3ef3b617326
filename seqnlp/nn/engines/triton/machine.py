"""What this machine lacks to run Triton's kernels."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec

import torch

_OLDEST = (3, 4)
"""The first Triton whose kernels may be given tuples of constants."""


def find_obstacle_on(device: torch.device) -> str | None:
    """Why no kernel of Triton can run on tensors of a device, in a sentence; None where one can."""
    if device.type != "cuda" and not _interprets():
        return f"it runs on CUDA devices, and the input is on {device.type}"
    return _find_obstacle(device)


@cache
def _find_obstacle(device: torch.device) -> str | None:
    if find_spec("triton") is None:
        return "Triton is not installed: builds of PyTorch for GPUs bring it on Linux"
    import triton

    version = triton.__version__
    if tuple(map(int, version.split(".")[:2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        return f"Triton {version} is too old: it needs {oldest}, as PyTorch 2.8 brings it"
    return _try(device)


def _try(device: torch.device) -> str | None:
    """Run a kernel. The GPU may be too old for Triton, or the compiler that it needs missing."""
    from seqnlp.nn.engines.triton.scan import forward

    ones = torch.ones(1, 1, 1, device=device)
    try:
        forward(ones, ones, ones[0], None, reverse=False)
    except Exception as error:  # Whatever goes wrong in a compiler: it is passed on in words.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"Triton cannot build a kernel on this machine: {lines[0]}"
    return None


def on(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the one that kernels are launched on."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _interprets() -> bool:
    """Whether Triton's interpreter stands in for a GPU, as `TRITON_INTERPRET=1` asks for."""
    return os.environ.get("TRITON_INTERPRET") == "1"
