"""Forecasts of numeric series, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from seqnlp.config import Settings
from seqnlp.data import Corpus, Split
from seqnlp.errors import SettingsError
from seqnlp.tasks import Batch, Rows
from seqnlp.types import Loss, Prediction
from seqnlp_timeseries.baselines import forecast, methods
from seqnlp_timeseries.corpus import Part, parts_of
from seqnlp_timeseries.figures import naive_error
from seqnlp_timeseries.forecast_report import (
    Forecast,
    Truth,
    compare_forecasts,
    forecast_of,
    report_of,
    scores_of,
)
from seqnlp_timeseries.networks import DirectNetwork, StepNetwork
from seqnlp_timeseries.options import ForecastOptions, forecast_options, left_out, make_plan
from seqnlp_timeseries.outputs import make_output, quantile_levels
from seqnlp_timeseries.paths import sample_paths
from seqnlp_timeseries.series_task import SeriesTask
from seqnlp_timeseries.texts import show
from seqnlp_timeseries.timeline import Step
from seqnlp_timeseries.windows import WindowBatch, Windows, measured_windows, training_windows


class ForecastTask(SeriesTask):
    """Forecasts of numeric series with intervals, by a network over any cell."""

    Options = ForecastOptions
    figures = ("mase", "smape", "wis")
    lower_is_better = frozenset(figures)
    defaults: ClassVar[Mapping[str, Any]] = {
        "corpus": {"name": "series", "test_share": 0.2, "validation_share": 0.15},
        "model": {"cell": "gru", "hidden_size": 64, "bidirectional": False},
        "train": {"epochs": 20, "batch_size": 64, "lr": 4e-3, "monitor": "wis"},
        "hooks": {"dropout": False, "schedule": {"kind": "cosine"}},
    }

    def configure(self) -> None:
        self.options = options = forecast_options(self.settings)
        if not options.intervals or not all(0 < percent < 100 for percent in options.intervals):
            raise SettingsError(
                "head.intervals: expected levels between 0 and 100, such as [80, 95]"
            )
        self.levels = quantile_levels(options.intervals)
        self.intervals = tuple(sorted(round(each / 100, 6) for each in set(options.intervals)))
        self.output = make_output(options.output, self.levels)
        self.through = options.mode == "autoregressive"

    def make_member(self) -> DirectNetwork | StepNetwork:
        network = StepNetwork if self.through else DirectNetwork
        return network(self.settings, self.plan, self.output.size)

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> ForecastTask:
        options = forecast_options(settings)
        return cls(settings, make_plan(options, options.horizon, corpus))

    def read(self, split: Split, *, training: bool = False) -> Windows:
        parts = parts_of(split)
        if not training:
            return measured_windows(parts, self.plan, through=self.through)
        notes = (self.plan.describe(), *left_out(self.plan, self.options.seasons))
        return training_windows(parts, self.plan, through=self.through, notes=notes)

    def loss(self, batch: Batch) -> Loss:
        """The loss of the output over all known targets and members; quantiles have no nats, but
        scaled units.
        """
        assert isinstance(batch, WindowBatch)
        said = [member(batch) for member in self.members]
        losses = [self.output.losses(raw, base, batch.targets) for raw, base in said]
        total = torch.stack([(each * batch.known).sum() for each in losses]).sum()
        return Loss(total=total, units=float(batch.known.sum()) * len(self.members))

    def read_texts(self, texts: Sequence[str]) -> Windows:
        """The rows of numbers between spaces, whose next ones are asked for."""
        return self.read_parts(self.parts_of_texts(texts))

    def read_parts(self, parts: Sequence[Part]) -> Windows:
        """A window for each series, whose targets begin at `first`."""
        origins = np.array([part.first for part in parts], dtype=np.int64)
        return Windows(parts, np.arange(len(parts)), origins, self.plan, through=self.through)

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        assert isinstance(rows, Windows)
        made: list[Prediction] = []
        with self.evaluating(), torch.inference_mode():
            for begin in range(0, len(rows.origins), batch_size):
                indices = np.arange(begin, min(begin + batch_size, len(rows.origins)))
                quantiles = torch.stack(list(self._quantiles(rows, indices))).mean(0)
                made += [forecast_of(own, self.levels) for own in quantiles.double().cpu().numpy()]
        return made

    def _quantiles(self, rows: Windows, indices: np.ndarray[Any, Any]) -> Iterator[Tensor]:
        """Float [B, H, Q] of each member, in units of the series."""
        batch = rows.batch(indices).to(self.device)
        for member in self.members:
            if isinstance(member, StepNetwork):
                paths = sample_paths(
                    member, self.output, rows, indices, self.options.samples, self.device
                )
                tau = torch.tensor(self.levels, dtype=torch.float64)
                found = torch.quantile(paths, tau, dim=1).movedim(0, -1).to(self.device)
            else:
                raw, base = member(batch)
                found = self.output.quantiles(raw, base, self.levels).double()
            yield found * batch.scale[:, None, None] + batch.loc[:, None, None]

    def references(self, split: Split) -> list[Truth]:
        """What the windows of a split are scored against, in the order of its rows."""
        rows = self.read(split)
        scales = [self._naive_error(part) for part in rows.parts]
        return [
            Truth(
                values=self._targets(rows.parts[series], origin),
                scale=scales[series],
                series=rows.parts[series].name,
                origin=origin,
            )
            for series, origin in zip(rows.series.tolist(), rows.origins.tolist(), strict=True)
        ]

    def _naive_error(self, part: Part) -> float:
        """Of what was before the split; of all where nothing was, as in another corpus."""
        before = part.series.values[: part.first]
        long_enough = len(before) > 2 * self.plan.season
        return naive_error(before if long_enough else part.series.values, self.plan.season)

    def _targets(self, part: Part, origin: int) -> np.ndarray[Any, Any]:
        values = part.series.values[origin : origin + self.plan.horizon]
        return np.pad(values, (0, self.plan.horizon - len(values)), constant_values=np.nan)

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Truth]
    ) -> dict[str, float]:
        """mase, smape and wis; see `report_of`."""
        found = scores_of(predictions, references)
        return {name: found[name] for name in self.figures}

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[Truth]
    ) -> dict[str, Any]:
        return report_of(predictions, references)

    def compare(
        self, first: Sequence[Prediction], second: Sequence[Prediction], references: Sequence[Truth]
    ) -> dict[str, dict[str, Any]]:
        """See `Task.compare`; of MASE, sMAPE and WIS."""
        return compare_forecasts(first, second, references)

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        split = corpus.split("test" if "test" in corpus.splits else "validation")
        truths = self.references(split)
        return {
            name: report_of(answers, truths)
            for name, answers in self.baseline_answers(self.read(split)).items()
        }

    def baseline_answers(self, rows: Windows) -> dict[str, list[Forecast]]:
        """Forecasts of the rows by each of the methods that anybody should beat."""
        # A season that train was too short for may still be a good guess.
        seasons = sorted({*self.plan.seasons, *Step.parse(self.plan.step).seasons})
        pasts = [rows.parts[series].series.values[:origin]
                 for series, origin in zip(rows.series, rows.origins, strict=True)]  # fmt: skip
        return {
            name: [forecast(method, past, self.plan.horizon, self.levels) for past in pasts]
            for name, method in methods(seasons).items()
        }

    @classmethod
    def example(cls, split: Split) -> str:
        """The last values before a split, of its first series."""
        part = parts_of(split)[0]
        past = part.series.values[: part.first or None][-24:]
        start = part.series.timeline.shifted(
            (part.first or len(part.series.values)) - len(past)
        ).start
        numbers = show(past.tolist())
        return numbers if start is None else f"{str(start)[:16]} {numbers}"
