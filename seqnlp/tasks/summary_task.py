"""What tasks that summarize share: what they read, and how their answers are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seqnlp.data.corpus import Corpus, Split
from seqnlp.tasks import summary_metrics
from seqnlp.tasks.base import Task
from seqnlp.tasks.summary_metrics import Reference
from seqnlp.types import Field, Prediction


class SummaryTask(Task):
    """A task whose answer to a document is a summary."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="document", aliases=("document", "text", "article", "body", "source", "input")),
        Field(
            name="summary",
            aliases=("summary", "highlights", "headline", "title", "subject", "target"),
        ),
        Field(name="references", aliases=("references", "reference"), required=False, several=True),
    )

    def references(self, split: Split) -> list[Reference]:
        return summary_metrics.references_of(split)

    def references_in(self, corpus: Corpus, split: str) -> list[Reference]:
        """See `Task.references_in`: how near each document is to train."""
        from seqnlp.tasks.summary_baselines import references_in

        return references_in(corpus, split)

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Reference]
    ) -> dict[str, float]:
        """Figures `rouge1`, `rouge2` and `rougeL`, in points."""
        return summary_metrics.score([each.output for each in predictions], references)

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[Reference]
    ) -> dict[str, Any]:
        return summary_metrics.report([each.output for each in predictions], references)

    def compare(
        self,
        first: Sequence[Prediction],
        second: Sequence[Prediction],
        references: Sequence[Reference],
    ) -> dict[str, dict[str, Any]]:
        """See `Task.compare`; of ROUGE."""
        return summary_metrics.compare(
            [each.output for each in first], [each.output for each in second], references
        )

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        from seqnlp.tasks.summary_baselines import summary_baselines

        return summary_baselines(corpus)
