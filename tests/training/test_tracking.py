"""Trackers, read back from what they wrote: points, settings, and runs that go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seqnlp.training.hooks import Hook
from seqnlp.training.hooks.tracker import epoch_points, step_points
from seqnlp.training.hooks.tracking import MlflowHook, TensorBoardHook, WandbHook
from seqnlp.training.trainer import Trainer
from tests.training.test_trainer import fit

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
    """The records of a .wandb file: a log of LevelDB's format, after seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):
            yield Record.FromString(whole)
            whole = b""


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
    assert wandb_points(path) == watch.points
    records = {each.WhichOneof("record_type"): each for each in wandb_records(path)}
    assert records["run"].run.project == "small"
    assert records["run"].run.display_name == "run-seed-0"
    assert records["exit"].exit.exit_code == 0


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
