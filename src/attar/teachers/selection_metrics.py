"""What a selection may go by: metrics of probabilities, or of values, that models of a library predict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scorer = Callable[[Floats, NDArray[Any]], float]
"""Predictions ``[n, classes]`` (or ``[n]``) and labels in, one number out."""

SMALLEST = 1e-7
"""Probabilities below this count as this in the log loss."""


def log_loss(predictions: Floats, labels: NDArray[Any]) -> float:
    """Mean of minus the log of the label's probability, in nats; probabilities below 1e-7 count as 1e-7."""
    return float(-np.log(np.maximum(of_label(predictions, labels), SMALLEST)).mean())


def brier(predictions: Floats, labels: NDArray[Any]) -> float:
    """Mean over examples and classes of the squared difference of probability and one-hot label.

    For two classes that is the squared error of the second one's probability.
    """
    return float(np.mean((predictions - right_predictions(predictions.shape, labels)) ** 2))


def rmse(predictions: Floats, labels: NDArray[Any]) -> float:
    """Root of the mean squared difference of probabilities and one-hot labels, or of values and true values."""
    return math.sqrt(brier(predictions, labels))


def accuracy(predictions: Floats, labels: NDArray[Any]) -> float:
    """Share of examples whose likeliest class is the label; of equally likely ones the first counts."""
    return float(np.mean(_likeliest(predictions) == labels))


def auc(predictions: Floats, labels: NDArray[Any]) -> float:
    """Area under the ROC curve of two classes: how often the second ranks above the first; ties count half."""
    return float(areas_under_roc(of_second_class(predictions)[None], labels == 1)[0])


METRICS: dict[str, Scorer] = {"log_loss": log_loss, "rmse": rmse, "brier": brier, "accuracy": accuracy, "auc": auc}
"""What a selection may go by. `log_loss`, `rmse` and `brier` are the better the lower."""


def of_label(predictions: Floats, labels: NDArray[Any]) -> Floats:
    """The probability of each row's label."""
    known = predictions if predictions.ndim == 2 else np.stack([1 - predictions, predictions], axis=1)
    given: Floats = known[np.arange(len(labels)), labels]
    return given


def right_predictions(shape: Sequence[int], labels: NDArray[Any]) -> Floats:
    """What a model that is never wrong would say, in the shape of what one says: one-hot labels, or true values."""
    if len(shape) == labels.ndim:
        return labels.astype(np.float64)
    one_hot: Floats = np.eye(shape[1])[labels]
    return one_hot


def _likeliest(predictions: Floats) -> NDArray[Any]:
    return predictions.argmax(axis=1) if predictions.ndim == 2 else predictions > 0.5


def of_second_class(predictions: Floats) -> Floats:
    """The probability of the second of two classes."""
    return predictions[:, 1] if predictions.ndim == 2 else predictions


def areas_under_roc(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Areas under the ROC curves of ``[models, n]`` scores, from the ranks of the positives; equal scores share one."""
    order = np.argsort(scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    places = np.arange(scores.shape[1], dtype=np.float64)
    new = np.ones(scores.shape, bool)
    new[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    first = np.maximum.accumulate(np.where(new, places, 0.0), axis=1)
    last = np.ones(scores.shape, bool)
    last[:, :-1] = new[:, 1:]
    ends = np.where(last, places, np.inf)[:, ::-1]
    final = np.minimum.accumulate(ends, axis=1)[:, ::-1]
    ranks = (first + final) / 2 + 1
    pluses = int(positive.sum())
    total = np.where(positive[order], ranks, 0.0).sum(axis=1)
    areas: Floats = (total - pluses * (pluses + 1) / 2) / (pluses * (len(positive) - pluses))
    return areas
