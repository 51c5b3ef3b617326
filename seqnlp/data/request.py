"""What the opener of a corpus is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seqnlp.data.languages import Languages, is_parallel
from seqnlp.types import Field

MAX_RATIO = 9.0
"""How many times the words of the other side a side of a training pair may have, by default."""


@dataclass(frozen=True, kw_only=True)
class CorpusRequest:
    """What the opener of a corpus is asked for.

    fields: the columns that the task reads. columns: field name to column name, where the user
    named it. seed, test_share, validation_share: how test and then validation are cut off train
    where there is none; a share of 0 leaves it out. languages: codes of source and target, of a
    task that reads pairs. max_ratio: training pairs whose one side has more than so many times the
    words of the other are left out; None keeps all.
    """

    fields: tuple[Field, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    validation_share: float = 0.1
    test_share: float = 0.0
    languages: Languages = (None, None)
    max_ratio: float | None = MAX_RATIO

    @property
    def parallel(self) -> bool:
        """Whether pairs of texts are asked for."""
        return is_parallel(self.fields)

    @property
    def aligned(self) -> bool:
        """Whether each field may be a file of its own, line N of all of them a row."""
        names = [field.name for field in self.fields if field.required]
        return not self.parallel and len(names) > 1 and "label" not in names

    @property
    def reads_translations(self) -> bool:
        """Whether pairs may be in one column, `translation`: no other is named."""
        return self.parallel and not self.columns
