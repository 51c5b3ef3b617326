"""One trial: a model trained with the settings that were drawn, and measured on validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from seqnlp import registry
from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.errors import InputError, SeqnlpError, StoppedError
from seqnlp.tasks.base import Task
from seqnlp.training.hooks.base import Hook
from seqnlp.training.preparation import choose_device, complete, make_hooks
from seqnlp.training.trainer import Trainer
from seqnlp.tuning.space import without_observers

Status = Literal["complete", "pruned", "failed", "interrupted", "lost"]
Report = Callable[[int, float], str | None]
"""Is told the monitored figure of each epoch, and says `PRUNED`, `STOPPED` or None to go on."""
PRUNED, STOPPED = "pruned", "interrupted"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial ended.

    Attributes:
        status: "lost" where its process ended without a word.
        figure: the monitored figure of the weights that the run ends with.
        epoch: the epoch that they are of.
        epochs: how many were trained.
        reason: why it failed.
        usage: it failed by its settings, before it learned anything.
    """

    status: Status
    figure: float | None = None
    epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    usage: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON values, from which `Outcome(**values)` is the same again."""
        return asdict(self)


class Trials:
    """Runs trials one after another, and keeps the corpus open between them."""

    def __init__(self) -> None:
        self.corpus: Corpus | None = None
        self.opened: object = None

    def run(self, settings: Settings, report: Report) -> Outcome:
        """Train one model as `seqnlp.train` would, and look at validation alone.

        What goes wrong is told by the outcome.

        Raises:
            StoppedError: SIGTERM has come.
        """
        started = time.perf_counter()
        hook = _ReportHook(report)

        def ended(status: Status, **known: Any) -> Outcome:
            seconds = time.perf_counter() - started
            return Outcome(status=status, epochs=hook.epochs, seconds=seconds, **known)

        try:
            trainer = self._train(settings, hook)
        except KeyboardInterrupt:
            return ended("interrupted")
        except StoppedError:
            raise
        except SeqnlpError as error:
            return ended("failed", reason=str(error), usage=isinstance(error, InputError))
        except Exception as error:
            from seqnlp.missteps import advise

            return ended("failed", reason=f"unexpected {advise(error)}")
        if trainer.interrupted or hook.verdict == STOPPED:
            return ended("interrupted")
        epoch = trainer.best_epoch or trainer.epoch
        figure = float(trainer.history[epoch - 1][settings.train.monitor])
        if not math.isfinite(figure):
            return ended("failed", reason=f"the {settings.train.monitor} became {figure}")
        status: Status = "pruned" if hook.verdict == PRUNED else "complete"
        return ended(status, figure=figure, epoch=epoch)

    def check(self, settings: Settings) -> None:
        """Make all that a trial is made of, and train nothing.

        Raises:
            InputError: something cannot be made: no such corpus, an option that a part has not.
        """
        settings = without_observers(complete(settings))
        task, _ = self._make(settings)
        Trainer(task, settings.train, make_hooks(settings, None))

    def _train(self, settings: Settings, hook: _ReportHook) -> Trainer:
        settings = without_observers(complete(settings))
        task, corpus = self._make(settings)
        # In the order of a run, so that what is drawn is the same.
        rows = task.read(corpus.split("train"), training=True)
        hooks = [*make_hooks(settings, None), hook]
        trainer = Trainer(task, settings.train, hooks, seed=settings.seed)
        validation = corpus.split("validation")
        trainer.fit(rows, task.read(validation), task.references(validation))
        return trainer

    def _make(self, settings: Settings) -> tuple[Task, Corpus]:
        device = choose_device(settings.device)
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        torch.set_flush_denormal(True)
        corpus = self._open(settings)
        torch.manual_seed(settings.seed)
        return registry.tasks.get(settings.task).create(settings, corpus).to(device), corpus

    def _open(self, settings: Settings) -> Corpus:
        wanted = (settings.task, settings.corpus, settings.seed)
        if self.corpus is None or self.opened != wanted:
            self.corpus, self.opened = open_corpus_of(settings), wanted
        return self.corpus


def open_corpus_of(settings: Settings) -> Corpus:
    """The corpus of a run, as its settings describe it.

    Raises:
        InputError: it cannot be read.
    """
    chosen = settings.corpus
    return open_corpus(
        chosen.name,
        fields=registry.tasks.get(settings.task).fields,
        columns=chosen.columns,
        seed=settings.seed,
        validation_share=chosen.validation_share,
        test_share=chosen.test_share,
        languages=(chosen.source, chosen.target),
        max_ratio=chosen.max_ratio or None,
    )


class _ReportHook(Hook):
    """Tells the figure of each epoch, and ends the trial where it is not worth another."""

    order = 80  # after early stopping, and after the best epoch is known

    def __init__(self, report: Report) -> None:
        self.report = report
        self.verdict: str | None = None
        self.epochs = 0

    def on_evaluate_end(self, trainer: Trainer) -> None:
        self.epochs = trainer.epoch
        verdict = self.report(trainer.epoch, float(trainer.figures[trainer.settings.monitor]))
        ends = trainer.stop_reason is not None or trainer.epoch == trainer.settings.epochs
        # What is over by itself is complete.
        if verdict is not None and not ends:
            self.verdict = verdict
            trainer.stop(verdict)
