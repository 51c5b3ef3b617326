"""Anomalies in numeric series: values that a forecast or a reconstruction does not expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from seqnlp.config import Settings
from seqnlp.data import Corpus, Split
from seqnlp.errors import InputError, SettingsError
from seqnlp.tasks import Batch, Rows
from seqnlp.types import Loss, Prediction
from seqnlp_timeseries.anomaly_report import (
    Alarms,
    Marks,
    alarms_of,
    is_labeled,
    report_of,
    scores_of,
)
from seqnlp_timeseries.corpus import Part, parts_of
from seqnlp_timeseries.detection import Detector, score_parts, scored_windows
from seqnlp_timeseries.figures import best_threshold
from seqnlp_timeseries.options import AnomalyOptions, Plan, anomaly_options, left_out, make_plan
from seqnlp_timeseries.series_task import SeriesTask
from seqnlp_timeseries.stream import AlarmStream
from seqnlp_timeseries.texts import show
from seqnlp_timeseries.windows import Floats, WindowBatch, Windows, training_windows

LEAST_BLOCK = 8


class AnomalyTask(SeriesTask):
    """Anomalies in numeric series, by the error of a forecast or of a reconstruction."""

    Options = AnomalyOptions
    figures = ("f1", "event_f1", "auc_pr", "loss")
    defaults: ClassVar[Mapping[str, Any]] = {
        "corpus": {"name": "series", "test_share": 0.2, "validation_share": 0.15},
        "model": {"cell": "gru", "hidden_size": 64, "bidirectional": False},
        "train": {"epochs": 12, "batch_size": 64, "lr": 3e-3, "monitor": "loss"},
        "hooks": {"dropout": False, "schedule": {"kind": "cosine"}},
    }

    def configure(self) -> None:
        self.options = anomaly_options(self.settings)
        self.through = self.options.score == "next"

    def make_member(self) -> Detector:
        return Detector(self.settings, self.options, self.plan)

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> AnomalyTask:
        if settings.train.refit:
            raise SettingsError(
                "train.refit: the threshold of anomalies is chosen on validation, which training "
                "again would learn from; leave it out"
            )
        options = anomaly_options(settings)
        plan = make_plan(options, options.block or 1, corpus)
        if options.block is None:
            block = max(LEAST_BLOCK, 2 * plan.season)
            plan = make_plan(options, block, corpus)
        return cls(settings, plan)

    def read(self, split: Split, *, training: bool = False) -> Windows:
        parts = parts_of(split)
        if not training:
            return scored_windows(parts, self.plan, self.options.score)
        notes = (self.plan.describe().replace("horizon", "block"),
                 *left_out(self.plan, self.options.seasons))  # fmt: skip
        return training_windows(parts, self.plan, through=self.through, notes=notes)

    def loss(self, batch: Batch) -> Loss:
        """Negative log-densities of the targets in nats, or errors of the reconstruction in scaled
        units, over all values that are known and members.
        """
        assert isinstance(batch, WindowBatch)
        found = [member.losses(batch) for member in self.members]  # type: ignore[operator]
        total = torch.stack([(losses * known).sum() for losses, known in found]).sum()
        return Loss(total=total, units=float(sum(known.sum() for _, known in found)))

    def read_texts(self, texts: Sequence[str]) -> Windows:
        """The rows of numbers between spaces, every one of which is scored."""
        parts = self.parts_of_texts(texts)
        return self.read_parts([Part(series=part.series, first=0) for part in parts])

    def read_parts(self, parts: Sequence[Part]) -> Windows:
        """The rows that score all values of series from `first` on."""
        return scored_windows(parts, self.plan, self.options.score)

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        assert isinstance(rows, Windows)
        found = [
            [own / float(member.threshold) for own in scores]  # type: ignore[arg-type]
            for member, scores in zip(self.members, self._scores(rows, batch_size), strict=True)
        ]
        means = [np.mean(each, axis=0) for each in zip(*found, strict=True)]
        return [alarms_of(own[part.first :]) for own, part in zip(means, rows.parts, strict=True)]

    def _scores(self, rows: Windows, batch_size: int) -> list[list[Floats]]:
        """Scores of each member and series from its beginning, float64 [N]."""
        with self.evaluating(), torch.inference_mode():
            return [
                score_parts(member, rows, batch_size=batch_size, device=self.device)  # type: ignore[arg-type]
                for member in self.members
            ]

    def validate(
        self, rows: Rows, references: Sequence[Marks], *, batch_size: int
    ) -> Mapping[str, float]:
        """Choose the thresholds, then score; see `Task.validate`."""
        assert isinstance(rows, Windows)
        for member, scores in zip(self.members, self._scores(rows, batch_size), strict=True):
            threshold = self._choose(rows, scores, references)
            member.threshold.fill_(max(threshold, 1e-6))  # type: ignore[operator]
        answers = self.answer(rows, batch_size=batch_size)
        return {**scores_of(answers, references), "loss": self._mean_loss(rows, batch_size)}

    def _choose(
        self, rows: Windows, scores: Sequence[Floats], references: Sequence[Marks]
    ) -> float:
        """The threshold of the best F1, or that of the share of alarms where nothing is labeled."""
        own = [score[part.first :] for score, part in zip(scores, rows.parts, strict=True)]
        pooled = np.concatenate(own)
        known = ~np.isnan(pooled)
        if not known.any():
            return 1.0
        if not is_labeled(references):
            return float(np.quantile(pooled[known], 1 - self.options.alarms))
        labels = [np.zeros(len(score), dtype=np.bool_) if mark.labels is None else mark.labels
                  for score, mark in zip(own, references, strict=True)]  # fmt: skip
        return best_threshold(pooled[known], np.concatenate(labels)[known])[0]

    def _mean_loss(self, rows: Windows, batch_size: int) -> float:
        total = units = 0.0
        with self.evaluating(), torch.inference_mode():
            for begin in range(0, len(rows.origins), batch_size):
                indices = np.arange(begin, min(begin + batch_size, len(rows.origins)))
                loss = self.loss(rows.batch(indices).to(self.device))
                total, units = total + float(loss.total), units + loss.units
        return total / max(units, 1.0)

    def figures_on(self, rows: Rows) -> tuple[str, ...]:
        assert isinstance(rows, Windows)
        return self.figures if is_labeled(_marks(rows.parts)) else ("loss",)

    def references(self, split: Split) -> list[Marks]:
        return _marks(parts_of(split))

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Marks]
    ) -> dict[str, float]:
        """f1, event_f1 and auc_pr, where any value is labeled; see `report_of`."""
        return scores_of(predictions, references)

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[Marks]
    ) -> dict[str, Any]:
        return report_of(predictions, references)

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        """The change from a season before, over its usual size in train, at the best threshold on
        validation.
        """
        split = corpus.split("test" if "test" in corpus.splits else "validation")
        chosen = corpus.splits.get("validation", split)
        season = max(self.plan.seasons, default=1)
        changes = [changes_of(part, self.plan, season) for part in parts_of(chosen)]
        rows, marks = (
            scored_windows(parts_of(chosen), self.plan, "forecast"),
            self.references(chosen),
        )
        threshold = self._choose(rows, changes, marks)
        answers: list[Alarms] = [
            alarms_of(changes_of(part, self.plan, season)[part.first :] / threshold)
            for part in parts_of(split)
        ]
        return {f"change in {season} steps": report_of(answers, self.references(split))}

    def stream(self) -> AlarmStream:
        """See `Task.stream`."""
        if self.options.score == "reconstruction":
            raise InputError(
                "a model that scores by reconstruction reads whole windows and cannot stream; "
                "those of head.score = 'forecast' or 'next' can"
            )
        return AlarmStream(self.plan, list(self.members))  # type: ignore[arg-type]

    @classmethod
    def example(cls, split: Split) -> str:
        """The last values of the first series of a split, one of them changed."""
        values = parts_of(split)[0].series.values[-32:].copy()
        values[-6] += 4 * np.nanstd(values)
        return show(values.tolist())


def changes_of(part: Part, plan: Plan, season: int) -> Floats:
    """|y_t - y_(t - season)| over the scale of the series, float64 [N]; NaN in the first season."""
    values = part.series.values
    found = np.full(len(values), np.nan)
    scale = plan.scales.get(part.name, (0.0, 1.0))[1] or 1.0
    found[season:] = np.abs(values[season:] - values[:-season]) / scale
    return found


def _marks(parts: Sequence[Part]) -> list[Marks]:
    return [
        Marks(labels=None if part.series.labels is None else part.series.labels[part.first :],
              series=part.name)
        for part in parts
    ]  # fmt: skip
