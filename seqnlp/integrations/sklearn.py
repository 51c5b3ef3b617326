"""Classifiers of texts as estimators of scikit-learn: `SequenceClassifier`."""

# ruff: noqa: N803 - scikit-learn passes X by its name

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from seqnlp.bundle import Model, load
from seqnlp.config import Settings
from seqnlp.errors import BundleError, InputError
from seqnlp.integrations import fitting
from seqnlp.integrations.arrays import (
    EstimatorError,
    class_weights_of,
    classes_as_json,
    classes_from_json,
    known_classes,
    label_names,
    labels_of,
    places_among,
    texts_of,
    weights_of,
)
from seqnlp.integrations.parameters import settings_from_parameters
from seqnlp.tasks.sentiment import SentimentTask

__all__ = ["FAILED_CHECKS", "EstimatorError", "SequenceClassifier"]

FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "an example of weight 2 counts twice in the loss, but is one row of one batch, and its "
        "words are counted once for the vocabulary"
    ),
}
"""Checks of `check_estimator` that fail, with the reason, where numbers are written as texts."""


class SequenceClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A recurrent classifier of texts, trained as by `seqnlp train`.

    X is N texts: a list, an array, a Series, or one column of a table. y is N labels of any type,
    which come back as they were. A parameter that is None is as `settings` say, or else as it is by
    default; docs/settings.md has all of them with their meaning.

    Args:
        cell, cell_options, hidden_size, layers, bidirectional, embedding_size: of the network.
        pooling, attention, evidence: of what stands above it.
        tokenizer, normalizers, min_count, ngram_buckets, max_tokens: from texts to numbers.
        epochs, batch_size, lr, ensemble, device: of the training.
        validation_share: of the examples in `fit`, to choose the epoch by; 0 trains on all of them
            for all epochs.
        class_weight: "balanced", or class to weight; see scikit-learn's `compute_class_weight`.
        settings: what else there is to say: a `Settings`, a recipe by path or name, or a mapping
            such as {"hooks.dropout.embedding": 0.2}.
        random_state: the seed. None is that of the settings, so that the same call trains the same
            model; a RandomState draws one in each `fit`.

    Attributes:
        classes_: the labels, sorted. model_: the `seqnlp.Model`.
    """

    model_: Model
    classes_: NDArray[Any]
    _state: dict[str, Any] | None
    """Where the optimizer of `partial_fit` stands."""

    def __init__(
        self,
        *,
        cell: str | None = None,
        cell_options: Mapping[str, Any] | None = None,
        hidden_size: int | None = None,
        layers: int | None = None,
        bidirectional: bool | None = None,
        embedding_size: int | None = None,
        pooling: str | Sequence[str] | None = None,
        attention: str | None = None,
        evidence: str | None = None,
        tokenizer: str | None = None,
        normalizers: str | Sequence[str] | None = None,
        min_count: int | None = None,
        ngram_buckets: int | None = None,
        max_tokens: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        ensemble: int | None = None,
        device: str | None = None,
        validation_share: float | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        settings: Settings | Mapping[str, Any] | str | os.PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.cell, self.cell_options, self.hidden_size = cell, cell_options, hidden_size
        self.layers, self.bidirectional, self.embedding_size = layers, bidirectional, embedding_size
        self.pooling, self.attention, self.evidence = pooling, attention, evidence
        self.tokenizer, self.normalizers, self.min_count = tokenizer, normalizers, min_count
        self.ngram_buckets, self.max_tokens = ngram_buckets, max_tokens
        self.epochs, self.batch_size, self.lr = epochs, batch_size, lr
        self.ensemble, self.device, self.validation_share = ensemble, device, validation_share
        self.class_weight, self.settings, self.random_state = class_weight, settings, random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train anew. Blank texts, and those of weight 0, are left out.

        Args:
            X: N texts.
            y: N labels, of at least two kinds.
            sample_weight: float [N], how much each counts in the loss.

        Raises:
            EstimatorError: texts, labels or weights that cannot be learned from.
            SettingsError: a parameter with a value that it cannot have.
            TrainingError: the training failed.
        """
        texts = texts_of(X)
        classes, labels = labels_of(y, len(texts))
        weights = weights_of(sample_weight, len(texts))
        kept = _worth_learning(texts, weights)
        counts = np.bincount(
            labels[kept], None if weights is None else weights[kept], minlength=len(classes)
        ).astype(np.float64)
        known = np.flatnonzero(counts)
        names = label_names(classes)
        if len(known) < 2:
            found = f"one class, {names[known[0]]!r}" if len(known) else "no class"
            raise EstimatorError(f"a classifier needs texts of two classes or more; y has {found}")
        changes: dict[str, Any] = {}
        if self.class_weight is not None:
            chosen = class_weights_of(self.class_weight, classes, counts)
            changes["head.class_weights"] = {names[place]: chosen[place] for place in known}
        model = fitting.fit(
            self._settings(changes),
            [texts[row] for row in kept],
            [names[labels[row]] for row in kept],
            None if weights is None else weights[kept],
            validate=self.validation_share != 0,
        )
        return self._take(model, classes)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go on for one epoch of these examples, whatever was learned before.

        The first call takes its vocabulary from its texts: words that it does not have are read by
        their character n-grams from then on. Dropout and clipping are as in `fit`; nothing is held
        out, and no epoch is chosen.

        Args:
            X, y, sample_weight: see `fit`; one class is enough.
            classes: all that there will ever be; asked for in the first call alone.

        Raises:
            EstimatorError: see `fit`, or a label that is not among the classes.
            SettingsError: see `fit`.
        """
        texts = texts_of(X)
        begun = self.__sklearn_is_fitted__()
        known = known_classes(classes, self.classes_ if begun else None)
        labels = places_among(y, known, len(texts))
        weights = weights_of(sample_weight, len(texts))
        rows, names = _worth_learning(texts, weights), label_names(known)
        learned = [texts[row] for row in rows]
        if not begun:
            if not rows:
                raise EstimatorError(
                    "the first call to partial_fit takes its vocabulary from its texts; X has none "
                    "that counts"
                )
            weighted: dict[str, Any] = {}
            if self.class_weight == "balanced":
                raise EstimatorError("class_weight 'balanced' is not known before all of y is")
            if self.class_weight is not None:
                chosen = class_weights_of(self.class_weight, known, np.ones(len(known)))
                weighted["head.class_weights"] = dict(zip(names, chosen, strict=True))
            self._take(fitting.begin(self._settings(weighted), learned, names), known)
        if rows:
            self._state = fitting.go_on(
                self.model_,
                learned,
                [names[labels[row]] for row in rows],
                None if weights is None else weights[rows],
                state=self._state,
            )
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each of N texts, [N]."""
        shares = self.predict_proba(X)
        found: NDArray[Any] = self.classes_[shares.argmax(1)]
        return found

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class, float64 [N, K], in the order of `classes_`."""
        check_is_fitted(self)
        texts, names = texts_of(X), label_names(self.classes_)
        shares = np.zeros((len(texts), len(names)))
        for row, answer in enumerate(self.model_.predict(texts)):
            assert answer.probabilities is not None
            # A class whose texts were all left out is never expected.
            shares[row] = [answer.probabilities.get(name, 0.0) for name in names]
        return shares

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """The logarithms of `predict_proba`, in nats."""
        with np.errstate(divide="ignore"):
            logs: NDArray[np.float64] = np.log(self.predict_proba(X))
        return logs

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model's folder, which `load`, `seqnlp.load` and `seqnlp predict` read.

        Raises:
            InputError: the folder cannot be written to.
        """
        check_is_fitted(self)
        self.model_.save(folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str = "cpu") -> Self:
        """The estimator of a saved model, also of one that `seqnlp train` has made.

        Fitted again, it trains by the same settings.

        Raises:
            BundleError: see `seqnlp.load`.
            InputError: a model of another task.
        """
        model = load(folder, device=device)
        if not isinstance(model.task, SentimentTask):
            raise InputError(
                f"{folder}: a model of the task {model.settings.task!r}; a classifier has "
                "'sentiment'"
            )
        labels = model.task.labels
        classes = np.array(labels)
        if "classes" in model.metrics:
            try:
                classes = classes_from_json(model.metrics["classes"], labels)
            except (KeyError, TypeError, ValueError, OverflowError, SyntaxError) as error:
                path = Path(folder) / "metrics.json"
                raise BundleError(f"{path}: damaged: no classes of this model: {error}") from error
        return cls(settings=model.settings)._take(model, classes)

    def _take(self, model: Model, classes: NDArray[Any]) -> Self:
        self.model_, self.classes_, self._state = model, classes, None
        model.metrics["classes"] = classes_as_json(classes)
        return self

    def _settings(self, changes: Mapping[str, Any]) -> Settings:
        parameters = self.get_params(deep=False)
        return settings_from_parameters(parameters, changes, where=type(self).__name__)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")


def _worth_learning(texts: Sequence[str], weights: NDArray[np.float64] | None) -> list[int]:
    """The rows of texts that are not blank and count."""
    return [
        row
        for row, text in enumerate(texts)
        if text.strip() and (weights is None or weights[row] > 0)
    ]
