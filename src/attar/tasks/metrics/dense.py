"""Metrics of maps, from logits for each position.

Outputs come as a network gives them; all is computed in float64. What is not known of an example counts as 0 in
functions that give one value for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attar.tasks.labels import ABSENT
from attar.tasks.metrics.classification import brier_scores, log_losses
from attar.tasks.metrics.metric import Floats, OfEach, blocks, shares


def class_maps(logits: Floats) -> NDArray[np.integer]:
    """The class that is named at each position, ``[n, height, width]``, in as few bytes as hold their numbers.

    Args:
        logits: ``[n, classes, height, width]``; of equal ones the first counts.
    """
    named = np.empty((len(logits), *logits.shape[2:]), np.min_scalar_type(max(0, logits.shape[1] - 1)))
    for rows in blocks(len(logits), math.prod(logits.shape[1:])):
        named[rows] = logits[rows].argmax(axis=1)
    return named


def pixel_accuracies(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of the positions of each map that are right, of those whose class is known.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.
    """
    return accuracies_of_maps(class_maps(logits), labels)


def accuracies_of_maps(named: NDArray[np.integer], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """`pixel_accuracies` of class maps.

    Args:
        named: ``[n, height, width]`` class numbers.
        labels: ``[n, height, width]`` class numbers.
    """
    right = ((named == labels) & (labels != ABSENT)).sum(axis=(1, 2))
    return shares(right, (labels != ABSENT).sum(axis=(1, 2)))


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
    return overlaps(class_maps(logits), labels, logits.shape[1]).image_ious()


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Positions of each class in each map, ``[n, classes]`` each, of those whose class is known.

    Attributes:
        named: Where it is named.
        true: Where it is.
        both: Where it is named and is.
    """

    named: NDArray[np.int64]
    true: NDArray[np.int64]
    both: NDArray[np.int64]

    def image_ious(self) -> NDArray[np.float64]:
        """See the function of this name."""
        there = self.true > 0
        ious = shares(self.both, self.named + self.true - self.both)
        return shares((ious * there).sum(axis=1), there.sum(axis=1))

    def class_ious(self) -> NDArray[np.float64]:
        """Intersection over union of each class in all maps together, ``[classes]``; NaN where it is nowhere."""
        both = self.both.sum(axis=0)
        unions = self.named.sum(axis=0) + self.true.sum(axis=0) - both
        return np.where(unions > 0, shares(both, unions), np.nan)


def overlaps(named: NDArray[np.integer], labels: NDArray[np.integer], classes: int) -> Overlaps:
    """Count the positions of each class in each map.

    Args:
        named: ``[n, height, width]`` class numbers.
        labels: ``[n, height, width]`` class numbers.
        classes: How many classes there are.
    """
    counts = [np.zeros((len(labels), classes), np.int64) for _ in range(3)]
    for rows in blocks(len(labels), math.prod(labels.shape[1:])):
        some, true = named[rows], labels[rows]
        known = true != ABSENT
        # One number for each map and class, so that one count does for all of them.
        firsts = classes * np.arange(len(true))[:, None, None]
        for count, values, where in (
            (counts[0], some, known),
            (counts[1], true, known),
            (counts[2], true, some == true),
        ):
            numbers = (firsts + values)[where]
            count[rows] = np.bincount(numbers, minlength=classes * len(true)).reshape(len(true), classes)
    return Overlaps(*counts)


def mean_iou(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Intersection over union of each class in all maps together, mean over the classes that are somewhere.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.

    References:
        Everingham, Van Gool, Williams, Winn, Zisserman, *The Pascal visual object classes (VOC) challenge*, 2010.
    """
    return float(np.nanmean(overlaps(class_maps(logits), labels, logits.shape[1]).class_ious()))


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


def _over_positions(of_each: OfEach, logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """The mean over the known positions of each map of a function of ``[n, classes]`` logits."""
    means = np.zeros(len(labels))
    for rows in blocks(len(labels), math.prod(logits.shape[1:])):
        some, true = logits[rows], labels[rows]
        values = of_each(np.moveaxis(some, 1, -1).reshape(-1, logits.shape[1]), true.reshape(-1))
        means[rows] = shares(values.reshape(len(true), -1).sum(axis=1), (true != ABSENT).sum(axis=(1, 2)))
    return means
