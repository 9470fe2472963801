"""Whether a model answers a row the same way whenever it is asked, and whatever rows are asked with it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from attar.errors import BadInput

ALONE = 4
"""How many rows are asked one by one."""


def repeat_difference(predict: Callable[[Tensor], Tensor], rows: Tensor) -> float:
    """How far two answers to the same rows are apart, as a share of the largest output (at least 1).

    Args:
        predict: From ``[n, ...]`` inputs to ``[n, ...]`` outputs.
        rows: ``[n, ...]`` inputs, n >= 1.

    Returns:
        0 for a model that answers the same; infinity where an output is finite in one answer alone, or shapes differ.

    Example:
        >>> repeat_difference(lambda rows: rows * 2, torch.ones(3, 1))
        0.0
    """
    first = predict(rows)
    return _difference(first, predict(rows)) / _scale(first)


def batch_difference(predict: Callable[[Tensor], Tensor], rows: Tensor) -> float:
    """How far the answers to the same rows are apart when these are asked with other rows, and alone.

    All rows are asked together, in the opposite order, in two parts of different size, and the first `ALONE` of them
    one by one.

    Args:
        predict: From ``[n, ...]`` inputs to ``[n, ...]`` outputs.
        rows: ``[n, ...]`` inputs, n >= 1, that should differ from each other: equal rows hide what mixes rows.

    Returns:
        The largest difference as a share of the largest output (at least 1); 0 for one row; infinity where an output is
        finite in one answer alone, the shape of the output does not follow the number of rows, or only some batches
        can be computed.

    Example:
        >>> batch_difference(lambda rows: rows * 2, torch.tensor([[0.0], [1.0]]))
        0.0
        >>> batch_difference(lambda rows: rows - rows.mean(0), torch.tensor([[0.0], [1.0]]))
        0.5
    """
    together = predict(rows)
    if together.dim() == 0 or len(together) != len(rows):
        return float("inf")
    third = len(rows) // 3
    pieces = [slice(third), slice(third, None), *(slice(one, one + 1) for one in range(min(ALONE, len(rows))))]
    # A part without rows says nothing, and not every model can be asked about it.
    asked = [(together[piece], rows[piece]) for piece in pieces if len(rows[piece])]
    asked.append((together.flip(0), rows.flip(0)))
    try:
        return max(_difference(answer, predict(some_rows)) for answer, some_rows in asked) / _scale(together)
    except (RuntimeError, ValueError, IndexError):  # what torch raises where only some batches can be computed
        return float("inf")


def _scale(outputs: Tensor) -> float:
    """The largest finite output, at least 1."""
    finite = outputs.detach().double().abs()
    return max(1.0, float(finite[finite.isfinite()].amax())) if bool(finite.isfinite().any()) else 1.0


def _difference(first: Tensor, second: Tensor) -> float:
    """The largest difference; what is infinite or NaN in both alike is no difference."""
    if first.shape != second.shape:
        return float("inf")
    one, two = first.detach().double().cpu(), second.detach().double().cpu()
    alike = (one == two) | (one.isnan() & two.isnan())
    apart = torch.where(alike, 0.0, (one - two).abs()).nan_to_num(nan=float("inf"), posinf=float("inf"))
    return float(apart.amax()) if apart.numel() else 0.0


def check_consistent(predict: Callable[[Tensor], Tensor], rows: Tensor, *, of: str, tolerance: float) -> None:
    """Refuse a model that answers at random, or otherwise with other rows in its batch.

    Where numbers are rounded within the model, a sum that is taken in another order may fall on the other side of a
    rounding, for a row here and there. So what depends on the batch must show in both halves of the rows.

    Args:
        predict: From ``[n, ...]`` inputs to ``[n, ...]`` outputs, in evaluation mode.
        rows: ``[n, ...]`` inputs, n >= 1, that should differ from each other.
        of: What the error calls the model.
        tolerance: The difference that is allowed, as a share of the largest output (at least 1).

    Raises:
        BadInput: If it answers so; the message has the size of the difference.

    Example:
        >>> check_consistent(lambda rows: rows * 2, torch.ones(3, 1), of="the student", tolerance=1e-3)
    """
    count = "the same input" if len(rows) == 1 else f"the same {len(rows)} inputs"
    apart = repeat_difference(predict, rows)
    if apart > tolerance:
        raise BadInput(
            f"{of} answers at random: asked twice about {count}, it gives outputs that differ by {_size(apart)}, where "
            f"{tolerance:g} is allowed. Drop out and add noise in training mode alone, as in "
            "functional.dropout(x, p, training=self.training)."
        )
    apart = batch_difference(predict, rows)
    if tolerance < apart < float("inf") and len(rows) >= 2 * ALONE:
        half = len(rows) // 2
        apart = min(apart, *(batch_difference(predict, some_rows) for some_rows in (rows[:half], rows[half:])))
    if apart > tolerance:
        raise BadInput(
            f"{of} gives answers that depend on the rest of the batch: {count}, asked together, in parts and one by "
            f"one, have outputs that differ by {_size(apart, predict, rows)}, where {tolerance:g} is "
            "allowed. Each row must be answered by itself: give batch normalization its running statistics, "
            "take means over other axes than the first, branch on no values, and use flatten(1) and not squeeze()."
        )


def _size(apart: float, predict: Callable[[Tensor], Tensor] | None = None, rows: Tensor | None = None) -> str:
    """The difference in words; where it is infinite, that of a part of the rows if this can be computed."""
    if apart != float("inf"):
        return f"{apart:.3g} of the largest"
    if predict is not None and rows is not None:
        some_rows = slice(len(rows) // 3, None)
        try:
            together = predict(rows)
            apart = _difference(together[some_rows], predict(rows[some_rows])) / _scale(together)
        except (RuntimeError, ValueError, IndexError):
            apart = float("inf")
    some = "" if apart in (0.0, float("inf")) else f"{apart:.3g} of the largest in a part of the rows, and by "
    return f"{some}their shape, or in being finite, as not every batch can be answered"
