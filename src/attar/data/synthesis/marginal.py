"""RANDOM: rows whose attributes are drawn independently of each other. A baseline that knows no dependence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from attar.errors import must
from attar.training.progress import Progress, silent

_ROWS = 1 << 14
"""Rows that are drawn at once. Another number here would be other draws."""


def marginal(
    matrix: Float64[np.ndarray, "rows columns"], *, rows: int, seed: int = 0, progress: Progress = silent
) -> Float64[np.ndarray, "made columns"]:
    """Rows whose every attribute is that of some row of a table, drawn uniformly and independently.

    Each column is spread as it is in the table, missing values (NaN) included; what columns have to do with each other
    is lost.

    Args:
        matrix: The table.
        rows: How many rows to make.
        seed: Another seed, other rows; at least 0.
        progress: Told of every row.

    Raises:
        BadInput: If the table is empty or a value is out of its range.

    Example:
        >>> marginal(np.array([[1.0, 10.0], [2.0, 20.0]]), rows=3).shape
        (3, 2)

    References:
        Bucila, Caruana, Niculescu-Mizil, *Model Compression*, KDD 2006, section 3 ("RANDOM").
    """
    return np.concatenate(list(marginal_in_chunks(matrix, rows=rows, seed=seed, progress=progress)))


def marginal_in_chunks(
    matrix: Float64[np.ndarray, "rows columns"], *, rows: int, seed: int = 0, progress: Progress = silent
) -> Iterator[NDArray[np.float64]]:
    """The same rows as `marginal`, some at a time."""
    if not matrix.size:
        raise must("matrix", "marginal", "at least one row and one column", matrix.shape, "Give rows to draw from")
    if rows < 1:
        raise must("rows", "marginal", "at least 1", rows, "Say how many rows to make")
    if seed < 0:
        raise must("seed", "marginal", "at least 0", seed, "Any whole number from 0 on will do")
    return _chunks(matrix, rows, seed, progress)


def _chunks(matrix: NDArray[np.float64], rows: int, seed: int, progress: Progress) -> Iterator[NDArray[np.float64]]:
    size, columns = matrix.shape
    with progress("draw", rows) as advance:
        for number, first in enumerate(range(0, rows, _ROWS)):
            some = min(_ROWS, rows - first)
            generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
            yield matrix[generator.integers(size, size=(some, columns)), np.arange(columns)]
            advance(some)
