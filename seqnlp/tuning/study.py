"""A study: the trials that were run, and what is tried next.

Studies are Optuna's, asked for a trial and told how it ended. That a trial is not lost with the
process that runs it is settled here: whoever runs one says so in it again and again, and what
nobody speaks for is tried again.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seqnlp.config import Settings, change_settings
from seqnlp.tuning.record import AS_IT_IS, COUNTED, TrialRecord, record_of
from seqnlp.tuning.samplers import distributions, grid_points, make_sampler, next_point
from seqnlp.tuning.space import OBSERVERS, Space, drawn_values
from seqnlp.tuning.storage import Identity, database_errors, expected_warnings
from seqnlp.tuning.trial import PRUNED, Outcome

if TYPE_CHECKING:
    import optuna

BEAT = 30.0
"""Seconds after which whoever runs a trial says so again."""
SILENCE = 300.0
"""Seconds after which nobody is believed to run it."""
RETRIES = 1
"""How often a trial is tried again whose process has ended without a word."""


def identity_of(settings: Settings, space: Space, sampler: str) -> Identity:
    """What all trials of a study have in common; no key of it changes what a figure is of."""
    tables = settings.model_dump(mode="json", exclude_none=True)
    for key in ("device", "threads", "ensemble"):
        tables.pop(key, None)
    tables["model"].pop("engine")
    tables["train"].pop("refit")
    tables["hooks"] = {key: each for key, each in tables["hooks"].items() if key not in OBSERVERS}
    search = {key: str(dimension) for key, dimension in space.items()}
    return {"settings": tables, "search": search, "sampler": {"name": sampler}}


class Study:
    """Which trials there are, and which is next; several threads and processes may ask.

    Args:
        study: of Optuna.
        settings: what the search begins with, completed.
        space: what it changes.
        sampler: one of `SAMPLERS`.
        where: the storage, as the user names it.
    """

    def __init__(
        self,
        study: optuna.Study,
        settings: Settings,
        space: Space,
        *,
        sampler: str,
        where: str | None = None,
    ) -> None:
        self.study, self.settings, self.space, self.sampler = study, settings, space, sampler
        self.where = where
        self.grid = grid_points(space, settings.seed) if sampler == "grid" else []
        self.distributions = distributions(space)
        self.running: dict[int, optuna.Trial] = {}
        self.lock = threading.RLock()

    def records(self) -> list[TrialRecord]:
        """All trials that have begun."""
        with self._database():
            trials = self.study.get_trials(deepcopy=False)
        return [record_of(each, self.space) for each in trials if each.state.name != "WAITING"]

    def next(self, most: int) -> TrialRecord | None:
        """Begin a trial; None where there are `most`, or all points of a grid were tried."""
        from optuna.trial import TrialState

        with self._database():
            self._give_up_silent()
            trials = self.study.get_trials(deepcopy=False)
            counted = [
                each
                for each in trials
                if each.state == TrialState.RUNNING or each.user_attrs.get("status") in COUNTED
            ]
            if len(counted) >= most:
                return None
            waiting = any(each.state == TrialState.WAITING for each in trials)
            as_it_is = not any(AS_IT_IS in each.user_attrs for each in counted)
            if not waiting and not as_it_is and self.sampler == "grid":
                tried = [each.params for each in counted]
                point = next_point(self.grid, tried)
                if point is None:
                    return None
                self.study.enqueue_trial(point)
            self.study.sampler = make_sampler(self.sampler, self.settings.seed)
            trial = self._ask_as_it_is(trials) if as_it_is and not waiting else self._ask()
            trial.set_user_attr("claim", [platform.node(), os.getpid()])
            trial.set_user_attr("beat", time.time())
            self.running[trial.number] = trial
            return record_of(self._frozen(trial.number), self.space)

    def settings_of(self, values: Mapping[str, Any]) -> Settings:
        """The settings of a trial.

        Raises:
            SettingsError: values that do not go together.
        """
        from seqnlp import registry

        unread = registry.tasks.get(self.settings.task).unread
        return change_settings(self.settings, values, where="settings", unread=unread)

    def report(self, number: int, epoch: int, figure: float) -> str | None:
        """Take the figure of an epoch; whether the trial is worth another."""
        trial = self.running[number]
        with self._database():
            trial.report(figure, epoch)
            worse = trial.should_prune()
            # What all others are to be compared with is run to its end.
            return PRUNED if worse and AS_IT_IS not in trial.user_attrs else None

    def finish(self, number: int, outcome: Outcome) -> TrialRecord:
        """Take the end of a trial; one that was interrupted or lost is tried again."""
        from optuna.trial import TrialState

        trial = self.running[number]
        retries = trial.user_attrs.get("retries", 0)
        status = outcome.status
        if status == "lost" and retries >= RETRIES:
            status = "failed"
        with self._database():
            known = {key: value for key, value in outcome.as_dict().items() if key != "usage"}
            for key, value in {**known, "status": status}.items():
                trial.set_user_attr(key, value)
            if status == "complete" and trial.params:
                self.study.tell(trial, outcome.figure)
            elif status == "pruned":
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                # Optuna's samplers cannot use a trial of no values, even one that went well.
                self.study.tell(trial, state=TrialState.FAIL)
            if status in ("lost", "interrupted"):
                self._try_again(trial.user_attrs, trial.params, lost=status == "lost")
            # Not before it is told: a trial that runs and is not here is one that was left.
            del self.running[number]
            return record_of(self._frozen(number), self.space)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Say of all running trials that they run, while the block does."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(BEAT):
                with self._database():
                    for trial in list(self.running.values()):
                        trial.set_user_attr("beat", time.time())

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def importances(self) -> dict[str, float]:
        """Each key's share in what the figure varies by (fANOVA, Hutter et al. 2014)."""
        import optuna
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        complete = (optuna.trial.TrialState.COMPLETE,)
        with self._database():
            trials = self.study.get_trials(deepcopy=False, states=complete)
            if len({trial.value for trial in trials}) < 2:
                return {}
            evaluator = FanovaImportanceEvaluator(seed=self.settings.seed)
            return dict(get_param_importances(self.study, evaluator=evaluator))

    def _ask(self) -> optuna.Trial:
        return self.study.ask(self.distributions)

    def _ask_as_it_is(self, trials: Sequence[optuna.trial.FrozenTrial]) -> optuna.Trial:
        lost = sum(each.user_attrs.get("status") == "lost" for each in trials
                   if AS_IT_IS in each.user_attrs)  # fmt: skip
        drawn = drawn_values(self.settings, self.space)
        if drawn is not None:
            self.study.enqueue_trial(drawn)
        trial = self.study.ask() if drawn is None else self._ask()
        trial.set_user_attr(AS_IT_IS, True)
        trial.set_user_attr("retries", lost)
        return trial

    def _try_again(
        self, known: Mapping[str, Any], params: Mapping[str, Any], *, lost: bool
    ) -> None:
        # The one of the settings as they are is asked for until there is one.
        if AS_IT_IS not in known:
            retries = known.get("retries", 0) + lost
            self.study.enqueue_trial(dict(params), user_attrs={"retries": retries})

    def _give_up_silent(self) -> None:
        """Let trials whose process has gone be tried again."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number in self.running or _is_spoken_for(trial):
                continue
            self.study.tell(trial.number, state=TrialState.FAIL)
            if trial.params and trial.user_attrs.get("retries", 0) < RETRIES:
                self._try_again(trial.user_attrs, trial.params, lost=True)

    def _frozen(self, number: int) -> optuna.trial.FrozenTrial:
        trials = self.study.get_trials(deepcopy=False)
        return next(each for each in trials if each.number == number)

    @contextmanager
    def _database(self) -> Iterator[None]:
        with self.lock, expected_warnings(), database_errors(self.where):
            yield


def _is_spoken_for(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a process that is alive runs the trial, as far as can be seen from here."""
    claim, beat = trial.user_attrs.get("claim"), trial.user_attrs.get("beat")
    if claim is not None and claim[0] == platform.node():
        # One of this process would be known to the study; in a container all may have one id.
        return claim[1] != os.getpid() and _is_alive(claim[1])
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - (beat or begun) < SILENCE


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
