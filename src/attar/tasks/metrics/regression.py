"""Metrics of values.

Outputs come as a network gives them; all is computed in float64. What is not known of an example counts as 0 in
functions that give one value for each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attar.tasks.metrics.metric import Floats, Metric


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
