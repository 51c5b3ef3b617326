"""An estimator of numbers, for the checks of scikit-learn, which draw nothing else."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from seqnlp.integrations.sklearn import SequenceClassifier


class NumbersAsTexts(SequenceClassifier):
    """Writes each row of numbers as a text, a word a number, and checks it as scikit-learn does."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        X = validate_data(self, X) if y is None else validate_data(self, X, y)[0]
        return super().fit(written(X), y, sample_weight)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        X = validate_data(self, X, reset=not self.__sklearn_is_fitted__())
        return super().partial_fit(written(X), y, classes, sample_weight)

    def predict_proba(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict_proba(written(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = tags.input_tags.string = False
        return tags


def written(X: Any) -> list[str]:
    """A word for each number: its column, and the number in halves."""
    codes = np.clip(np.round(np.asarray(X, dtype=float) * 2), -99, 99).astype(int)
    return [
        " ".join(f"c{n}v{code}" for n, code in enumerate(row)).replace("-", "m") for row in codes
    ]
