"""The metrics of all tasks, as functions of arrays: one value for each example, or one number.

Outputs come as a network gives them, ``[n, ...]``; all is computed in float64. What is not known of an example (a label
of `ABSENT`) counts as 0 in functions that give one value for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp  # type: ignore[import-untyped]

from attar.tasks.labels import ABSENT

BINS = 15
"""Bins of the calibration error, as in the paper that made it common."""

Floats = NDArray[np.floating]
Unit = Literal["share", "nats", "number", "target"]
"""What a figure is counted in: a share of 1, which people read in percent; nats; a plain number; what is predicted."""


OfEach = Callable[[Any, Any], NDArray[Any]]
"""Outputs ``[n, ...]`` and labels ``[n, ...]`` in, one value for each example out, floats or bools."""

OfAll = Callable[[Any, Any], float]
"""The same in, all labels known, and one number out."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure by which models are judged, and what a reader has to know of it.

    Attributes:
        name: The key under which evidence has it, and by which a recipe chooses.
        title: What tables and charts call it.
        higher_is_better: Whether the larger of two is the better one.
        unit: What it is counted in.
        of_each: Its value for each example, whose mean it is; None for what is defined for all examples together.
        root: Whether it is the root of that mean.
        of_all: Its value for all examples together; None where it is a mean.
    """

    name: str
    title: str
    higher_is_better: bool
    unit: Unit
    of_each: OfEach | None = None
    root: bool = False
    of_all: OfAll | None = None

    def figure(self, outputs: Floats, labels: NDArray[Any]) -> float:
        """The figure of some examples, at least one.

        Args:
            outputs: ``[n, ...]``.
            labels: ``[n, ...]``, all known.
        """
        if self.of_all is not None:
            return self.of_all(outputs, labels)
        assert self.of_each is not None, "a metric is a mean, or one number for all"
        mean = self.of_each(outputs, labels).mean()
        return float(np.sqrt(mean) if self.root else mean)

    def scores(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[Any]:
        """Its value for each example, turned so that higher is better: bools as they are, errors with a minus.

        Args:
            outputs: ``[n, ...]``.
            labels: ``[n, ...]``.
        """
        assert self.of_each is not None, f"{self.name} is not a mean over examples"
        values = self.of_each(outputs, labels)
        return values if self.higher_is_better else -values

    def to_json(self) -> dict[str, Any]:
        """What a reader has to know, as plain values."""
        return {
            "name": self.name,
            "title": self.title,
            "higher_is_better": self.higher_is_better,
            "unit": self.unit,
        }


# -- classes, from logits ----------------------------------------------------------------------------------------------


def log_probabilities(logits: Floats) -> NDArray[np.float64]:
    """Logarithms of the softmax over the classes, ``[n, classes]``.

    Args:
        logits: ``[n, classes]``.
    """
    scores = logits.astype(np.float64)
    logs: NDArray[np.float64] = scores - logsumexp(scores, axis=1, keepdims=True)
    return logs


def is_right(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether the first of the largest logits is the label's; no where the label is not known.

    Args:
        logits: ``[n, classes]``, or ``[n, position, classes]``.
        labels: ``[n]`` class numbers, or ``[n, position]``.
    """
    right: NDArray[np.bool_] = logits.argmax(axis=-1) == labels
    return right


def log_losses(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Negative log-likelihood of the label in nats.

    Args:
        logits: ``[n, classes]``.
        labels: ``[n]`` class numbers.
    """
    known = labels != ABSENT
    of_label = log_probabilities(logits)[np.arange(len(labels)), np.where(known, labels, 0)]
    return np.where(known, -of_label, 0.0)


def brier_scores(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Squared difference of probabilities and one-hot label, mean over the classes.

    For two classes that is the squared error of the positive one's probability, whose root over the examples is what
    Bucila, Caruana, Niculescu-Mizil, *Model Compression*, 2006, report.

    Args:
        logits: ``[n, classes]``.
        labels: ``[n]`` class numbers.

    Example:
        >>> brier_scores(np.log([[0.75, 0.25]]), np.array([0]))
        array([0.0625])

    References:
        Brier, *Verification of forecasts expressed in terms of probability*, 1950.
    """
    known = labels != ABSENT
    errors = np.exp(log_probabilities(logits))
    errors[np.arange(len(errors)), np.where(known, labels, 0)] -= 1.0
    squared: NDArray[np.float64] = np.square(errors).mean(axis=1)
    return np.where(known, squared, 0.0)


def calibration_error(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Mean gap between confidence and accuracy over bins (0, 1/BINS], ..., weighted by their examples, in 0..1.

    Args:
        logits: ``[n, classes]``.
        labels: ``[n]`` class numbers, all known.

    References:
        Guo, Pleiss, Sun, Weinberger, *On calibration of modern neural networks*, 2017, equation 3. arXiv:1706.04599
    """
    confidence = np.exp(log_probabilities(logits).max(axis=1))
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    # Within a bin, examples times |accuracy - mean confidence| is the absolute sum of the gaps.
    gaps = np.bincount(bins, weights=is_right(logits, labels) - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


# -- labels of which any may hold, from a logit for each ---------------------------------------------------------------


def label_accuracies(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of the known labels that are told right: yes where the logit is above 0.

    Args:
        logits: ``[n, labels]``.
        labels: ``[n, labels]`` of 1, 0 and `ABSENT`.
    """
    known = labels != ABSENT
    return _shares((((logits > 0) == (labels == 1)) & known).sum(axis=1), known.sum(axis=1))


def f1_scores(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """F1 of each example: twice the labels that are rightly named over those named and those that hold.

    It is 1 where nothing is named and nothing holds, and 0 where nothing is known.

    Args:
        logits: ``[n, labels]``.
        labels: ``[n, labels]`` of 1, 0 and `ABSENT`.

    Example:
        >>> f1_scores(np.array([[3.0, 2.0, -1.0]]), np.array([[1, 0, 0]])).round(4)
        array([0.6667])
    """
    known = labels != ABSENT
    named, holds = (logits > 0) & known, labels == 1
    both, either = 2 * (named & holds).sum(axis=1), named.sum(axis=1) + holds.sum(axis=1)
    return np.where(either > 0, _shares(both, either), known.any(axis=1).astype(np.float64))


def micro_f1(logits: Floats, labels: NDArray[np.integer]) -> float:
    """F1 of all known labels of all examples together; 1 where nothing is named and nothing holds.

    Args:
        logits: ``[n, labels]``.
        labels: ``[n, labels]`` of 1, 0 and `ABSENT`.
    """
    named, holds = (logits > 0) & (labels != ABSENT), labels == 1
    either = int(named.sum() + holds.sum())
    return 2 * int((named & holds).sum()) / either if either else 1.0


def exact_matches(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether all known labels are told right; no where none is known.

    Args:
        logits: ``[n, labels]``.
        labels: ``[n, labels]`` of 1, 0 and `ABSENT`.
    """
    known = labels != ABSENT
    exact: NDArray[np.bool_] = (((logits > 0) == (labels == 1)) | ~known).all(axis=1) & known.any(axis=1)
    return exact


def binary_log_losses(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Negative log-likelihood of a label in nats, mean over the known ones of each example.

    Args:
        logits: ``[n, labels]``.
        labels: ``[n, labels]`` of 1, 0 and `ABSENT`.
    """
    known, scores = labels != ABSENT, logits.astype(np.float64)
    losses = np.logaddexp(0.0, np.where(labels == 1, -scores, scores))
    return _shares((losses * known).sum(axis=1), known.sum(axis=1))


def binary_brier_scores(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Squared difference of a label's probability and the label, mean over the known ones of each example.

    Args:
        logits: ``[n, labels]``.
        labels: ``[n, labels]`` of 1, 0 and `ABSENT`.
    """
    known = labels != ABSENT
    errors = np.square(expit(logits.astype(np.float64)) - labels)
    return _shares((errors * known).sum(axis=1), known.sum(axis=1))


def _shares(counts: NDArray[Any], totals: NDArray[Any]) -> NDArray[np.float64]:
    """Counts as shares of their totals; 0 where the total is 0."""
    shares: NDArray[np.float64] = counts / np.maximum(totals, 1)
    return shares


# -- maps, from logits for each position -------------------------------------------------------------------------------


def pixel_accuracies(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of the positions of each map that are right, of those whose class is known.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.
    """
    known = labels != ABSENT
    return _shares(((logits.argmax(axis=1) == labels) & known).sum(axis=(1, 2)), known.sum(axis=(1, 2)))


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
    return _shares((_shares(overlaps, unions) * there).sum(axis=1), there.sum(axis=1))


def class_ious(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Intersection over union of each class in all maps together, ``[classes]``; NaN for a class that is nowhere.

    Args:
        logits: ``[n, classes, height, width]``.
        labels: ``[n, height, width]`` class numbers.
    """
    overlaps, unions = (counts.sum(axis=0) for counts in _overlaps(logits, labels))
    return np.where(unions > 0, _shares(overlaps, unions), np.nan)


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
        means[start : start + step] = _shares(
            values.reshape(len(true), -1).sum(axis=1), (true != ABSENT).sum(axis=(1, 2))
        )
    return means


# -- values ------------------------------------------------------------------------------------------------------------


def squared_errors(outputs: Floats, values: Floats) -> NDArray[np.float64]:
    """Squared difference of outputs and true values, mean over those of the example that are known.

    Args:
        outputs: ``[n, ...]``.
        values: ``[n, ...]``, NaN where not known.

    Example:
        >>> squared_errors(np.array([[2.0, 1.0]]), np.array([[1.0, 3.0]]))
        array([2.5])
    """
    return _mean_of_known(np.square(outputs.astype(np.float64) - values))


def absolute_errors(outputs: Floats, values: Floats) -> NDArray[np.float64]:
    """Absolute difference of outputs and true values, mean over those of the example that are known.

    Args:
        outputs: ``[n, ...]``.
        values: ``[n, ...]``, NaN where not known.

    Example:
        >>> absolute_errors(np.array([[2.0, 1.0]]), np.array([[1.0, 3.0]]))
        array([1.5])
    """
    return _mean_of_known(np.abs(outputs.astype(np.float64) - values))


def _mean_of_known(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over all but the first axis, without NaN; 0 where there is nothing else."""
    flat = errors.reshape(len(errors), -1)
    known = ~np.isnan(flat)
    means: NDArray[np.float64] = np.where(known, flat, 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    return means


def r2(outputs: Floats, values: Floats) -> float:
    """Share of the variance of the true values that outputs explain, mean over the outputs; 1 is all of it.

    An output that never varies counts 1 where it is met exactly and 0 otherwise.

    Args:
        outputs: ``[n, outputs]``.
        values: ``[n, outputs]``, NaN where not known; of each output at least one is.
    """
    known = ~np.isnan(values)
    counts = np.maximum(1, known.sum(0))
    truth = np.where(known, values, 0.0).astype(np.float64)
    errors = np.where(known, np.square(outputs - truth), 0.0).sum(0) / counts
    spread = np.where(known, np.square(truth - truth.sum(0) / counts), 0.0).sum(0) / counts
    share = np.where(spread > 0, 1 - errors / np.where(spread > 0, spread, 1.0), (errors == 0).astype(float))
    return float(share[known.any(0)].mean())


RMSE_OF_VALUES = Metric(
    name="rmse", title="RMSE", higher_is_better=False, unit="target", of_each=squared_errors, root=True
)
"""Root of the mean squared difference of outputs and true values."""
