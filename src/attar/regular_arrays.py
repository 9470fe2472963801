"""What users give as an array, which has one shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import Words, must


def regular_array(values: object, what: str, of: str) -> NDArray[Any]:
    """An array of what a user gives; without a copy where it is one.

    Args:
        values: An array, or lists inside of each other.
        what: What the user calls it; for messages.
        of: What it is of; likewise.

    Raises:
        BadInput: If lists in it differ in length.
    """
    if isinstance(values, np.ma.MaskedArray):
        return unmasked(values)
    try:
        return np.asarray(values)
    except ValueError as error:
        got = Words("lists of different lengths")
        raise must(what, of, "of one shape", got, "Pad or cut them to one length") from error


def unmasked(values: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """A masked array as one without a mask: where it was masked floats are NaN, and anything else is None.

    Example:
        >>> unmasked(np.ma.array([1.0, 2.0], mask=[False, True])).tolist()
        [1.0, nan]
        >>> unmasked(np.ma.array([1, 2], mask=[False, True])).tolist()
        [1, None]
    """
    masked, data = np.ma.getmaskarray(values), np.asarray(np.ma.getdata(values))
    if masked.any():
        data = data.copy() if data.dtype.kind == "f" else data.astype(object)
        data[masked] = np.nan if data.dtype.kind == "f" else None
    return data
