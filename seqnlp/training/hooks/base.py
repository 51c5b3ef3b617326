"""What a hook is: something that acts at named moments of the training loop, and never runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from seqnlp.training.trainer import Trainer


class Hook:
    """Does nothing at every moment; override the ones that matter.

    The moments, in the order of the loop (see `Trainer.fit`)::

        on_fit_start
          on_epoch_start
            on_batch_start
              (loss, backward)
            on_backward_end      gradients are there: clip them, add to them
              (optimizer step)
            on_step_end          weights are new: schedule, average
          on_evaluate_start
            (validation)
          on_evaluate_end        trainer.figures are new
          on_epoch_end
        on_interrupt             a signal stops the run at the border of a step, or in validation
        on_fit_end               also after Ctrl-C
        on_fit_error             in its place where the run failed: let go of files and displays

    order: hooks of a lower order act first at every moment.
    """

    order: ClassVar[int] = 50

    def on_fit_start(self, trainer: Trainer) -> None: ...
    def on_epoch_start(self, trainer: Trainer) -> None: ...
    def on_batch_start(self, trainer: Trainer) -> None: ...
    def on_backward_end(self, trainer: Trainer) -> None: ...
    def on_step_end(self, trainer: Trainer) -> None: ...
    def on_evaluate_start(self, trainer: Trainer) -> None: ...
    def on_evaluate_end(self, trainer: Trainer) -> None: ...
    def on_epoch_end(self, trainer: Trainer) -> None: ...
    def on_interrupt(self, trainer: Trainer) -> None: ...
    def on_fit_end(self, trainer: Trainer) -> None: ...
    def on_fit_error(self, trainer: Trainer) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        """What the hook must remember to go on where it stopped; asked for after `on_fit_start`.

        JSON values, tensors, and lists and dicts of them whose keys are strings.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, after `on_fit_start`; tuples have become lists."""
