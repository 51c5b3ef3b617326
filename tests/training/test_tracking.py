"""Trackers, read back from what they wrote: points, settings, and runs that go on."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import seqnlp
from seqnlp.config import build
from seqnlp.errors import InputError, MissingPackageError, SettingsError
from seqnlp.training.distributed import Group
from seqnlp.training.hooks import Hook
from seqnlp.training.hooks.tracker import TrackingHook, epoch_points, step_points
from seqnlp.training.hooks.tracking import MlflowHook, TensorBoardHook, WandbHook
from seqnlp.training.trainer import Trainer
from tests.toy import small_settings
from tests.training.resuming import Killed, Killer
from tests.training.test_trainer import fit, prepare

Series = dict[str, list[tuple[int, float]]]

# Of MLflow's own queries.
quiet = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


class Watch(Hook):
    """Writes down what a tracker should be given."""

    order = 95

    def __init__(self, every: int) -> None:
        self.every = every
        self.points: Series = {}

    def note(self, points: dict[str, float], step: int) -> None:
        for name, value in points.items():
            self.points.setdefault(name, []).append((step, pytest.approx(value)))

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.steps % self.every == 0:
            self.note(step_points(trainer), trainer.steps)

    def on_evaluate_end(self, trainer: Trainer) -> None:
        self.note(epoch_points(trainer), trainer.steps)


def tensorboard_points(folder: Path) -> Series:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: [(point.step, point.value) for point in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file that are there whole: a log of LevelDB's format, after seven
    bytes. Its own process may be writing the last one.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        if place + 7 + size > len(data):
            return
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):
            yield Record.FromString(whole)
            whole = b""


def closed(path: Path) -> Path:
    """The file of a run that has ended, when its own process has written it to the end."""
    for _ in range(600):
        if any(each.WhichOneof("record_type") == "exit" for each in wandb_records(path)):
            break
        time.sleep(0.1)
    return path


def wandb_points(path: Path) -> Series:
    found: Series = {}
    for record in wandb_records(path):
        if record.WhichOneof("record_type") == "history":
            row = {
                item.key or item.nested_key[0]: json.loads(item.value_json)
                for item in record.history.item
            }
            for name, value in row.items():
                if "/" in name:
                    found.setdefault(name, []).append((row["step"], value))
    return found


def mlflow_run(uri: str) -> tuple[Any, Series]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("seqnlp")
    (run,) = client.search_runs([experiment.experiment_id])
    return run, {
        name: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_ERROR_REPORTING", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    # Of the machine, which takes seconds to look at.
    monkeypatch.setenv("WANDB__DISABLE_STATS", "true")


def test_tensorboard_gets_every_point(toy_corpus: Path, tmp_path: Path) -> None:
    watch = Watch(2)
    fit(toy_corpus, "train.epochs=2", hooks=(TensorBoardHook(folder=tmp_path, every=2), watch))
    assert tensorboard_points(tmp_path / "seed-0") == watch.points
    assert "validation/accuracy" in watch.points
    assert "epoch/train_loss" in watch.points


def test_wandb_keeps_every_point_on_disk(toy_corpus: Path, tmp_path: Path) -> None:
    watch = Watch(2)
    hook = WandbHook(project="small", folder=tmp_path, every=2)
    fit(toy_corpus, "train.epochs=2", hooks=(hook, watch))
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert wandb_points(closed(path)) == watch.points
    records = {each.WhichOneof("record_type"): each for each in wandb_records(path)}
    assert records["run"].run.project == "small"
    assert records["run"].run.display_name == "run-seed-0"
    assert records["exit"].exit.exit_code == 0
    # A file that is still being written is read as far as it goes.
    data, cut, seen = path.read_bytes(), tmp_path / "cut.wandb", []
    for size in range(0, len(data), 97):
        cut.write_bytes(data[:size])
        seen.append(len(list(wandb_records(cut))))
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] == 0


@quiet
def test_mlflow_keeps_every_point_and_the_settings(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    watch = Watch(2)
    fit(toy_corpus, "train.epochs=2", "train.lr=0.03", hooks=(MlflowHook(every=2), watch))
    run, points = mlflow_run(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert points == watch.points
    assert run.data.params["train.lr"] == "0.03"
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "run-seed-0"


def test_a_run_that_goes_on_has_every_point_of_tensorboard_once(
    toy_corpus: Path, tmp_path: Path
) -> None:
    steps = resumed(toy_corpus, tmp_path / "run", "hooks.tensorboard.every=1")
    assert tensorboard_points(tmp_path / "run" / "tensorboard" / "seed-0")["train/loss"] == steps


def test_a_run_that_goes_on_is_the_same_one_of_wandb(toy_corpus: Path, tmp_path: Path) -> None:
    steps = resumed(toy_corpus, tmp_path / "run", "hooks.wandb.every=1")
    one, other = sorted((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert one.name == other.name
    # What comes again, from the checkpoint to the end, is the same.
    assert wandb_points(closed(one))["train/loss"] == steps[:5]
    assert wandb_points(closed(other))["train/loss"] == steps[3:]
    exits = [
        each.exit.exit_code
        for path in (one, other)
        for each in wandb_records(path)
        if each.WhichOneof("record_type") == "exit"
    ]
    assert exits == [1, 0]


@quiet
def test_a_run_that_goes_on_has_every_point_of_mlflow_once(
    toy_corpus: Path, tmp_path: Path
) -> None:
    steps = resumed(toy_corpus, tmp_path / "run", "hooks.mlflow.every=1")
    run, points = mlflow_run(f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}")
    assert points["train/loss"] == steps
    assert run.info.status == "FINISHED"


@quiet
def test_what_a_killed_run_had_not_given_mlflow_is_given_when_it_goes_on(
    toy_corpus: Path, tmp_path: Path
) -> None:
    class KilledFirst(Hook):
        """Before the points of the epoch are given, after those of its last step are."""

        order = 80

        def on_evaluate_end(self, trainer: Trainer) -> None:
            raise Killed

    folder = tmp_path / "run"
    options = ("hooks.mlflow.every=1", "hooks.checkpoint.steps=2", "train.epochs=1")
    settings = small_settings(toy_corpus, *options)
    with pytest.raises(Killed):
        seqnlp.train(settings, folder, hooks=[KilledFirst()])
    watch = Watch(1)
    seqnlp.train(small_settings(toy_corpus, "train.epochs=1"), hooks=[watch])
    seqnlp.train(settings, folder, resume=True)
    _, points = mlflow_run(f"sqlite:///{folder / 'mlflow.db'}")
    for name in ("train/loss", "validation/accuracy"):
        assert points[name] == watch.points[name]


def resumed(corpus: Path, folder: Path, option: str) -> list[tuple[int, Any]]:
    """Kill a run after its fifth step, go on from the third; the loss of each step."""
    watch = Watch(1)
    seqnlp.train(small_settings(corpus, "train.epochs=2"), hooks=[watch])
    settings = small_settings(corpus, option, "hooks.checkpoint.steps=3", "train.epochs=2")
    with pytest.raises(Killed):
        seqnlp.train(settings, folder, hooks=[Killer(5)])
    seqnlp.train(settings, folder, resume=True)
    return watch.points["train/loss"]


def test_a_run_that_takes_anothers_place_has_its_own_points_alone(
    toy_corpus: Path, tmp_path: Path
) -> None:
    fit(toy_corpus, "train.epochs=2", hooks=(TensorBoardHook(folder=tmp_path, every=1),))
    watch = Watch(1)
    hooks = (TensorBoardHook(folder=tmp_path, every=1), watch)
    fit(toy_corpus, "train.epochs=1", "train.lr=0.5", hooks=hooks)
    assert tensorboard_points(tmp_path / "seed-0") == watch.points


def test_training_again_has_a_curve_of_its_own(toy_corpus: Path, tmp_path: Path) -> None:
    options = ("hooks.tensorboard.every=1", "train.refit=true", "train.epochs=1")
    model = seqnlp.train(small_settings(toy_corpus, *options), tmp_path / "run")
    first, again = (
        tensorboard_points(tmp_path / "run" / "tensorboard" / name)
        for name in ("seed-0", "seed-0-refit")
    )
    assert len(first["train/loss"]) == model.metrics["training"][0]["steps"]
    assert len(again["train/loss"]) > len(first["train/loss"])
    assert "validation/accuracy" not in again


def test_a_run_that_was_refused_over_its_tracker_can_be_tried_again(
    toy_corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    wrong = ("hooks.tensorboard.every=1", "hooks.mlflow.tracking_uri=nowhere://a")
    for _ in range(2):
        with pytest.raises(InputError, match="unsupported URI"):
            seqnlp.train(small_settings(toy_corpus, *wrong), folder)
        assert not folder.exists()
    (folder / "tensorboard").mkdir(parents=True)
    (folder / "log.jsonl").touch()
    with pytest.raises(InputError, match="unsupported URI"):
        seqnlp.train(small_settings(toy_corpus, *wrong), folder)
    # What was there before stays.
    assert (folder / "tensorboard").is_dir()


def test_points_are_on_disk_when_a_checkpoint_is(toy_corpus: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    class Look(Hook):
        order = 99

        def on_step_end(self, trainer: Trainer) -> None:
            hook.state_dict()
            seen.append(len(tensorboard_points(tmp_path / "seed-0")["train/loss"]))

    hook = TensorBoardHook(folder=tmp_path, every=1)
    trainer = fit(toy_corpus, "train.epochs=1", "train.batch_size=50", hooks=(hook, Look()))
    assert seen == list(range(1, trainer.steps + 1))


def test_points_of_wandb_are_on_disk_soon(toy_corpus: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    class Look(Hook):
        order = 99

        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.steps == 3:
                (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
                # Its own pace would be 15 s.
                for _ in range(100):
                    seen[:] = [step for step, _ in wandb_points(path).get("train/loss", [])]
                    if len(seen) == 3:
                        break
                    time.sleep(0.1)

    run_with(toy_corpus, WandbHook(folder=tmp_path, every=1), Look())
    assert seen == [1, 2, 3]


class Failing(TrackingHook):
    """A tracker that is gone after some steps, or was never there.

    last: the last step that it takes; 0 for not even a beginning. kept: whether it can be flushed
    and closed.
    """

    def __init__(self, last: int, *, kept: bool = True) -> None:
        super().__init__("failing", every=1)
        self.last, self.kept = last, kept
        self.given: list[int] = []
        self.ended: list[str] = []

    def begin(self, trainer: Trainer) -> None:
        if self.last == 0:
            raise OSError("no such server\nand more of it")

    def track(self, points: Any, step: int) -> None:
        if step > self.last:
            raise OSError("connection lost")
        self.given.append(step)

    def flush(self) -> None:
        if not self.kept:
            raise OSError("cannot keep it")

    def end(self, status: str) -> None:
        self.flush()
        self.ended.append(status)


def run_with(corpus: Path, hook: Hook, *others: Hook, group: Group | None = None) -> list[str]:
    """Train with hooks; the notes that a person gets."""
    notes: list[str] = []
    task, opened, settings = prepare(corpus, "train.epochs=1", "train.batch_size=50")
    trainer = Trainer(task, settings, (hook, *others), notify=notes.append, group=group)
    rows = task.read(opened.split("train"))
    trainer.fit(rows, None)
    assert trainer.steps == 3
    return notes


def test_a_tracker_that_is_not_there_is_one_line(toy_corpus: Path) -> None:
    with pytest.raises(InputError, match=r"^hooks\.failing: no such server$"):
        run_with(toy_corpus, Failing(0))


def test_a_tracker_that_fails_is_given_up_and_the_training_goes_on(toy_corpus: Path) -> None:
    hook = Failing(1)
    notes = run_with(toy_corpus, hook)
    assert notes == ["hooks.failing: nothing more is tracked after step 2: connection lost"]
    assert hook.given == [1]
    assert hook.ended == []


def test_a_tracker_that_cannot_be_kept_loses_no_training(toy_corpus: Path) -> None:
    class Keep(Hook):
        def on_step_end(self, trainer: Trainer) -> None:
            assert hook.state_dict() == {"steps": trainer.steps - 1}

    told = "hooks.failing: nothing more is tracked after step {}: cannot keep it"
    hook = Failing(9, kept=False)
    assert run_with(toy_corpus, hook, Keep()) == [told.format(0)]
    hook = Failing(9, kept=False)
    assert run_with(toy_corpus, hook) == [told.format(3)]
    assert hook.given == [1, 2, 3]


class Break(Hook):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.steps == 3:
            raise self.error


def test_a_tracker_knows_how_a_training_ended(toy_corpus: Path) -> None:
    hook = Failing(9)
    run_with(toy_corpus, hook)
    with pytest.raises(ValueError, match="mine"):
        run_with(toy_corpus, hook, Break(ValueError("mine")))
    run_with(toy_corpus, hook, Break(KeyboardInterrupt()))
    assert hook.ended == ["finished", "failed", "interrupted"]


def test_of_several_processes_the_main_one_tracks(
    toy_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Group, "main", False)
    hook = Failing(0)
    run_with(toy_corpus, hook)
    assert hook.given == hook.ended == []


HOOKS: dict[str, tuple[type[Hook], str, str]] = {
    "torch.utils.tensorboard": (TensorBoardHook, "tensorboard", "tensorboard"),
    "wandb": (WandbHook, "wandb", "wandb"),
    "mlflow": (MlflowHook, "mlflow", r"mlflow-skinny \(mlflow\)"),
    "sqlalchemy": (MlflowHook, "mlflow", r"mlflow-skinny \(sqlalchemy\)"),
    "alembic": (MlflowHook, "mlflow", r"mlflow-skinny \(alembic\)"),
}


@pytest.mark.parametrize("module", HOOKS)
def test_a_missing_extra_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if module in ("sqlalchemy", "alembic"):
        import mlflow  # noqa: F401 - by itself it does without
    monkeypatch.setitem(sys.modules, module, None)
    hook, extra, package = HOOKS[module]
    told = rf"^the hook {extra} needs the package {package}; pip install 'seqnlp\[{extra}\]'$"
    with pytest.raises(MissingPackageError, match=told):
        hook()


@pytest.mark.parametrize("hook", [TensorBoardHook, WandbHook, MlflowHook])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be at least 1, not 0"),
        ({"evry": 5}, "no key 'evry'; did you mean 'every'?"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    hook: Callable[..., Hook], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message.replace("?", r"\?")):
        build(hook, options, where="hooks.x")


def test_the_mode_of_wandb_is_offline_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WandbHook().mode == "offline"
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert WandbHook().mode == "disabled"
    assert WandbHook(mode="offline").mode == "offline"
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(InputError, match="WANDB_MODE is 'ofline'; did you mean 'offline'"):
        WandbHook()


def test_online_without_a_key_is_one_line(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(InputError, match=r"^hooks\.wandb: No API key configured"):
        run_with(toy_corpus, WandbHook(mode="online", folder=tmp_path))


def test_mlflow_at_an_address_of_no_kind_is_one_line(toy_corpus: Path) -> None:
    with pytest.raises(InputError, match=r"^hooks\.mlflow: .*unsupported URI 'nowhere://a'"):
        run_with(toy_corpus, MlflowHook(tracking_uri="nowhere://a"))


def test_the_environment_names_the_server_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    assert MlflowHook().uri == "http://there"
    assert MlflowHook(tracking_uri="http://here").uri == "http://here"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_tracking_changes_no_training(toy_corpus: Path, tmp_path: Path) -> None:
    plain = fit(toy_corpus, "train.epochs=1")
    hook = TensorBoardHook(folder=tmp_path, every=1)
    tracked = fit(toy_corpus, "train.epochs=1", hooks=(hook,))
    for one, other in zip(plain.task.parameters(), tracked.task.parameters(), strict=True):
        assert torch.equal(one, other)
