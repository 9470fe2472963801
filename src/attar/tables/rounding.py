"""Large numbers that float32, in which networks compute, does not tell apart."""

from __future__ import annotations

import logging

import numpy as np
from jaxtyping import Float64

from attar.tables.columns import Columns

log = logging.getLogger(__name__)

EXACT_IN_FLOAT32 = 2**24
"""Whole numbers up to this size are exact in float32."""

_LOST = 0.01
"""Share of the different values of a column that become one with others, from which on that is told."""


def warn_of_rounding(columns: Columns, matrix: Float64[np.ndarray, "rows columns"]) -> None:
    """Log which columns have numbers of which more than one in a hundred become one with others in float32.

    Numbers such as ids and times in seconds are large, and differ by little.

    Args:
        columns: What they are.
        matrix: Encoded rows: all, or the first of many.
    """
    for place, column in enumerate(columns):
        if column.kind not in ("integer", "number") or column.low is None or column.high is None:
            continue
        largest = max(abs(column.low), abs(column.high))
        if largest <= EXACT_IN_FLOAT32:
            continue
        numbers = matrix[~np.isnan(matrix[:, place]), place]
        different, left = len(np.unique(numbers)), len(np.unique(numbers.astype(np.float32)))
        if left < (1 - _LOST) * different:
            log.warning(
                "column %r has numbers up to %s, which float32, in which networks compute, keeps in steps of %g: of %s "
                "different ones %s are left. Subtract the smallest of them, leave the column out if it is an id, or "
                "list it in nominal if its numbers are names",
                column.name,
                f"{largest:,.0f}",
                float(np.spacing(np.float32(largest))),
                f"{different:,}",
                f"{left:,}",
            )
