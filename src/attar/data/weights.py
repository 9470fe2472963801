"""What examples count in training, as the user says it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attar.data.values import numbers_of
from attar.errors import Words, must


def weights_of(key: str, name: str, given: object, rows: int) -> Tensor:
    """What each example counts, ``[rows]`` float32, with a mean of 1.

    Args:
        key: What the user calls it.
        name: What it is of.
        given: ``[rows]`` numbers, none below 0, in any unit: weights of 2 and 1 are those of 20 and 10.
        rows: How many there must be.

    Raises:
        BadInput: If they are anything else, or all of them are 0.
    """
    remedy = "Give one number for each row, 1 for what counts as usual"
    array = numbers_of(key, name, given, "numbers", remedy)
    if array.shape != (rows,):
        raise must(key, name, f"[{rows}], one for each row", tuple(array.shape), remedy)
    weights = array.astype(np.float64)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise must(key, name, "finite and at least 0", Words(f"{float(weights[row])} in row {row}"), remedy)
    mean = float(weights.mean()) if rows else 0.0
    if mean <= 0:
        raise must(
            key, name, "above zero for a row at least", Words("0 for all"), "Leave it out, or give the rows weight"
        )
    return torch.from_numpy((weights / mean).astype(np.float32))
