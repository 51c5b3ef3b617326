"""Where else the course of a run may go: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from seqnlp.errors import InputError, suggest
from seqnlp.training.hooks.tracker import (
    Points,
    Status,
    TrackingHook,
    folder_of,
    label_of,
    missing,
    name_of,
)
from seqnlp.training.trainer import Trainer

Mode = Literal["offline", "online", "disabled"]


class TensorBoardHook(TrackingHook):
    """Scalars for TensorBoard: loss and learning rate by step, figures and speed by epoch.

    Args:
        folder: where the event files go; the run's folder where it is not named.
        every: steps between two points.

    Raises:
        MissingPackageError: the extra `tensorboard` is not installed.
    """

    def __init__(self, *, folder: Path | None = None, every: int = 10) -> None:
        super().__init__("tensorboard", every=every)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing("tensorboard") from error
        self.make = SummaryWriter
        self.folder = folder
        self.writer: Any = None

    def begin(self, trainer: Trainer) -> None:
        folder = (self.folder or folder_of(trainer) / "tensorboard") / label_of(trainer)
        # What was written after the checkpoint that a run goes on from is written again; and by a
        # run whose place this one takes, all of it.
        self.writer = self.make(log_dir=str(folder), purge_step=self.steps + 1)

    def track(self, points: Points, step: int) -> None:
        for name, value in points.items():
            self.writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self.writer.flush()

    def end(self, status: Status) -> None:
        self.writer.close()


class WandbHook(TrackingHook):
    """A run of Weights & Biases, kept on disk unless it is asked for online.

    Args:
        project: that it belongs to.
        name: of the run; the output folder's and the seed where it is not given.
        mode: "offline" writes files that `wandb sync` sends, "online" sends them as the run goes
            on, "disabled" does neither; the environment's WANDB_MODE where it is not given, else
            "offline".
        folder: where the files go; the run's folder where it is not named.
        every: steps between two points.

    Raises:
        MissingPackageError: the extra `wandb` is not installed.
    """

    def __init__(
        self,
        *,
        project: str = "seqnlp",
        name: str | None = None,
        mode: Mode | None = None,
        folder: Path | None = None,
        every: int = 10,
    ) -> None:
        super().__init__("wandb", every=every)
        self.mode = mode or _mode()
        if self.mode == "offline":
            # Otherwise it would report its own errors over the network, offline or not.
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            import wandb
        except ImportError as error:
            raise missing("wandb") from error
        self.wandb = wandb
        self.errors = (OSError, wandb.Error)
        self.project, self.run_name, self.folder = project, name, folder
        self.id: str | None = None
        self.run: Any = None

    def on_fit_start(self, trainer: Trainer) -> None:
        self.id = None
        super().on_fit_start(trainer)

    def begin(self, trainer: Trainer) -> None:
        folder = self.folder or folder_of(trainer)
        resumed, self.id = self.id is not None, self.id or secrets.token_hex(4)
        self.run = self.wandb.init(
            project=self.project,
            name=self.run_name or name_of(trainer),
            group=trainer.folder.name if trainer.folder else None,
            id=self.id,
            resume="allow" if resumed else None,
            mode=self.mode,
            dir=str(folder),
            config=trainer.task.settings.model_dump(mode="json"),
            reinit="create_new",
            settings=self.wandb.Settings(
                console="off", silent=self.mode == "offline", save_code=False, **self._promptly()
            ),
        )
        # Points of a step may come twice, of a resumed run even again: "step" says of which.
        self.run.define_metric("step", hidden=True)
        self.run.define_metric("*", step_metric="step")

    def _promptly(self) -> dict[str, Any]:
        """Let points be on disk within a second: a killed process takes what is not with it."""
        name = "x_transaction_log_flush_interval"
        return {name: 1.0} if name in self.wandb.Settings.model_fields else {}

    def track(self, points: Points, step: int) -> None:
        self.run.log({**points, "step": step})

    def end(self, status: Status) -> None:
        self.run.finish(exit_code=int(status != "finished"))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "id": self.id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.id = state["id"]
        super().load_state_dict(state)


def _mode() -> Mode:
    """That of the environment."""
    match os.environ.get("WANDB_MODE", "offline"):
        case "offline" | "online" | "disabled" as mode:
            return mode
        case other:
            raise InputError(f"WANDB_MODE is {other!r}; {suggest(other, get_args(Mode))}")


class MlflowHook(TrackingHook):
    """A run of MLflow, in a database file of the run's folder unless a server is named.

    Args:
        tracking_uri: of the database or the server; the environment's MLFLOW_TRACKING_URI where it
            is not given, else the file mlflow.db in the run's folder.
        experiment: that it belongs to, made where there is none.
        name: of the run; the output folder's and the seed where it is not given.
        every: steps between two points.

    Raises:
        MissingPackageError: the extra `mlflow` is not installed.
    """

    PAUSE = 2.0
    """Seconds between two writings: each is a transaction, or a request."""
    MOST_PARAMETERS, MOST_POINTS = 100, 1000
    """What a server takes at once."""

    def __init__(
        self,
        *,
        tracking_uri: str | None = None,
        experiment: str = "seqnlp",
        name: str | None = None,
        every: int = 10,
    ) -> None:
        super().__init__("mlflow", every=every)
        # It would report its use over the network, wherever the runs go.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            import alembic  # noqa: F401 - behind database files, as the last of the four
            import mlflow
            import mlflow.tracking
            import sqlalchemy  # noqa: F401
        except ImportError as error:
            raise missing("mlflow", f"mlflow-skinny ({error.name})") from error
        self.mlflow = mlflow
        self.errors = (OSError, mlflow.MlflowException)
        self.uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self.experiment, self.run_name = experiment, name
        self.id: str | None = None
        self.client: Any = None
        self.waiting: list[Any] = []
        self.written = 0.0
        self.known: dict[str, int] = {}

    def on_fit_start(self, trainer: Trainer) -> None:
        self.id, self.waiting, self.known = None, [], {}
        super().on_fit_start(trainer)

    def begin(self, trainer: Trainer) -> None:
        # Of making the tables of a new database.
        for noisy in ("mlflow.store.db.utils", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        uri = self.uri or f"sqlite:///{(folder_of(trainer) / 'mlflow.db').resolve()}"
        self.client = self.mlflow.tracking.MlflowClient(tracking_uri=uri)
        self.written = time.monotonic()
        if self.id is not None:
            self._reopen(self.id)
            return
        found = self.client.get_experiment_by_name(self.experiment)
        experiment = found.experiment_id if found else self.client.create_experiment(
            self.experiment
        )  # fmt: skip
        run = self.client.create_run(experiment, run_name=self.run_name or name_of(trainer))
        self.id = run.info.run_id
        settings = trainer.task.settings.model_dump(mode="json", exclude_none=True)
        parameters = [self.mlflow.entities.Param(*each) for each in _flat(settings)]
        for some in _pieces(parameters, self.MOST_PARAMETERS):
            self.client.log_batch(self.id, params=some)

    def _reopen(self, run: str) -> None:
        """Go on with a run, whose points after the checkpoint are there and come again."""
        self.client.update_run(run, status="RUNNING")
        for name in self.client.get_run(run).data.metrics:
            points = self.client.get_metric_history(run, name)
            self.known[name] = max(point.step for point in points)

    def track(self, points: Points, step: int) -> None:
        now = int(time.time() * 1000)
        self.waiting += [self.mlflow.entities.Metric(name, value, now, step)
                         for name, value in points.items()
                         if step > self.known.get(name, 0)]  # fmt: skip
        if time.monotonic() - self.written > self.PAUSE:
            self.flush()

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        for some in _pieces(waiting, self.MOST_POINTS):
            self.client.log_batch(self.id, metrics=some)
        self.written = time.monotonic()

    def end(self, status: Status) -> None:
        self.flush()
        words = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
        self.client.set_terminated(self.id, words[status])

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "id": self.id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.id = state["id"]
        super().load_state_dict(state)


def _pieces(values: list[Any], most: int) -> Iterator[list[Any]]:
    for first in range(0, len(values), most):
        yield values[first : first + most]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The settings as "section.key" with their values as text."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
