"""What examples count in training, as the user says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    array: NDArray[Any] = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    remedy = "Give one number for each row, 1 for what counts as usual"
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise must(key, name, "numbers", Words(f"others ({error})"), remedy) from error
    if array.dtype.kind not in "biuf":
        raise must(key, name, "numbers", Words(f"{type(given).__name__} of {array.dtype}"), remedy)
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
