"""Where the values of a regression are counted from, where float32 does not tell them apart as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from attar.estimators.rows import Kind
from attar.estimators.teachers import is_attars, predicted
from attar.tables.columns import Columns
from attar.tables.rows import take_rows

Origin = npt.NDArray[np.float64]

_FINE = 256
"""Steps of float32 within the spread of values, below which they are counted from a number among them: rounding to
steps that are 1/256 of the spread is an error of about 1/900 of it."""

_ASKED = 100
"""Rows that the teacher is asked about for it, where nothing is known of them."""


def origin_of(
    kind: Kind,
    truth: npt.NDArray[np.float64] | None,
    teacher: Any,
    columns: Columns | None,
    rows: Any,
    rows_at_once: int | None = None,
) -> Origin | None:
    """A number for each output that is taken off its values, which float32 then tells apart.

    Numbers such as times in seconds are large, and differ by little: around 1e9 float32 has steps of 64.

    Args:
        kind: Of the teacher; others than regressors, and teachers that give tensors, have none.
        truth: Values ``[rows, outputs]``; None where the teacher alone knows them.
        teacher: A fitted estimator, asked about a few rows where there is no truth.
        columns: How rows are encoded.
        rows: In the form in which estimators get them.
        rows_at_once: About how many it can be asked at once; None for any number.

    Returns:
        ``[outputs]``, 0 for those that need none; None where none of them does.

    Example:
        >>> origin_of("regressor", np.array([[1e9, 3.0], [1e9 + 10, 4.0]]), None, None, None)
        array([1.e+09, 0.e+00])
    """
    if kind != "regressor" or is_attars(teacher):
        return None
    if truth is None:
        assert columns is not None, "rows are encoded by then"
        few = take_rows(rows, np.arange(min(_ASKED, len(rows), rows_at_once or _ASKED)))
        given = np.asarray(predicted(teacher, columns, few))
        try:
            truth = given.astype(np.float64).reshape(len(given), -1)
        except (TypeError, ValueError):  # the teacher is refused with its words when it is asked
            return None
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 does not hold is refused when it is asked
        step = np.spacing(np.abs(truth).max(0).astype(np.float32)).astype(np.float64)
        coarse = step * _FINE > truth.std(0)
    origin: Origin = np.where(coarse & (truth != truth[:1]).any(0), truth.min(0), 0.0)
    return origin if bool(origin.any()) else None


def counted_from(origin: Origin | None, values: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    """Values ``[rows, outputs]`` less their origin; as they are where there is none."""
    return values if origin is None or values is None else values - origin
