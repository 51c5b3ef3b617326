"""What a task that writes knows of its training texts, beside its vocabularies and weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from seqnlp.config import Settings
from seqnlp.data.corpus import Split
from seqnlp.data.tokens import tokenize_split
from seqnlp.tasks.decoding import UsualLength
from seqnlp.tasks.neighbors import NeighborIndex
from seqnlp.tasks.writing_options import WritingOptions
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.truecase import Truecaser


@dataclass(frozen=True, kw_only=True)
class Learned:
    """outputs: how many tokens of the target's vocabulary can be generated, the first.
    length_ratio: target tokens for each source token, what characters are to words; at least 1.
    usual_length: of targets. neighbors: the examples themselves, where they are kept. truecaser:
    the letter case of targets, where it is restored.
    """

    outputs: int
    length_ratio: float = 1.0
    usual_length: UsualLength | None = None
    neighbors: NeighborIndex | None = None
    truecaser: Truecaser | None = None

    @classmethod
    def of(
        cls,
        train: Split,
        settings: Settings,
        options: WritingOptions,
        pipelines: Mapping[str, TokenPipeline],
        outputs: int,
    ) -> Self:
        """Measure train, of which a task reads the two fields that its pipelines have names of."""
        source, target = pipelines
        own, others = (
            tokenize_split(train, name, pipeline).lengths for name, pipeline in pipelines.items()
        )
        real = (own > 0) & (others > 0)
        # Sources are read up to so many tokens; ends count.
        read = own[real].clip(max=settings.text.max_tokens) + 1
        return cls(
            outputs=outputs,
            length_ratio=max(float(others.sum()) / max(float(own.sum()), 1.0), 1.0),
            usual_length=UsualLength.measured(read, others[real] + 1) if real.any() else None,
            neighbors=NeighborIndex.of(train, source, target) if options.neighbors else None,
            truecaser=(
                Truecaser.fit(
                    zip(train.column(source), train.column(target), strict=True),
                    pipelines[target].normalizers,
                )
                if options.truecase
                else None
            ),
        )

    @classmethod
    def restore(
        cls, state: Mapping[str, Any], options: WritingOptions, target: TokenPipeline
    ) -> Self:
        """What `state` was taken from; the examples of `neighbors` are still to be loaded.

        Raises:
            ValueError: a value that none of them can have.
            KeyError: the letter case is missing.
        """
        size = len(target.vocabulary or ())
        ratio, outputs = float(state.get("length_ratio", 1.0)), state.get("outputs", size)
        if not 0 < ratio < math.inf:
            raise ValueError(f"length_ratio must be positive, not {ratio}")
        if not 0 < outputs <= size:
            raise ValueError(f"outputs must be 1 to {size}, not {outputs}")
        usual, sizes = state.get("usual_length"), state.get("neighbors")
        return cls(
            outputs=outputs,
            length_ratio=ratio,
            usual_length=None if usual is None else UsualLength(**usual),
            neighbors=None if sizes is None else NeighborIndex.restore(sizes),
            truecaser=(
                Truecaser.restore(state["truecase"], target.normalizers)
                if options.truecase
                else None
            ),
        )

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        found: dict[str, Any] = {"length_ratio": self.length_ratio, "outputs": self.outputs}
        if self.usual_length is not None:
            found["usual_length"] = asdict(self.usual_length)
        if self.truecaser is not None:
            found["truecase"] = self.truecaser.state()
        if self.neighbors is not None:
            found["neighbors"] = self.neighbors.state()
        return found
