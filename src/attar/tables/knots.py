"""How a network is best shown the numbers of columns: where their values lie, and which have long tails."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from attar.tables.columns import Columns

PIECES, _FEWEST, _MOST_PIECES, _ROWS = 48, 16, 1024, 64
"""Pieces of a column's range: at most, where there are many columns or few rows, of all columns together about, and the
rows that one is worth. Trees cut at any value: with 16 pieces a mimic of a boosted ensemble of 3,600 rows stayed a
quarter further from it than with 48; with 48 of 500 rows it learned these by heart."""

LONG = 10.0
"""A column has long tails where its furthest value is so many times as far from the middle as others usually are: 5 to
6 times for thousands of values of a normal distribution, and 2 for even ones."""

_CURVES, _MOST_CURVES = 4, 256
"""Functions of a column that training chooses, and of all columns together, about at most."""

_LOOKED_AT = 100_000
"""Rows that are looked at, at most."""


def with_knots(columns: Columns, matrix: Float64[np.ndarray, "rows columns"]) -> list[dict[str, Any]]:
    """The columns as ``to_json`` says them, and beside it what a network needs to be shown their numbers well.

    A column of more than two different numbers gets ``knots``, between which pieces of its range lie. One with long
    tails gets ``log``, true, and another center and scale: its median, and the median distance from it of the values
    that are not the median itself.

    Args:
        columns: What the columns are.
        matrix: Encoded rows, from which all of this comes; such as the training rows.
    """
    step = -(-len(matrix) // _LOOKED_AT)
    numbers = sum(column.kind != "nominal" for column in columns)
    pieces = pieces_for(len(matrix), numbers)
    documents = []
    for place, column in enumerate(columns):
        document = column.to_json()
        # As the network gets them: numbers that float32 cannot tell apart are one.
        values = matrix[::step, place].astype(np.float32).astype(np.float64)
        values = values[~np.isnan(values)]
        if column.kind != "nominal" and len(values):
            document |= _shown(values, pieces)
        documents.append(document)
    return documents


def curves_for(columns: Columns) -> int:
    """How many functions of each column of numbers training is to choose, so that they are worth their bytes.

    Four; of more than 64 columns fewer, and of more than 256 none.
    """
    numbers = sum(column.kind != "nominal" for column in columns)
    return min(_CURVES, _MOST_CURVES // max(numbers, 1))


def pieces_for(rows: int, columns: int) -> int:
    """Into how many pieces at most the range of each column is cut.

    Args:
        rows: Training rows.
        columns: Columns of numbers.

    Example:
        >>> pieces_for(10_000, 8), pieces_for(10_000, 40), pieces_for(500, 8)
        (48, 25, 16)
    """
    return max(_FEWEST, min(PIECES, _MOST_PIECES // max(columns, 1), rows // _ROWS))


def _shown(values: NDArray[np.float64], pieces: int) -> dict[str, Any]:
    """What `with_knots` adds to one column of numbers, of which none is missing."""
    knots = knots_of(values, pieces)
    if len(knots) < 3:
        return {}
    middle = float(np.median(values))
    away = np.abs(values - middle)
    usual = float(np.median(away[away > 0]))
    found: dict[str, Any] = {"knots": knots.tolist()}
    return found | {"log": True, "center": middle, "scale": usual} if away.max() > LONG * usual else found


def knots_of(values: NDArray[np.float64], pieces: int) -> NDArray[np.float64]:
    """Where a column's range is cut: at every value where these are few, else at quantiles.

    A value that has at least a piece's share of the rows, such as the zero of columns that are mostly zero, is a knot
    itself and does not count in the quantiles of the others, which lie closer together so.

    Args:
        values: ``[rows]`` numbers, at least one.
        pieces: How many there are at most.

    Returns:
        From 1 to ``pieces + 1`` different numbers, rising.

    Example:
        >>> knots_of(np.array([0.0] * 90 + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]), pieces=4).tolist()
        [0.0, 1.0, 4.0, 7.0, 10.0]
    """
    different, counts = np.unique(values, return_counts=True)
    if len(different) <= pieces + 1:
        return different
    frequent = different[counts * pieces >= len(values)]
    others = values[~np.isin(values, frequent)]
    shares = np.linspace(0, 1, max(2, pieces + 1 - len(frequent)))
    return np.unique(np.concatenate([frequent, np.quantile(others, shares, method="nearest")]))
