"""What each of two processes does in the tests of training together; started by torchrun.

torchrun --nproc-per-node 2 -m tests.training.partners FOLDER
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seqnlp import registry
from seqnlp.config import Settings, load_settings
from seqnlp.data.corpus import open_corpus
from seqnlp.errors import SeqnlpError
from seqnlp.tasks.base import Task
from seqnlp.training import Hook, Trainer, gradients, train
from seqnlp.training.checkpoints import pack
from seqnlp.training.distributed import Group
from seqnlp.training.preparation import complete, make_hooks
from seqnlp.training.signals import Interrupted

RUNS: dict[str, dict[str, Any]] = {
    "sentiment": {},
    "by row": {"large": 1},
    "parts": {"train": {"accumulate": 2}},
    # 41 rows: of the last batch the second process has none.
    "one left": {"large": 1, "train": {"batch_size": 8}},
    "penalty": {"large": 1, "hooks": {"penalty": {"l1": 1e-3}}},
    "dropout": {"large": 1, "hooks": {"dropout": {"embedding": 0.5}}},
}
TASKS = ("translation", "summarization")


def settings_of(folder: Path, name: str) -> Settings:
    """The settings of a run, of those that the tests have put into the folder."""
    kind = name if name in TASKS else "sentiment"
    settings = load_settings(folder / f"{kind}.toml")
    changes = RUNS.get(name, {})
    train = settings.train.model_copy(update=changes.get("train", {}))
    hooks = {**settings.hooks, **changes.get("hooks", {})}
    return complete(settings.model_copy(update={"train": train, "hooks": hooks}))


def run(folder: Path, name: str, group: Group) -> tuple[Task, Trainer]:
    """Train a small model to the end, in this process or with the others."""
    settings = settings_of(folder, name)
    before, gradients.LARGE = gradients.LARGE, RUNS.get(name, {}).get("large", gradients.LARGE)
    torch.manual_seed(0)
    chosen = settings.corpus
    task_class = registry.tasks.get(settings.task)
    corpus = open_corpus(
        chosen.name, fields=task_class.fields, languages=(chosen.source, chosen.target)
    )
    task = task_class.create(settings, corpus)
    group.check_alike(task)
    group.part_ways(0)
    hooks = [hook for hook in make_hooks(settings, None) if hook.order < 90]
    trainer = Trainer(task, settings.train, hooks, group=group)
    validation = corpus.split("validation")
    trainer.fit(
        task.read(corpus.split("train"), training=True),
        task.read(validation), task.references(validation),
    )  # fmt: skip
    gradients.LARGE = before
    return task, trainer


def digest(task: Task) -> str:
    """The bits of all weights."""
    found = hashlib.sha256()
    for weight in task.state_dict().values():
        found.update(weight.contiguous().numpy().tobytes())
    return found.hexdigest()


def said(action: Callable[[], object]) -> str:
    """The message of the error that comes."""
    try:
        action()
    except (SeqnlpError, Interrupted) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def talk(group: Group) -> dict[str, Any]:
    """What the processes tell each other, as this one hears it."""

    def interrupted() -> object:
        raise Interrupted

    found: dict[str, Any] = {
        "gather": group.gather({"rank": group.rank, "numbers": torch.arange(group.rank + 1)}),
        "agree": [group.agree(group.rank == 1), group.agree(False)],
        "from_main": group.from_main(lambda: {"rank": group.rank}),
        "share_state": group.share_state([torch.ones(2)] if group.main else None),
        "interrupted": said(lambda: group.from_main(interrupted)),
    }
    found["gather"] = [[each["rank"], each["numbers"].tolist()] for each in found["gather"]]
    found["share_state"] = [each.tolist() for each in found["share_state"]]
    weight = torch.nn.Linear(2, 1, bias=False)
    weight.weight.grad = torch.full((1, 2), 3.0)
    if group.rank == 1:
        group.tell("signal")
    early = group.told("signal")
    added = gradients.Gradients(weight, group)
    found["reduced"] = [*added.reduce(2.0, 4.0), weight.weight.grad.tolist()]
    found["told"] = [early, group.told("signal"), group.told("signal"), group.told("checkpoint")]
    weight.weight.data.fill_(group.rank)
    found["others"] = said(lambda: group.check_alike(weight))  # type: ignore[arg-type]
    return found


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    group = Group.from_environment("cpu")
    heard: dict[str, Any] = {"talk": talk(group)}
    for name in [*RUNS, *TASKS]:
        task, trainer = run(folder, name, group)
        heard[name] = {
            "digest": digest(task),
            "history": [{k: v for k, v in each.items() if isinstance(v, float)}
                        for each in trainer.history],
            "examples": trainer.examples_seen,
            "drawn": torch.rand(1).item(),
        }  # fmt: skip
        if group.main:
            (folder / f"{name}.weights").write_bytes(pack(task.state_dict()))
    heard["again"] = digest(run(folder, "dropout", group)[0])
    heard["first"] = group.fails_first()
    (folder / f"rank-{group.rank}.json").write_text(json.dumps(heard))
    group.close()


class Lost(Hook):
    """Ends the second process after so many steps, as a machine that fails does, once."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, trainer: Trainer) -> None:
        again = os.environ["TORCHELASTIC_RESTART_COUNT"] != "0"
        if trainer.group.rank == 1 and trainer.steps == self.steps and not again:
            os.kill(os.getpid(), signal.SIGKILL)


def lose(folder: Path, output: Path, steps: int) -> None:
    """Train by the settings of "dropout", with checkpoints, and with a process that is lost."""
    settings = settings_of(folder, "dropout")
    hooks = {**settings.hooks, "checkpoint": {"steps": 2}}
    settings = settings.model_copy(update={"hooks": hooks})
    train(settings, output, resume=True, hooks=[Lost(steps)])


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder]:
            main(Path(folder))
        case [folder, output, steps]:
            lose(Path(folder), Path(output), int(steps))
