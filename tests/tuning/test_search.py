"""A search: what it tries, what it keeps, and how it goes on."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from seqnlp.config import Settings, change_settings, load_settings
from seqnlp.errors import InputError, MissingPackageError, SettingsError, UnknownNameError
from seqnlp.training.run import train
from seqnlp.tuning import TrialRecord, Watcher, parse_space, tune
from seqnlp.tuning.search import BEST
from seqnlp.tuning.storage import first_difference, open_storage
from seqnlp.tuning.study import Study, _is_spoken_for, identity_of
from seqnlp.tuning.trial import Outcome, Report, Trials
from seqnlp.tuning.workers import Worker
from tests.toy import small_settings

SPACE = parse_space(
    ["train.lr=log:1e-4..1e-1", "model.cell=rnn,lstm,gru", "model.hidden_size=int:4..12"]
)


@pytest.fixture
def settings(toy_corpus: Path) -> Settings:
    return small_settings(toy_corpus, "train.epochs=3", "model.hidden_size=8", "train.lr=0.01")


class Fake:
    """Trains nothing: the figure of a trial follows from its settings.

    The cell gru fails, and with it a learning rate says how good a trial is.
    """

    def __init__(self, lost: int = 0, stop_at: int | None = None) -> None:
        self.seen: list[Settings] = []
        self.lost, self.stop_at = lost, stop_at

    def run(self, settings: Settings, report: Report) -> Outcome:
        self.seen.append(settings)
        if self.stop_at is not None and len(self.seen) > self.stop_at:
            return Outcome(status="interrupted")
        if self.lost:
            self.lost -= 1
            return Outcome(status="lost", reason="its process ended")
        if settings.model.cell == "gru":
            return Outcome(status="failed", reason="the loss became nan")
        figure = 1 - abs(settings.train.lr - 0.03)
        for epoch in range(1, settings.train.epochs + 1):
            if verdict := report(epoch, figure * epoch / settings.train.epochs):
                return Outcome(status=verdict, figure=figure, epoch=epoch, epochs=epoch)  # type: ignore[arg-type]
        return Outcome(status="complete", figure=figure, epoch=epoch, epochs=epoch, seconds=1.0)

    def check(self, settings: Settings) -> None: ...


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    runner = Fake()
    monkeypatch.setattr("seqnlp.tuning.search.Trials", lambda: runner)
    return runner


def test_the_best_settings_train_to_the_figure_that_they_were_chosen_for(
    settings: Settings, tmp_path: Path
) -> None:
    found = tune(settings, SPACE, output=tmp_path, trials=4, sampler="random", pruner="none")
    assert [trial.status for trial in found.trials] == ["complete"] * 4
    best, default = found.best, found.default
    assert best is not None and default is not None  # noqa: PT018
    assert default.number == 0
    assert default.values == {"train.lr": 0.01, "model.cell": "lstm", "model.hidden_size": 8}
    assert best.figure == max(trial.figure or 0 for trial in found.trials)

    text = (tmp_path / BEST).read_text()
    assert text.startswith(f"# validation accuracy {best.figure:.4f} in trial {best.number}, ")
    recipe = load_settings(tmp_path / BEST)
    assert recipe == found.settings
    model = train(recipe)
    [course] = model.metrics["training"]
    assert [each["accuracy"] for each in course["epochs"]] == list(best.course.values())
    assert model.metrics["validation"]["accuracy"]["value"] == pytest.approx(best.figure)


def test_trials_do_not_look_at_test(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from seqnlp.data.corpus import Corpus

    looked: list[str] = []
    split = Corpus.split

    def noted(self: Corpus, name: str) -> Any:
        looked.append(name)
        return split(self, name)

    monkeypatch.setattr(Corpus, "split", noted)
    assert Trials().run(settings, lambda epoch, figure: None).status == "complete"
    assert set(looked) == {"train", "validation"}
    assert list(tmp_path.iterdir()) == []


def test_observers_take_no_part(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    watched = change_settings(settings, {"hooks.log.every": 1, "hooks.tensorboard": True})
    assert Trials().run(watched, lambda epoch, figure: None).status == "complete"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
@pytest.mark.parametrize("pruner", ["halving", "median", "none"])
def test_a_search_is_never_worse_than_what_it_begins_with(
    fake: Fake, settings: Settings, sampler: str, pruner: str
) -> None:
    found = tune(settings, SPACE, sampler=sampler, pruner=pruner, trials=12)
    assert fake.seen[0] == found.settings or found.best != found.trials[0]
    assert found.trials[0].status == "complete"
    assert found.trials[0].as_it_is
    assert found.best is not None
    assert (found.best.figure or 0) >= 0.98 == pytest.approx(found.trials[0].figure)
    assert len(found.trials) == 12
    assert {trial.status for trial in found.trials} - {"pruned"} == {"complete", "failed"}
    assert (found.count("pruned") > 0) == (pruner != "none")
    reasons = {t.reason for t in found.trials if t.values["model.cell"] == "gru"}
    assert reasons == {"the loss became nan"}


def test_the_same_seed_draws_the_same_trials(fake: Fake, settings: Settings) -> None:
    one, two = (tune(settings, SPACE, trials=12) for _ in range(2))
    assert [t.values for t in one.trials] == [t.values for t in two.trials]
    other = tune(settings.model_copy(update={"seed": 1}), SPACE, trials=12)
    assert [t.values for t in other.trials] != [t.values for t in one.trials]


def test_a_figure_that_is_better_when_lower_is_minimized(
    fake: Fake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tune(change_settings(settings, {"train.monitor": "loss"}), SPACE, trials=8)
    assert not found.maximize
    assert found.best is not None
    complete = [t.figure for t in found.trials if t.status == "complete"]
    assert found.best.figure == min(complete)  # type: ignore[type-var]


def test_a_study_goes_on_where_it_was(fake: Fake, settings: Settings, tmp_path: Path) -> None:
    storage = str(tmp_path / "study.db")
    first = tune(settings, SPACE, storage=storage, trials=4)
    same = tune(settings, SPACE, storage=storage, trials=4)
    assert len(fake.seen) == 4
    assert same.trials == first.trials
    more = tune(settings, SPACE, storage=storage, trials=9)
    assert len(fake.seen) == 9
    # As if it had never stopped, since the draw of a trial depends on its number.
    whole = tune(settings, SPACE, trials=9)
    assert [t.values for t in more.trials] == [t.values for t in whole.trials]


def test_a_trial_that_was_interrupted_is_tried_again(
    fake: Fake, settings: Settings, tmp_path: Path
) -> None:
    storage = str(tmp_path / "study.db")
    fake.stop_at = 3
    broken = tune(settings, SPACE, storage=storage, trials=6)
    assert broken.interrupted
    assert broken.trials[3].status == "interrupted"
    fake.stop_at = None
    whole = tune(settings, SPACE, storage=storage, trials=6)
    assert not whole.interrupted
    assert whole.trials[4].values == whole.trials[3].values
    assert sum(t.status in ("complete", "failed", "pruned") for t in whole.trials) == 6


def test_settings_that_were_interrupted_are_the_first_again(
    fake: Fake, settings: Settings, tmp_path: Path
) -> None:
    storage = str(tmp_path / "study.db")
    fake.stop_at = 0
    broken = tune(settings, SPACE, storage=storage, trials=3)
    assert broken.best is None
    assert broken.settings.train.lr == 0.01
    fake.stop_at = None
    whole = tune(settings, SPACE, storage=storage, trials=3)
    assert whole.default is not None
    assert whole.default.number == 1


def test_a_lost_trial_is_tried_once_more(fake: Fake, settings: Settings) -> None:
    fake.lost = 3
    found = tune(settings, SPACE, trials=3)
    # The settings as they are twice, and then another trial, once.
    assert [t.status for t in found.trials[:3]] == ["lost", "failed", "lost"]
    assert found.trials[1].as_it_is
    assert found.trials[3].values == found.trials[2].values
    assert sum(t.status != "lost" for t in found.trials) == 3


def test_what_a_dead_process_ran_is_tried_again(
    fake: Fake, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = str(tmp_path / "study.db")
    tune(settings, SPACE, storage=storage, trials=2)
    known = _study(settings, storage)
    begun = known.next(9)
    assert begun is not None
    trial = known.running[begun.number]

    def claim(node: str, process: int, beat: float) -> bool:
        trial.set_user_attr("claim", [node, process])
        trial.set_user_attr("beat", beat)
        return _is_spoken_for(known._frozen(begun.number))

    now = time.time()
    assert claim(platform.node(), os.getppid(), 0.0)  # it is alive, however long it was silent
    assert not claim(platform.node(), 2**22 + 1, now)
    assert claim("elsewhere", 1, now - 60)
    assert not claim("elsewhere", 1, now - 3600)
    found = tune(settings, SPACE, storage=storage, trials=4)
    assert [t.status for t in found.trials].count("lost") == 1
    assert found.trials[3].values == begun.values
    assert len(fake.seen) == 4


def _study(settings: Settings, storage: str) -> Study:
    import optuna

    found = optuna.load_study(study_name=None, storage=open_storage(storage))
    return Study(found, settings, SPACE, sampler="tpe", where=storage)


def test_settings_outside_of_the_search_are_tried_all_the_same(
    fake: Fake, settings: Settings
) -> None:
    space = parse_space(["model.cell=rnn,irnn", "train.lr=0.05..0.1"])
    found = tune(settings, space, trials=5, pruner="none")
    assert found.trials[0].values == {}
    assert found.trials[0].status == "complete"
    assert found.best == found.trials[0]
    assert found.settings.model.cell == "lstm"
    assert found.importances.keys() == {"model.cell", "train.lr"}
    gp = tune(settings, space, trials=10, sampler="gp")
    assert gp.best == gp.trials[0]


def test_a_grid_ends_with_its_last_point(fake: Fake, settings: Settings) -> None:
    space = parse_space(["model.cell=rnn,irnn", "model.layers=int:1..2"])
    found = tune(settings, space, trials=30, sampler="grid", pruner="none")
    assert len(found.trials) == 5  # the settings as they are have the cell lstm
    points = [tuple(t.values.values()) for t in found.trials[1:]]
    assert sorted(points) == [("irnn", 1), ("irnn", 2), ("rnn", 1), ("rnn", 2)]


def test_values_that_do_not_go_together_are_a_failed_trial(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Trials, settings: Settings, report: Report) -> Outcome:
        # Each value is one that a model can have; a head has its share of an even size.
        return Outcome(status="complete", figure=0.5, epoch=1, epochs=1)

    monkeypatch.setattr(Trials, "run", run)
    space = parse_space(["hooks.clip=true,false", "hooks.clip.norm=1,2"])
    found = tune(settings, space, trials=5, sampler="grid")
    assert found.best == found.trials[0]
    assert {t.status for t in found.trials[1:]} == {"failed"}
    assert "hooks.clip" in found.trials[1].reason


def test_the_time_ends_a_search(fake: Fake, settings: Settings) -> None:
    found = tune(settings, SPACE, trials=50, timeout=0.0)
    assert found.trials == []
    assert not found.interrupted


class Count(Watcher):
    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.threads: set[int] = set()

    def on_begin(self, trial: TrialRecord) -> None:
        self.begun.append(trial.number)
        self.threads.add(threading.get_ident())

    def on_end(self, trial: TrialRecord) -> None:
        self.ended.append(trial.number)


def test_processes_share_a_study(settings: Settings, tmp_path: Path) -> None:
    watcher = Count()
    storage = str(tmp_path / "study.db")
    found = tune(
        settings, SPACE, storage=storage, trials=4, workers=2, watcher=watcher, pruner="none"
    )
    assert [t.status for t in found.trials] == ["complete"] * 4
    assert sorted(watcher.begun) == sorted(watcher.ended) == [0, 1, 2, 3]
    assert len(watcher.threads) == 2
    # A process of its own trains to the same figures.
    here = Trials().run(settings, lambda epoch, figure: None)
    assert found.trials[0].figure == here.figure


def test_a_killed_process_loses_its_trial_and_is_begun_anew(settings: Settings) -> None:
    worker = Worker(threads=1)
    try:

        def kill(epoch: int, figure: float) -> None:
            assert worker.process is not None
            worker.process.kill()

        lost = worker.run(settings, kill)
        assert lost.status == "lost"
        assert lost.reason == "its process ended by signal 9; was there enough memory?"
        again = worker.run(settings, lambda epoch, figure: "pruned")
        assert (again.status, again.epochs) == ("pruned", 1)
    finally:
        worker.close()
        worker.forget()
    assert worker.run(settings, lambda epoch, figure: None).status == "interrupted"


@pytest.mark.parametrize(
    ("search", "sampler", "changes", "told"),
    [
        (["model.cell=lstm,gru"], "tpe", {}, "--search train.lr log:0.0001..0.1, not unset"),
        (["train.lr=1..2"], "tpe", {}, "--search train.lr log:0.0001..0.1, not 1..2"),
        ([], "random", {}, "--sampler tpe, not random"),
        ([], "tpe", {"train.epochs": 4}, "train.epochs 3, not 4"),
        ([], "tpe", {"hooks.clip.norm": 1.0}, "hooks.clip.norm 5.0, not 1.0"),
        ([], "tpe", {"seed": 4}, "seed 0, not 4"),
        ([], "gp", {"corpus.name": "reviews", "seed": 4}, "corpus.name {corpus}, not reviews"),
        ([], "gp", {"task": "translation"}, "task sentiment, not translation"),
        ([], "tpe", {"threads": 2, "ensemble": 3, "device": "cpu", "hooks.log.every": 5}, ""),
    ],
)
def test_a_study_is_of_one_search(
    settings: Settings,
    search: list[str],
    sampler: str,
    changes: dict[str, object],
    told: str,
) -> None:
    then = identity_of(settings, SPACE, "tpe")
    space = parse_space(search) if search else SPACE
    now = identity_of(change_settings(settings, changes), space, sampler)
    assert first_difference(then, now) == told.format(corpus=settings.corpus.name)


def test_a_study_of_something_else_is_not_gone_on_with(
    fake: Fake, settings: Settings, tmp_path: Path
) -> None:
    storage = str(tmp_path / "study.db")
    tune(settings, SPACE, storage=storage, study="mine", trials=1)
    with pytest.raises(InputError) as caught:
        tune(settings, SPACE, storage=storage, study="mine", sampler="random")
    assert str(caught.value) == (
        f"the study 'mine' in {storage} was begun with --sampler tpe, not random; name another "
        "--study, or give what it has"
    )
    assert len(fake.seen) == 1
    faster = change_settings(settings, {"threads": 2, "ensemble": 3})
    found = tune(faster, SPACE, storage=storage, study="mine", trials=2)
    assert len(found.trials) == 2
    assert found.settings.ensemble == 3


def test_a_study_of_others_is_left_alone(fake: Fake, settings: Settings, tmp_path: Path) -> None:
    import optuna

    storage = str(tmp_path / "study.db")
    study = optuna.create_study(
        storage=open_storage(storage), study_name="mine", direction="maximize"
    )
    study.tell(study.ask(), 1.0)
    with pytest.raises(InputError, match="was not made by seqnlp tune; name another --study$"):
        tune(settings, SPACE, storage=storage, study="mine")


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        ("{}/no/study.db", "--storage {}/no/study.db: no folder {}/no"),
        ("{}/text.db", "--storage {}/text.db: file is not a database"),
        (
            "nothing://x",
            "--storage nothing://x: no database's URL; expected a file, such as study.db",
        ),
    ],
)
def test_a_storage_that_cannot_be_is_told(
    fake: Fake, settings: Settings, tmp_path: Path, storage: str, told: str
) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(InputError) as caught:
        tune(settings, SPACE, storage=storage.format(tmp_path))
    assert str(caught.value).startswith(told.format(tmp_path, tmp_path))
    assert "\n" not in str(caught.value)


def test_a_password_is_not_shown(fake: Fake, settings: Settings) -> None:
    with pytest.raises(MissingPackageError) as caught:
        tune(settings, SPACE, storage="postgresql+psycopg2://me:secret@host/studies")
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith("--storage postgresql+psycopg2://me@host/studies: ")


def test_names_and_numbers_are_checked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="no sampler is named 'tpo'; did you mean 'tpe'"):
        tune(settings, SPACE, sampler="tpo")
    with pytest.raises(
        UnknownNameError, match="no pruner is named 'medain'; did you mean 'median'"
    ):
        tune(settings, SPACE, pruner="medain")
    with pytest.raises(InputError, match="at least 1, not 0 and 1"):
        tune(settings, SPACE, trials=0)
    with pytest.raises(InputError, match="nothing to search through"):
        tune(settings, {})
    monkeypatch.setattr("seqnlp.tuning.storage.find_spec", lambda name: None)
    with pytest.raises(
        MissingPackageError, match=r"needs the package optuna; pip install 'seqnlp\[tune\]'"
    ):
        tune(settings, SPACE)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("model.cell_options.activaton=relu,tanh", "no key 'activaton'"),
        ("train.optimizer=AdamW,Adem", "no optimizer 'Adem'; did you mean 'Adam'"),
        ("train.optimizer_options.weight_deacy=0..1", "weight_deacy"),
    ],
)
def test_options_of_parts_are_checked_before_the_first_trial(
    settings: Settings, search: str, told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        tune(settings, parse_space([search]))
    assert str(caught.value).startswith(f"--search {search}: ")
    assert told in str(caught.value)


def test_what_is_wrong_with_the_settings_ends_the_search(
    settings: Settings, tmp_path: Path
) -> None:
    storage = tmp_path / "study.db"
    with pytest.raises(InputError, match="no corpus is named"):
        tune(change_settings(settings, {"corpus.name": "nowhere"}), SPACE, storage=str(storage))
    assert not storage.exists()


def test_a_loss_that_is_no_number_is_a_failed_trial(settings: Settings) -> None:
    wild = change_settings(settings, {"train.lr": 1e30, "hooks.clip": False})
    outcome = Trials().run(wild, lambda epoch, figure: None)
    assert outcome.status == "failed"
    assert not outcome.usage
    assert "try a lower train.lr" in outcome.reason


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_processes_that_ask_at_once_draw_different_trials(
    settings: Settings, tmp_path: Path, sampler: str
) -> None:
    storage = str(tmp_path / "study.db")
    tune(settings, SPACE, storage=storage, study="s", sampler=sampler, trials=1)
    own, other = (
        Study(optuna.load_study(study_name="s", storage=open_storage(storage)),
              settings, SPACE, sampler=sampler)
        for _ in range(2)
    )  # fmt: skip
    asked = own.study.ask
    between: list[TrialRecord | None] = []

    def ask(*given: Any) -> Any:
        # The other one has looked at the same trials, and is first.
        between.append(other.next(10))
        return asked(*given)

    own.study.ask = ask  # type: ignore[method-assign]
    drawn = own.next(10)
    assert drawn is not None
    assert between[0] is not None
    assert drawn.values != between[0].values
