"""Metrics of classes, from logits: one label for each example.

Outputs come as a network gives them; all is computed in float64. What is not known of an example counts as 0 in
functions that give one value for each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp  # type: ignore[import-untyped]

from attar.tasks.labels import ABSENT
from attar.tasks.metrics.metric import Floats

BINS = 15
"""Bins of the calibration error, as in the paper that made it common."""


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
