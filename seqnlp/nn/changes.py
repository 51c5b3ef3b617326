"""Whether weights are still what they were when something was made of them.

Torch counts what it writes to a tensor in place, but neither what goes through `.data` or numpy nor
the steps of an optimizer with `fused=True`. Steps are therefore counted here, and of the weights
some numbers are compared: those that any change of a whole row or column reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

_MOST = 2048
"""Numbers of a tensor that are compared; one of each row where there are no more rows than that."""
_steps = 0


def _count(*_: Any) -> None:
    global _steps
    _steps += 1


register_optimizer_step_post_hook(_count)


class Sample:
    """Some numbers of weights, beside the memory that they were read from, which is held.

    Args:
        weights: on the CPU, of a type that numpy has.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._steps = _steps
        self._views = [_view(weight.detach()) for weight in weights]
        self._numbers = [view.tobytes() for view in self._views]

    def stands(self) -> bool:
        """Whether no optimizer has made a step since, and the numbers are as they were."""
        if self._steps != _steps:
            return False
        return [view.tobytes() for view in self._views] == self._numbers


def _view(weight: Tensor) -> Any:
    numbers = weight.numpy()
    if not weight.is_contiguous():
        return numbers
    # Along the diagonal, and again from the first column where that ends.
    columns = weight.shape[-1] if weight.dim() > 1 else 0
    return numbers.reshape(-1)[:: max(columns + 1, weight.numel() // _MOST | 1)]
