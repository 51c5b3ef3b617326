"""What forecasts and anomalies have in common: tasks of members, each with the same plan."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from torch import nn

from seqnlp.config import Settings
from seqnlp.tasks import Task
from seqnlp.text import TokenPipeline
from seqnlp.types import Field
from seqnlp_timeseries.corpus import Part
from seqnlp_timeseries.fields import FIELDS
from seqnlp_timeseries.options import Plan
from seqnlp_timeseries.texts import part_of_text
from seqnlp_timeseries.windows import Windows

MOST_MEMBERS = 1000


class SeriesTask(Task):
    """A task that reads windows of numeric series; its answer is the mean of those of its members.

    Args:
        settings: of the run.
        plan: which windows there are.
        members: networks of the same kind.
    """

    fields: ClassVar[tuple[Field, ...]] = FIELDS
    pipeline_names = ()
    members: nn.ModuleList

    def __init__(self, settings: Settings, plan: Plan, *, members: int = 1) -> None:
        super().__init__()
        self.settings, self.plan = settings, plan
        self.configure()
        self.members = nn.ModuleList(self.make_member() for _ in range(members))

    @abstractmethod
    def configure(self) -> None:
        """Take from the settings and the plan what the members are made of.

        Raises:
            SettingsError: options that do not suit each other.
        """

    @abstractmethod
    def make_member(self) -> nn.Module:
        """A network, its weights drawn at random."""

    @abstractmethod
    def read_parts(self, parts: Sequence[Part]) -> Windows:
        """The rows that answer parts of series."""

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, TokenPipeline], state: Mapping[str, Any]
    ) -> Self:
        members = state["members"]
        if not 0 <= members <= MOST_MEMBERS:
            raise ValueError(f"members must be 0 to {MOST_MEMBERS}, not {members}")
        return cls(settings, Plan.restore(state["plan"]), members=members)

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        """A task of the members of all."""
        first = tasks[0]
        if any(task.plan != first.plan for task in tasks):
            raise ValueError("tasks of different plans cannot be combined")
        combined = cls(first.settings, first.plan, members=0)
        combined.members.extend(member for task in tasks for member in task.members)
        return combined

    def state(self) -> dict[str, Any]:
        return {"plan": self.plan.state(), "members": len(self.members)}

    def parts_of_texts(self, texts: Sequence[str]) -> list[Part]:
        """Series of the numbers between spaces, read up to their ends; see `read_numbers`."""
        step, calendar = self.plan.step, self.plan.calendar
        return [
            part_of_text(text, number, step=step, calendar=calendar)
            for number, text in enumerate(texts, start=1)
        ]
