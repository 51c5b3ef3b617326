"""An answer while it is written: its beginning, step by step, and in the end the whole of it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks.choosing import Draft
from seqnlp.tasks.decoding import Certain, Found
from seqnlp.tasks.sequence_rows import SourceRows
from seqnlp.tasks.writing import Named, Writer, spelled
from seqnlp.types import Beginning, Prediction


def watch(writer: Writer, rows: SourceRows) -> Generator[Beginning | Prediction, None, None]:
    """A `Beginning` after each step of the search for the answer to one document, then the answer.

    Its parts are read one by one, in order. Where neighbors may be chosen in the place of what
    the model writes, nothing is certain before the end.

    Args:
        rows: of the document.
    """
    order = np.flatnonzero(~rows.blank[rows.source.documents])
    so_far = _SoFar(writer, rows)
    found: list[list[Named]] = [[] for _ in rows.source.documents]
    for place, index in enumerate(order.tolist()):
        alone = order[place : place + 1]
        searching = writer.searching(rows, alone, watched=True)
        part = _Part(slots=rows.slot_names(alone)[0], source=rows.source.names(index))
        while True:
            try:
                (certain,) = next(searching)
            except StopIteration as stop:
                (found[index],) = stop.value
                break
            yield so_far.after(part, certain)
        if place + 1 < len(order):
            so_far.end([writer.draft(one, part.source) for one in found[index]])
    yield writer.compose(rows, order, found, batch_size=1)[0]


@dataclass
class _Part:
    """What is certain of the output for one row.

    slots: what it can copy. source: its tokens.
    """

    slots: Sequence[str]
    source: Sequence[str]
    ids: list[int] = field(default_factory=list)
    weights: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, certain: Certain) -> None:
        """After another step."""
        self.ids += certain.ids
        if certain.weights is not None:
            self.weights.append(certain.weights)

    @property
    def found(self) -> Found:
        """As if it ended here."""
        weights = np.concatenate(self.weights) if self.weights else None
        return Found(ids=tuple(self.ids), score=0.0, log_probability=0.0, weights=weights)


class _SoFar:
    """Puts together what is certain of the parts of a document."""

    def __init__(self, writer: Writer, rows: SourceRows) -> None:
        self._writer, self._rows = writer, rows
        self._whole: list[Draft] = []
        self._text, self._tokens = "", 0
        self._retrieves = writer.decoding.neighbors > 0

    def end(self, drafts: Sequence[Draft]) -> None:
        """A part is over, for which these were found."""
        self._whole.append(replace(self._writer.chooser.order(drafts, [])[0], weights=None))

    def after(self, part: _Part, certain: Certain) -> Beginning:
        """The beginning with what a step has added to the part after those that are over."""
        if self._retrieves or not certain.ids:
            return Beginning(text=self._text, tokens=())
        part.add(certain)
        named = self._writer.named(self._rows, part.slots, part.found)
        # The attention has done its work in the draft.
        draft = replace(self._writer.draft(named, part.source), weights=None)
        joined = self._writer.join([*self._whole, draft])
        answer = Prediction(output=joined.text, hypotheses=(joined,))
        if self._writer.truecaser is not None:
            (source,) = self._rows.texts()
            answer = spelled(answer, source, self._writer.truecaser)
        before, self._tokens = self._tokens, len(joined.tokens)
        self._text = answer.output
        return Beginning(text=self._text, tokens=joined.tokens[before:])
