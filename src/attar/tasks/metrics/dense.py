"""Metrics of maps, from logits for each position.

Outputs come as a network gives them; all is computed in float64. What is not known of an example counts as 0 in
functions that give one value for each.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attar.tasks.labels import ABSENT
from attar.tasks.metrics.classification import brier_scores, log_losses
from attar.tasks.metrics.metric import Floats, OfEach, shares


def pixel_accuracies(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of the positions of each map that are right, of those whose class is known.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.
    """
    known = labels != ABSENT
    return shares(((logits.argmax(axis=1) == labels) & known).sum(axis=(1, 2)), known.sum(axis=(1, 2)))


def image_ious(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Intersection over union of prediction and truth, mean over the classes that are in the map.

    A class that is predicted and not there takes from those that are, and is none of the mean: a single wrong position
    would cost as much as a whole class. Positions whose class is not known are left out; a map without a known one
    has 0.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.

    Example:
        >>> logits = np.array([[[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]])
        >>> image_ious(logits, np.array([[[0, 1, 1]]]))
        array([0.5])
    """
    overlaps, unions = _overlaps(logits, labels)
    there = np.stack([(labels == one).any(axis=(1, 2)) for one in range(logits.shape[1])], axis=1)
    return shares((shares(overlaps, unions) * there).sum(axis=1), there.sum(axis=1))


def class_ious(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Intersection over union of each class in all maps together, ``[classes]``; NaN for a class that is nowhere.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.
    """
    overlaps, unions = (counts.sum(axis=0) for counts in _overlaps(logits, labels))
    return np.where(unions > 0, shares(overlaps, unions), np.nan)


def mean_iou(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Mean of `class_ious` over the classes that are somewhere.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.

    References:
        Everingham, Van Gool, Williams, Winn, Zisserman, *The Pascal visual object classes (VOC) challenge*, 2010.
    """
    return float(np.nanmean(class_ious(logits, labels)))


def pixel_log_losses(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Negative log-likelihood of the class in nats, mean over the known positions of each map.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.
    """
    return _over_positions(log_losses, logits, labels)


def pixel_brier_scores(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """`brier_scores`, mean over the known positions of each map.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.
    """
    return _over_positions(brier_scores, logits, labels)


def _overlaps(logits: Floats, labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``[n, classes]`` each: positions that are predicted and true, and those that are either."""
    predictions, known = logits.argmax(axis=1), labels != ABSENT
    pairs = [((predictions == one) & known, labels == one) for one in range(logits.shape[1])]
    overlaps = np.stack([(mine & true).sum(axis=(1, 2)) for mine, true in pairs], axis=1)
    unions = np.stack([(mine | true).sum(axis=(1, 2)) for mine, true in pairs], axis=1)
    return overlaps, unions


_AT_ONCE = 2**22
"""Logits whose softmax is computed at once in float64."""


def _over_positions(of_each: OfEach, logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """The mean over the known positions of each map of a function of ``[n, classes]`` logits."""
    means, step = np.zeros(len(labels)), max(1, _AT_ONCE // max(1, math.prod(logits.shape[1:])))
    for start in range(0, len(labels), step):
        some, true = logits[start : start + step], labels[start : start + step]
        values = of_each(np.moveaxis(some, 1, -1).reshape(-1, logits.shape[1]), true.reshape(-1))
        means[start : start + step] = shares(
            values.reshape(len(true), -1).sum(axis=1), (true != ABSENT).sum(axis=(1, 2))
        )
    return means
