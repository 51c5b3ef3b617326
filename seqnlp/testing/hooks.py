"""What a hook owes."""

from __future__ import annotations

import inspect
import threading
from contextlib import chdir, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from seqnlp.errors import suggest
from seqnlp.testing.contract import Contract, Part, Violation
from seqnlp.testing.fitting import (
    MOMENTS,
    Failing,
    PlannedError,
    Watch,
    answers_of,
    changes_left,
    copied,
    differing,
    fit,
    loop_of,
    loose_ends,
    plain,
    same,
    weights_of,
)
from seqnlp.testing.requiring import require
from seqnlp.testing.seeding import seeded
from seqnlp.testing.signature import check_described, check_options
from seqnlp.training import Hook, Trainer
from seqnlp.training.checkpoints import Checkpoints
from seqnlp.training.hooks.checkpoint import CheckpointHook


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A hook under test."""

    part: Part

    def make(self) -> Hook:
        """One as a recipe would have it."""
        made: Hook = self.part.make()
        return made

    def run(
        self, *hooks: Hook, validated: bool = True, checkpoints: Checkpoints | None = None
    ) -> Trainer:
        """A run with these hooks, in folders that are gone behind it.

        With checkpoints, its folder is theirs, and stays.
        """
        with TemporaryDirectory() as own, TemporaryDirectory() as here, chdir(here):
            folder = Path(own) if checkpoints is None else checkpoints.folder
            trainer = fit(hooks, folder, validated=validated, checkpoints=checkpoints)
            written = sorted(each.name for each in Path(here).iterdir())
            require(
                not written,
                f"it writes {', '.join(written)} into the current folder",
                "write below trainer.folder, or where an option says",
            )
            return trainer


check_hook: Contract[Any] = Contract("hooks", lambda part: Subject(part=part), around=seeded)
"""The contract of a hook.

Options: those of the hook, as the table `hooks.NAME` would give them.
"""


@check_hook.check("is a hook", required=True)
def _is_a_hook(subject: Subject) -> str | None:
    factory = subject.part.factory
    require(
        inspect.isclass(factory) and issubclass(factory, Hook),
        f"{subject.part.name} is no subclass of seqnlp.training.Hook",
        "derive it: class MyHook(Hook)",
    )
    order = getattr(factory, "order", None)
    require(
        isinstance(order, int), f"order is {order!r}",
        "set order to a number on the class: 20 to 40 acts before clipping and averages, 50 is "
        "usual, 90 reports",
    )  # fmt: skip
    own = [name for name in dir(factory) if name.startswith("on_")]
    for name in own:
        require(
            name in MOMENTS, f"there is no moment {name!r}",
            f"name it after one: {suggest(name, MOMENTS)}",
        )  # fmt: skip
        taken = inspect.signature(getattr(factory, name)).parameters
        require(
            len(taken) == 2, f"{name} takes ({', '.join(taken)})",
            f"write def {name}(self, trainer: Trainer) -> None",
        )  # fmt: skip
    acting = [name for name in MOMENTS if getattr(factory, name) is not getattr(Hook, name)]
    told = check_described(subject.part)
    return told or (f"acts at {', '.join(acting)}" if acting else "acts at no moment")


@check_hook.check("options are typed", required=True)
def _options(subject: Subject) -> str | None:
    told = check_options(subject.part)
    try:
        subject.part.factory(no_such_option=1)
    except TypeError:
        return told
    raise Violation("an option that it does not have is accepted", "name each option")


@check_hook.check("a run with it ends well", required=True)
def _runs(subject: Subject) -> str | None:
    trainer = subject.run(subject.make())
    for name, value in weights_of(trainer).items():
        require(
            bool(torch.isfinite(value).all()), f"after the run {name} is not finite",
            "scale gradients and weights by finite numbers only",
        )  # fmt: skip
    losses = [epoch["train_loss"] for epoch in trainer.history]
    return f"loss {losses[0]:.3f} to {losses[-1]:.3f}"


@check_hook.check("the loop is left to the trainer")
def _leaves_the_loop(subject: Subject) -> str | None:
    def compare(moment: str, trainer: Trainer, before: dict[str, object]) -> None:
        for name, value in loop_of(trainer).items():
            require(
                value == before[name],
                f"{moment} changes {name} from {before[name]} to {value}",
                "read these and leave them: modes by `with task.evaluating():`, grad by "
                "`with torch.no_grad():`, an early end by trainer.stop(reason), a seed of your own "
                "by a torch.Generator",
            )

    subject.run(Watch(subject.make(), lambda _, trainer: loop_of(trainer), compare))
    return None


@check_hook.check("what it changes is taken back")
def _takes_back(subject: Subject) -> str | None:
    ended: list[str] = []

    def look(moment: str, trainer: Trainer) -> Any:
        return (weights_of(trainer), answers_of(trainer)) if moment == "on_fit_end" else None

    def compare(moment: str, trainer: Trainer, before: Any) -> None:
        if moment != "on_fit_end":
            return
        if differing(before[0], weights_of(trainer)):
            ended.append("it ends with other weights than those of the last step")
            return
        far = max(abs(a - b) for a, b in zip(before[1], answers_of(trainer), strict=True))
        require(
            far < 1e-5, f"after on_fit_end an answer is another by {far:.3g}",
            "let evaluation be the same with and without the hook",
        )  # fmt: skip

    threads = set(threading.enumerate())
    hook = subject.make()
    trainer = subject.run(Watch(hook, look, compare))
    left = [*changes_left(trainer), *loose_ends(hook, threads)]
    require(
        not left, f"after the run {'; '.join(left)}",
        "undo in on_fit_end what on_fit_start did: handle.remove(), file.close(), rates to 0",
    )  # fmt: skip
    return ended[0] if ended else None


@check_hook.check("a seed repeats it, and so does a second run")
def _repeats(subject: Subject) -> str | None:
    hook = subject.make()
    first = weights_of(subject.run(hook))
    for other, what, remedy in (
        (subject.make(), "another one like it", "draw by torch alone, and leave its seed alone"),
        (hook, "the same one in a second run",
         "begin anew in on_fit_start: an ensemble uses a hook for each of its members"),
    ):  # fmt: skip
        found = differing(first, weights_of(subject.run(other)))
        require(not found, f"with {what} the weights differ: {', '.join(found[:3])}", remedy)
    return None


@check_hook.check("it can do without validation")
def _without_validation(subject: Subject) -> str | None:
    """Training again on train and validation has none."""
    try:
        subject.run(subject.make(), validated=False)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Violation(
            f"without validation it raises {type(error).__name__}: {error}",
            "look at trainer.figures in on_evaluate_end only: with train.refit there are none",
        ) from error
    return None


@check_hook.check("its state can be kept")
def _state(subject: Subject) -> str | None:
    kept: list[dict[str, Any]] = []

    def keep(moment: str, trainer: Trainer, before: Any) -> None:
        if moment == "on_epoch_end":
            kept.append(copied(hook.state_dict()))

    hook = subject.make()
    subject.run(Watch(hook, lambda *_: None, keep))
    for state in kept:
        plain(state)
        other = subject.make()
        other.load_state_dict(copied(state))
        require(
            same(other.state_dict(), state),
            "another one that has loaded its state has a different state",
            "take back in load_state_dict all that state_dict gives",
        )
    names = ", ".join(kept[-1]) if kept else ""
    return f"remembers {names}" if names else "remembers nothing"


@check_hook.check("a run that was broken off goes on with it")
def _goes_on(subject: Subject) -> str | None:
    """To the same weights as one that was not, from a checkpoint in the midst of an epoch."""
    whole = subject.run(subject.make())
    step = max(2, 2 * whole.steps // 3)
    with TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), lambda _: None)
        with suppress(PlannedError):
            subject.run(
                subject.make(), CheckpointHook(steps=1), Failing("on_step_end", step=step),
                checkpoints=checkpoints,
            )  # fmt: skip
        other = subject.run(subject.make(), checkpoints=checkpoints)
    found = differing(weights_of(whole), weights_of(other))
    require(
        not found and other.steps == whole.steps,
        f"a run that was broken off after step {step - 1} of {whole.steps} and gone on with ends "
        + (f"with other weights: {', '.join(found[:3])}" if found else f"after {other.steps}"),
        "give all that the hook counts or has drawn in state_dict, and take it back in "
        "load_state_dict, which is called after on_fit_start",
    )
    return None


@check_hook.check("it lets go where a run fails")
def _fails(subject: Subject) -> str | None:
    for failing, when in (
        (Failing("on_step_end", step=2), "within an epoch"),
        (Failing("on_fit_start"), "before it began"),
    ):
        hook, threads = subject.make(), set(threading.enumerate())
        try:
            subject.run(hook, failing)
        except PlannedError:
            pass
        except Exception as error:
            raise Violation(
                f"where a run fails {when}, on_fit_error raises {type(error).__name__}: {error}",
                "let on_fit_error cope with what was never begun, so that the first error is seen",
            ) from error
        left = loose_ends(hook, threads)
        require(
            not left, f"where a run fails {when}, {'; '.join(left)}",
            "write on_fit_error, which comes in the place of on_fit_end: close and stop there",
        )  # fmt: skip
    return None
