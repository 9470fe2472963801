"""The metrics of all tasks, as functions of arrays: one value for each example, or one number.

Outputs come as a network gives them, ``[n, ...]``; all is computed in float64. What is not known of an example (a label
of `ABSENT`) counts as 0 in functions that give one value for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp  # type: ignore[import-untyped]

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
