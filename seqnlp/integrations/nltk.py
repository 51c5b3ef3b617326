"""Saved models as classifiers of NLTK."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from nltk.classify.api import ClassifierI
from nltk.probability import DictionaryProbDist

from seqnlp.bundle import Model, load
from seqnlp.errors import InputError
from seqnlp.types import Prediction

Text = str | Sequence[str]
"""A text, or the words of one, as NLTK's corpora have them."""


class NltkClassifier(ClassifierI):  # type: ignore[misc]
    """A model of labels for `nltk.classify`: what is classified are texts, and no features.

    Args:
        model: a model, or its folder, or `hf:owner/name`.
        batch_size: texts that the network reads at once.

    Raises:
        InputError: the model's answers are no labels; or see `seqnlp.load`.
    """

    def __init__(self, model: Model | str | os.PathLike[str], *, batch_size: int = 64) -> None:
        self.model = model if isinstance(model, Model) else load(model)
        self.batch_size = batch_size
        self._labels: list[str] = list(self.model.task.state().get("labels", ()))
        if not self._labels:
            raise InputError(f"NltkClassifier: the task {self.model.settings.task!r} has no labels")

    def labels(self) -> list[str]:
        """The labels, in the model's order."""
        return list(self._labels)

    def classify(self, featureset: Text) -> str:
        """The label of a text."""
        return self.classify_many([featureset])[0]

    def prob_classify(self, featureset: Text) -> DictionaryProbDist:
        """The probabilities of all labels for a text."""
        return self.prob_classify_many([featureset])[0]

    def classify_many(self, featuresets: Iterable[Text]) -> list[str]:
        """The labels of texts, in their order."""
        return [answer.output for answer in self._answer(featuresets)]

    def prob_classify_many(self, featuresets: Iterable[Text]) -> list[DictionaryProbDist]:
        """The probabilities for texts, in their order."""
        return [DictionaryProbDist(dict(a.probabilities or {})) for a in self._answer(featuresets)]

    def _answer(self, texts: Iterable[Text]) -> list[Prediction]:
        """Answers in the order of the texts; those that are words apart from the others."""
        items = list(texts)
        for number, item in enumerate(items):
            if not isinstance(item, str) and not _are_words(item):
                raise InputError(
                    f"NltkClassifier: item {number}: a text or a list of words is expected, not "
                    f"{item!r:.60}; the model finds its features itself"
                )
        whole = self.model.predict(
            (item for item in items if isinstance(item, str)), batch_size=self.batch_size
        )
        words = self.model.predict_tokens(
            (item for item in items if not isinstance(item, str)), batch_size=self.batch_size
        )
        return [next(whole if isinstance(item, str) else words) for item in items]


def _are_words(item: object) -> bool:
    if isinstance(item, bytes) or not isinstance(item, Sequence):
        return False
    return all(isinstance(word, str) for word in item)
