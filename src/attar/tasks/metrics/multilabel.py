"""Metrics of labels of which each holds or not, from the log-odds of each.

Outputs come as a network gives them; all is computed in float64. What is not known of an example counts as 0 in
functions that give one value for each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from attar.tasks.labels import ABSENT
from attar.tasks.metrics.metric import Floats, shares


def label_accuracies(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of the known labels that are told right: yes where the logit is above 0.

    Args:
        logits: ``[n, labels]``.
        labels: ``[n, labels]`` of 1, 0 and `ABSENT`.
    """
    known = labels != ABSENT
    return shares((((logits > 0) == (labels == 1)) & known).sum(axis=1), known.sum(axis=1))


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
    return np.where(either > 0, shares(both, either), known.any(axis=1).astype(np.float64))


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
    return shares((losses * known).sum(axis=1), known.sum(axis=1))


def binary_brier_scores(logits: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Squared difference of a label's probability and the label, mean over the known ones of each example.

    Args:
        logits: ``[n, labels]``.
        labels: ``[n, labels]`` of 1, 0 and `ABSENT`.
    """
    known = labels != ABSENT
    errors = np.square(expit(logits.astype(np.float64)) - labels)
    return shares((errors * known).sum(axis=1), known.sum(axis=1))
