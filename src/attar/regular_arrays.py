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
    try:
        return np.asarray(values)
    except ValueError as error:
        got = Words("lists of different lengths")
        raise must(what, of, "of one shape", got, "Pad or cut them to one length") from error
