"""Rows as models of CatBoost take them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_catboost_takes(rows: Any, names: Iterable[int]) -> Any:
    """Rows with texts in the columns that a model of CatBoost takes for names, which may be neither floats nor missing.

    A whole number is written without a fraction, a bool as 1 or 0, and what is missing as ``nan``: so CatBoost itself
    writes them when it is fitted.

    Args:
        rows: ``[n, columns]``, a frame or an array, in the order of the model's columns.
        names: The places of these columns.

    Returns:
        The rows themselves where no column is one of names.
    """
    places = [int(one) for one in names]
    if not places:
        return rows
    if hasattr(rows, "iloc"):
        frame = rows.copy()
        for place in places:
            frame[frame.columns[place]] = _texts(frame.iloc[:, place].tolist())
        return frame
    array = np.asarray(rows).astype(object)
    for place in places:
        array[:, place] = _texts(array[:, place].tolist())
    return array


def _texts(values: list[Any]) -> NDArray[Any]:
    return np.array([_text(one) for one in values], object)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return "nan"
    integer = isinstance(value, bool | np.bool_) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if integer else str(value)
