"""Our hooks keep their contract; broken ones are caught."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from torch.utils.hooks import RemovableHandle

from seqnlp.nn import dropout_sites
from seqnlp.testing import Report, check_hook
from seqnlp.training import Hook, Trainer
from tests.testing.test_networks import names


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # MLflow's own
@pytest.mark.parametrize("name", names("hooks"))
def test_hooks(name: str) -> None:
    assert check_hook(name).ok


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dropout", {"embedding": 0.3, "output": 0.3, "recurrent": 0.2}),
        ("penalty", {"l1": 0.01, "l2": 0.01}),
        ("clip", {"norm": 0.5, "adaptive": 0.1}),
        ("schedule", {"kind": "plateau"}),
        ("early_stopping", {"patience": 0}),
        ("average", {"last": 2}),
        ("log", {"every": 1}),
    ],
)
def test_hooks_with_options(name: str, options: dict[str, Any]) -> None:
    assert check_hook(name, **options).ok


class Quiet(Hook):
    """Does nothing."""


class Misnamed(Hook):
    """Acts at a moment that there is not."""

    def on_epoch_stop(self, trainer: Trainer) -> None: ...


class NoTrainer(Hook):
    """Forgets an argument."""

    def on_step_end(self) -> None:  # type: ignore[override]
        pass


class Exploding(Hook):
    """Scales gradients beyond all bounds."""

    def on_backward_end(self, trainer: Trainer) -> None:
        for weight in trainer.task.parameters():
            if weight.grad is not None:
                weight.grad.mul_(float("inf"))


class Evaluating(Hook):
    """Leaves the task in evaluation."""

    def on_batch_start(self, trainer: Trainer) -> None:
        trainer.task.eval()


class Seeding(Hook):
    """Begins each step with the same numbers."""

    def on_step_end(self, trainer: Trainer) -> None:
        torch.manual_seed(0)


class Disabling(Hook):
    """Switches gradients off for all that come after it."""

    def on_fit_end(self, trainer: Trainer) -> None:
        torch.set_grad_enabled(False)


class Counting(Hook):
    """Counts the steps of others."""

    def on_step_end(self, trainer: Trainer) -> None:
        trainer.steps += 1


class LeavingRates(Hook):
    """Sets dropout and leaves it."""

    def on_fit_start(self, trainer: Trainer) -> None:
        for site in dropout_sites(trainer.task)["embedding"]:
            site.rate = 0.1


class Spying(Hook):
    """Leaves its eyes in the network."""

    handle: RemovableHandle | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        self.handle = trainer.task.register_forward_hook(lambda *_: None)


class Freezing(Hook):
    """Freezes and does not thaw."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        next(trainer.task.parameters()).requires_grad_(False)


class NeverReset(Hook):
    """Shrinks gradients more and more, over runs."""

    def __init__(self) -> None:
        self.steps = 0

    def on_backward_end(self, trainer: Trainer) -> None:
        self.steps += 1
        for weight in trainer.task.parameters():
            if weight.grad is not None:
                weight.grad.div_(self.steps)
        for group in trainer.optimizer.param_groups:
            group["lr"] = 0.02 / self.steps


DRAWS = itertools.count(1)


class Unseeded(Hook):
    """Draws by a generator that no seed reaches."""

    def on_step_end(self, trainer: Trainer) -> None:
        generator = torch.Generator().manual_seed(next(DRAWS))
        with torch.no_grad():
            for weight in trainer.task.parameters():
                weight.add_(0.01 * torch.randn(weight.shape, generator=generator))


class NeedsFigures(Hook):
    """Reads figures where there may be none."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        assert trainer.figures["accuracy"] >= 0


class Unsaved(Hook):
    """Gives a state and takes none."""

    def __init__(self) -> None:
        self.epochs = 0

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.epochs += 1

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}


class Unwritable(Hook):
    """Keeps what cannot be written."""

    def state_dict(self) -> dict[str, Any]:
        return {"places": {Path()}}


class Holding(Hook):
    """Closes its file only where all goes well."""

    file: IO[str] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        assert trainer.folder is not None
        self.file = (trainer.folder / "notes").open("w")

    def on_fit_end(self, trainer: Trainer) -> None:
        assert self.file is not None
        self.file.close()


class NeverClosing(Holding):
    """Closes its file nowhere."""

    def on_fit_end(self, trainer: Trainer) -> None: ...


class Masking(Hook):
    """Closes what was never opened."""

    file: IO[str] | None = None

    def on_fit_error(self, trainer: Trainer) -> None:
        self.file.close()  # type: ignore[union-attr]


class Littering(Hook):
    """Writes where it stands."""

    def on_fit_end(self, trainer: Trainer) -> None:
        Path("notes").write_text("done")


class Careless(Hook):
    """Swallows options."""

    def __init__(self, **options: Any) -> None: ...


class Forgetful(Hook):
    """Lowers the learning rate by a count that it does not remember."""

    def __init__(self) -> None:
        self.count = 0

    def on_fit_start(self, trainer: Trainer) -> None:
        self.count = 0

    def on_step_end(self, trainer: Trainer) -> None:
        self.count += 1
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.settings.lr / self.count


FAULTS = {
    Misnamed: ("is a hook", "did you mean"),
    NoTrainer: ("is a hook", "write def on_step_end(self, trainer: Trainer)"),
    Exploding: ("a run with it ends well", ""),
    Evaluating: ("the loop is left to the trainer", "with task.evaluating()"),
    Counting: ("the loop is left to the trainer", "read these and leave them"),
    Seeding: ("the loop is left to the trainer", "a seed of your own by a torch.Generator"),
    Disabling: ("the loop is left to the trainer", "with torch.no_grad()"),
    LeavingRates: ("what it changes is taken back", "undo in on_fit_end"),
    Spying: ("what it changes is taken back", "handle.remove()"),
    Freezing: ("what it changes is taken back", "undo in on_fit_end"),
    NeverReset: ("a seed repeats it, and so does a second run", "begin anew in on_fit_start"),
    Unseeded: ("a seed repeats it, and so does a second run", "draw by torch alone"),
    NeedsFigures: ("it can do without validation", "look at trainer.figures in on_evaluate_end"),
    Unsaved: ("its state can be kept", "take back in load_state_dict"),
    Unwritable: ("its state can be kept", "nothing else is saved"),
    Forgetful: ("a run that was broken off goes on with it", "give all that the hook counts"),
    Holding: ("it lets go where a run fails", "write on_fit_error"),
    NeverClosing: ("what it changes is taken back", "file.close()"),
    Masking: ("it lets go where a run fails", "cope with what was never begun"),
    Littering: ("a run with it ends well", "write below trainer.folder"),
    Careless: ("options are typed", "name each option"),
}


def failed(report: Report) -> dict[str, str]:
    return {each.check: each.remedy for each in report.failed}


def test_a_quiet_one_passes() -> None:
    assert check_hook(Quiet).ok


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught_by_its_check(fault: type[Hook]) -> None:
    check, remedy = FAULTS[fault]
    report = check_hook.examine(fault)
    assert remedy in failed(report).get(check, "no failure"), report.lines()
    assert torch.is_grad_enabled()
