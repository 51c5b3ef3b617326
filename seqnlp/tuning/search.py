"""A search for good settings, from what is searched through to what was found."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Protocol

from seqnlp import registry
from seqnlp.config import Settings, change_settings
from seqnlp.errors import (
    InputError,
    SeqnlpError,
    SettingsError,
    StoppedError,
    UnknownNameError,
)
from seqnlp.files import write_text
from seqnlp.training.preparation import complete
from seqnlp.tuning.record import TrialRecord, Tuning, best_of
from seqnlp.tuning.samplers import PRUNERS, SAMPLERS, make_pruner
from seqnlp.tuning.space import Space, check_space
from seqnlp.tuning.storage import open_storage, open_study, require_optuna
from seqnlp.tuning.study import Study, identity_of
from seqnlp.tuning.trial import STOPPED, Outcome, Report, Trials
from seqnlp.tuning.workers import Worker, stoppable

BEST = "best.toml"
"""The best settings, as a recipe."""
MADE = ("train.optimizer", "model.input_init", "model.recurrent_init")
"""Keys whose values are looked at when a model or its optimizer is made."""


class Watcher:
    """Is told of trials as they go, from several threads; does nothing."""

    def on_begin(self, trial: TrialRecord) -> None: ...
    def on_epoch(self, trial: TrialRecord, epoch: int, figure: float) -> None: ...
    def on_end(self, trial: TrialRecord) -> None: ...


class Runner(Protocol):
    """What runs a trial: this process, or one of its own."""

    def run(self, settings: Settings, report: Report) -> Outcome: ...


def tune(
    settings: Settings,
    space: Space,
    *,
    output: Path | None = None,
    storage: str | None = None,
    study: str | None = None,
    sampler: str = "tpe",
    pruner: str = "halving",
    trials: int = 30,
    timeout: float | None = None,
    workers: int = 1,
    watcher: Watcher | None = None,
) -> Tuning:
    """Look for settings whose model is best on validation; no trial looks at test.

    The first trial is of the settings themselves, so that what is found is never worse. A study
    that was begun goes on.

    Args:
        settings: what all trials have in common; their seed is the search's, too.
        space: what is changed, see `parse_space`.
        output: a folder for the best settings, `best.toml`, written whenever there are better ones.
        storage: a SQLite file or a database's URL; None for memory.
        study: its name in the storage; by default that of task and corpus.
        sampler: one of `SAMPLERS`.
        pruner: one of `PRUNERS`.
        trials: of the study, those of earlier searches counted.
        timeout: seconds after which none begins, and those that run end with their epoch.
        workers: trials at once, each in a process of its own; 1 trains in this process.
        watcher: is told how it goes.

    Raises:
        InputError: the search, the settings, the storage or the folder cannot be used.
        MissingPackageError: Optuna is not installed.
        StoppedError: SIGTERM has come; the study goes on with the same call.
    """
    require_optuna()
    for part, name, names in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if name not in names:
            raise UnknownNameError(part, name, names)
    if trials < 1 or workers < 1:
        raise InputError(f"trials and workers must be at least 1, not {trials} and {workers}")
    if not space:
        raise InputError("nothing to search through; name keys, such as train.lr=log:1e-4..1e-1")
    settings = complete(settings)
    check_space(settings, space)
    runner = Trials()
    _check_by_making(runner, settings, space)
    kind = registry.tasks.get(settings.task)
    maximize = settings.train.monitor not in kind.lower_is_better
    found = open_study(
        open_storage(storage),
        study or study_name(settings),
        storage,
        maximize=maximize,
        identity=identity_of(settings, space, sampler),
    )
    found.pruner = make_pruner(pruner)
    known = Study(found, settings, space, sampler=sampler, where=storage)
    search = _Search(known, trials, timeout, output, watcher or Watcher(), maximize=maximize)
    search.run(runner, workers)
    return search.result()


def _check_by_making(runner: Trials, settings: Settings, space: Space) -> None:
    """See that there is a model of the settings, and that parts have what is searched through."""
    runner.check(settings)
    for key, dimension in space.items():
        if "_options." in key or key in MADE:
            for value in dimension.ends():
                try:
                    runner.check(change_settings(settings, {key: value}))
                except InputError as error:
                    raise SettingsError(f"--search {key}={dimension}: {error}") from error


def study_name(settings: Settings) -> str:
    """`<task>-<corpus>`."""
    return f"{settings.task}-{Path(settings.corpus.name).name}"


class _Search:
    def __init__(
        self,
        study: Study,
        trials: int,
        timeout: float | None,
        output: Path | None,
        watcher: Watcher,
        *,
        maximize: bool,
    ) -> None:
        self.study, self.trials, self.output, self.watcher = study, trials, output, watcher
        self.maximize = maximize
        self.started = time.monotonic()
        self.end = None if timeout is None else self.started + timeout
        self.interrupted = False
        self.error: SeqnlpError | None = None
        self.best: TrialRecord | None = None

    def run(self, runner: Runner, workers: int) -> None:
        """Run trials until there are enough, the time is over, or Ctrl-C is pressed."""
        self._keep_best()
        with self.study.beating():
            if workers == 1:
                self._work(runner)
            else:
                self._work_in_processes(workers)
        if self.error is not None:
            raise self.error

    def result(self) -> Tuning:
        """What the study has found so far."""
        best, study = self.best, self.study
        return Tuning(
            name=study.study.study_name,
            settings=complete(study.settings_of({} if best is None else best.values)),
            monitor=study.settings.train.monitor,
            maximize=self.maximize,
            space=study.space,
            trials=study.records(),
            importances=study.importances(),
            interrupted=self.interrupted,
            seconds=time.monotonic() - self.started,
        )

    def _work_in_processes(self, count: int) -> None:
        workers = [Worker(threads=max(1, (os.cpu_count() or 1) // count)) for _ in range(count)]
        ends = [threading.Event() for _ in workers]

        def work(worker: Worker, end: threading.Event) -> None:
            try:
                self._work(worker)
            finally:
                end.set()

        threads = [threading.Thread(target=work, args=pair)
                   for pair in zip(workers, ends, strict=True)]  # fmt: skip
        try:
            with stoppable():
                for thread in threads:
                    thread.start()
                # A join that a signal breaks off would take its thread for ended (bpo-45274).
                for end in ends:
                    end.wait()
        except KeyboardInterrupt:
            self.interrupted = True
        except StoppedError as error:
            self.error = error
        finally:
            for worker in workers:
                worker.close()
            for thread in threads:
                thread.join()
            for worker in workers:
                worker.forget()

    def _work(self, runner: Runner) -> None:
        """Run one trial after another."""
        try:
            while not self._is_over() and (trial := self.study.next(self.trials)) is not None:
                self.watcher.on_begin(trial)
                outcome = self._run(runner, trial)
                ended = self.study.finish(trial.number, outcome)
                self._keep_best()
                self.watcher.on_end(ended)
                if outcome.status == "interrupted":
                    self.interrupted = self.interrupted or not self._is_late()
                    return
                if outcome.usage and ended.as_it_is:
                    # What is wrong with the settings is wrong with all trials.
                    raise InputError(outcome.reason)
        except SeqnlpError as error:
            self.error = error

    def _run(self, runner: Runner, trial: TrialRecord) -> Outcome:
        def report(epoch: int, figure: float) -> str | None:
            self.watcher.on_epoch(trial, epoch, figure)
            verdict = self.study.report(trial.number, epoch, figure)
            return STOPPED if self._is_late() else verdict

        try:
            return runner.run(self.study.settings_of(trial.values), report)
        except StoppedError as error:
            self.error = error
            return Outcome(status="interrupted")
        except InputError as error:
            return Outcome(status="failed", reason=str(error), usage=True)

    def _is_late(self) -> bool:
        return self.end is not None and time.monotonic() >= self.end

    def _is_over(self) -> bool:
        return self.interrupted or self.error is not None or self._is_late()

    def _keep_best(self) -> None:
        """Write the best settings where there are better ones than before."""
        with self.study.lock:
            records = self.study.records()
            best = best_of(records, maximize=self.maximize)
            if best is None or (self.best is not None and best.number == self.best.number):
                return
            self.best = best
            if self.output is not None:
                settings = complete(self.study.settings_of(best.values))
                default = next((t for t in records if t.as_it_is and t.figure is not None), None)
                write_text(self.output / BEST, recipe_of(settings, best, default))


def recipe_of(settings: Settings, best: TrialRecord, default: TrialRecord | None) -> str:
    """Settings as a recipe, with the figure that they were chosen for."""
    lines = [
        f"# validation {settings.train.monitor} {best.figure:.4f} in trial {best.number}, "
        f"epoch {best.epoch}",
        *(f"# {key} = {value}" for key, value in best.values.items()),
    ]
    if default is not None and default.number != best.number:
        lines.append(f"# without the search: {default.figure:.4f}")
    return "\n".join(lines) + "\n\n" + settings.to_toml()
