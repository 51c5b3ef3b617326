"""Predictions as lines of text, tables and JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator

from seqnlp.records import label_record, text_record
from seqnlp.types import Hypothesis, Prediction

FORMATS = ("text", "tsv", "jsonl")


def writer_for(layout: str, *, decodes: bool, n_best: int = 1, maps: bool = False) -> AnswerWriter:
    """What writes the answers of a task in one of `FORMATS`.

    Args:
        decodes: the answers are texts that were searched for, and no labels or numbers.
        n_best: hypotheses of each. maps: JSON has the weights of attention too.
    """
    if decodes:
        return TextWriter(layout, n_best=n_best, maps=maps)
    return LabelWriter(layout)


class AnswerWriter(ABC):
    """Writes answers one after another; the first may have a header before it."""

    def __init__(self, layout: str) -> None:
        self.layout = layout
        self.number = 0

    def lines(self, text: str, answer: Prediction) -> Iterator[str]:
        """The lines of the next answer, without their ends."""
        self.number += 1
        if self.layout == "jsonl":
            yield json.dumps(self._record(text, answer), ensure_ascii=False)
            return
        if self.layout == "tsv" and self.number == 1:
            yield "\t".join(self._header(answer))
        yield from self._rows(flat(text), answer)

    @abstractmethod
    def _record(self, text: str, answer: Prediction) -> dict[str, object]: ...

    @abstractmethod
    def _header(self, answer: Prediction) -> list[str]: ...

    @abstractmethod
    def _rows(self, text: str, answer: Prediction) -> Iterator[str]: ...


class LabelWriter(AnswerWriter):
    """text: label, probability, text. tsv: label, all probabilities, text. jsonl: the same.

    Of an answer without probabilities, output, text and what else the task says.
    """

    def _record(self, text: str, answer: Prediction) -> dict[str, object]:
        return label_record(text, answer)

    def _header(self, answer: Prediction) -> list[str]:
        if answer.probabilities is None:
            return ["output", "text"]
        return ["label", *(f"p({label})" for label in answer.probabilities), "text"]

    def _rows(self, text: str, answer: Prediction) -> Iterator[str]:
        shares = answer.probabilities
        if shares is None:
            output = one_line(answer.output)
            yield output if self.layout == "text" else f"{flat(output)}\t{text}"
        elif self.layout == "text":
            yield f"{answer.output}\t{shares.get(answer.output, 1.0):.4f}\t{text}"
        else:
            yield "\t".join([answer.output, *(f"{p:.6f}" for p in shares.values()), text])


class TextWriter(AnswerWriter):
    """text: the output alone, or with `n_best` over 1 number of the input, score and output of
    each. tsv: number, rank, score, log-probability, output, text. jsonl: with tokens. What was
    taken from the training examples has no log-probability.
    """

    def __init__(self, layout: str, *, n_best: int, maps: bool) -> None:
        super().__init__(layout)
        self.n_best, self.maps = n_best, maps

    def _record(self, text: str, answer: Prediction) -> dict[str, object]:
        return text_record(text, answer, maps=self.maps)

    def _header(self, answer: Prediction) -> list[str]:
        return ["number", "rank", "score", "log_probability", "output", "text"]

    def _rows(self, text: str, answer: Prediction) -> Iterator[str]:
        if self.layout == "text" and self.n_best == 1:
            yield one_line(answer.output)
            return
        # An empty text has an empty answer, and no hypotheses.
        empty = Hypothesis(text=answer.output, score=0.0, log_probability=0.0, tokens=())
        for rank, each in enumerate(answer.hypotheses or (empty,), start=1):
            if self.layout == "text":
                yield f"{self.number}\t{each.score:.4f}\t{flat(each.text)}"
            else:
                log = each.log_probability
                figures = f"{each.score:.6f}\t" + ("" if log is None else f"{log:.6f}")
                yield f"{self.number}\t{rank}\t{figures}\t{flat(each.text)}\t{text}"


def one_line(text: str) -> str:
    """The text with its line ends, which only characters as tokens can make, as spaces."""
    return text.replace("\r", " ").replace("\n", " ")


def flat(text: str) -> str:
    """One line without tabs."""
    return " ".join(text.split())
