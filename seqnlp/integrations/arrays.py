"""What scikit-learn calls X, y, sample_weight and class_weight, as lists of texts and arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from seqnlp.errors import InputError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_TIMES = "mM"  # durations and dates, which JSON has as numbers of their unit
_MOST_BYTES = 1 << 28  # of classes that are read


class EstimatorError(InputError, ValueError):
    """Data that an estimator cannot use; a ValueError, as scikit-learn has it."""


def texts_of(given: Any) -> list[str]:
    """N texts as a list.

    Args:
        given: a list, an array, a Series, or one column of a table.

    Raises:
        EstimatorError: anything else; the message has the first that is no text.
    """
    array = hasattr(given, "__array__")
    listed = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)
    if not array and (not listed or hasattr(given, "tocsr")):
        what = "one text" if isinstance(given, str) else f"a {type(given).__name__}"
        raise EstimatorError(f"X is {what}; expected a list of texts")
    values: list[Any] = _column(given) if array else list(given)
    for number, value in enumerate(values):
        if not isinstance(value, str):
            found = f"a {type(value).__name__}"
            found += f", {value!r}" if isinstance(value, int | float | bytes) else ""
            raise EstimatorError(f"X[{number}] is {found}; expected a text")
    return [str(value) for value in values]


def _column(given: Any) -> list[Any]:
    """The values of an array or a table of one column."""
    array = np.asarray(given, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise EstimatorError(
            f"X has the shape {array.shape}; expected one column of texts, such as "
            "ColumnTransformer chooses by its name"
        )
    return list(array)


def labels_of(y: Any, count: int) -> tuple[NDArray[Any], Ints]:
    """The distinct labels, sorted, and the place of each label among them, int64 [count].

    Raises:
        EstimatorError: no labels, or another number of them. ValueError: no labels of classes.
    """
    if y is None:
        raise EstimatorError("a classifier requires y to be passed, but the target y is None")
    labels = column_or_1d(y, warn=True)
    _check_count("y", "labels", len(labels), count)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    classes, places = np.unique(labels, return_inverse=True)
    return classes, places.astype(np.int64)


def known_classes(given: Any, before: NDArray[Any] | None) -> NDArray[Any]:
    """All classes that an estimator that learns part by part will ever see, sorted.

    Args:
        given: with this call, or None.
        before: those of an earlier call.

    Raises:
        EstimatorError: they are not known, or others than before.
    """
    if given is None:
        if before is None:
            raise EstimatorError("classes must be passed on the first call to partial_fit")
        return before
    classes = np.unique(np.asarray(given))
    if before is not None and not np.array_equal(classes, before):
        raise EstimatorError(
            f"classes={classes.tolist()} is not the same as on the first call to partial_fit or "
            f"fit: {before.tolist()}"
        )
    return classes


def places_among(y: Any, classes: NDArray[Any], count: int) -> Ints:
    """The place of each label among known ones, int64 [count].

    Raises:
        EstimatorError: a label that is not among them, or see `labels_of`.
    """
    found, places = labels_of(y, count)
    known = {label: place for place, label in enumerate(classes.tolist())}
    for label in found.tolist():
        if label not in known:
            listed = ", ".join(map(repr, known))
            raise EstimatorError(f"y has {label!r}, which is not among the classes: {listed}")
    own = np.array([known[label] for label in found.tolist()], dtype=np.int64)
    return own[places]


def weights_of(sample_weight: Any, count: int) -> Floats | None:
    """Weights float64 [count]; None for none, where all examples count the same.

    Raises:
        EstimatorError: another number of them, or one that is negative or not finite.
    """
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(count, float(weights))
    if weights.ndim != 1:
        raise EstimatorError(f"sample_weight has the shape {weights.shape}; expected ({count},)")
    _check_count("sample_weight", "weights", len(weights), count)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        value = weights[wrong[0]]
        raise EstimatorError(
            f"sample_weight[{wrong[0]}] is {value:g}; expected a finite number, 0 or more"
        )
    if not weights.any():
        raise EstimatorError("sample_weight is zero for every text; nothing is left to learn from")
    return weights


def class_weights_of(
    chosen: str | Mapping[Any, float], classes: NDArray[Any], counts: Floats
) -> list[float]:
    """A weight for each class.

    Args:
        chosen: "balanced" for weights inverse to the class's share, or class to weight, 1 where
            it says nothing.
        classes: K.
        counts: float64 [K], the examples of each, or the sum of their weights.

    Raises:
        EstimatorError: another word, or a class that is not among them.
    """
    if not isinstance(chosen, Mapping):
        if not isinstance(chosen, str) or chosen != "balanced":
            raise EstimatorError(
                f"class_weight is {chosen!r}; expected 'balanced', or a mapping of class to weight"
            )
        kinds = np.count_nonzero(counts)
        return [float(counts.sum() / (kinds * count)) if count else 1.0 for count in counts]
    known = classes.tolist()
    for label, weight in chosen.items():
        if label not in known:
            listed = ", ".join(map(repr, known))
            raise EstimatorError(f"class_weight has {label!r}, which is no class of y: {listed}")
        if not isinstance(weight, Real) or not weight > 0:
            raise EstimatorError(f"class_weight[{label!r}] is {weight!r}; expected more than 0")
    return [float(chosen.get(label, 1.0)) for label in known]


def label_names(classes: NDArray[Any]) -> list[str]:
    """What a model calls the classes: as they are written, or by number where two look alike.

    >>> label_names(np.array([False, True])), label_names(np.array(["", "a"]))
    (['False', 'True'], ['0', '1'])
    """
    names = [str(label) for label in classes.tolist()]
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        return [str(number) for number in range(len(names))]
    return names


def classes_as_json(classes: NDArray[Any]) -> dict[str, Any]:
    """Classes as values that `classes_from_json` reads."""
    plain = classes.astype(np.int64) if classes.dtype.kind in _TIMES else classes
    return {"type": classes.dtype.str, "values": plain.tolist()}


def classes_from_json(said: Any, labels: Iterable[str]) -> NDArray[Any]:
    """The classes that `classes_as_json` wrote of a model with these labels.

    Raises:
        ValueError: it did not write this, or of another model.
    """
    kind, values = np.dtype(str(said["type"])), list(said["values"])
    plain = all(isinstance(value, str | int | float) for value in values)
    if kind.kind not in "biufUO" + _TIMES or not plain:
        raise ValueError("neither texts nor numbers")
    if kind.itemsize * len(values) > _MOST_BYTES:
        raise ValueError("they take more memory than any")
    classes = np.array(values, np.int64 if kind.kind in _TIMES else kind).astype(kind)
    # A class of which nothing could be learned is no label of the model.
    if classes.ndim != 1 or not set(labels) <= set(label_names(classes)):
        raise ValueError(f"they are not of the labels {', '.join(labels)}")
    return classes


def _check_count(name: str, what: str, found: int, count: int) -> None:
    if found != count:
        raise EstimatorError(
            f"{name} has {found} {what} for {count} texts: inconsistent numbers of samples"
        )
