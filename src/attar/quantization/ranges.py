"""Rules for the range that a grid covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from attar.errors import must, near

Range = Literal["max", "percentile", "mse"]

_SHRINKS = 40


def check_range(rule: str, percentile: float, of: str) -> None:
    """Refuse a rule that there is not.

    Raises:
        BadInput: If there is no such rule, or the percentile is not above 50 and at most 100.
    """
    if rule not in get_args(Range):
        raise must("range", of, f"one of {', '.join(get_args(Range))}", rule, near(str(rule), get_args(Range)))
    if not 50 < percentile <= 100:
        raise must("percentile", of, "above 50 and at most 100", percentile, "99.99 is usual")


def shrunk(low: Tensor, high: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Ranges from the whole one to a fortieth of it."""
    return [(low * step / _SHRINKS, high * step / _SHRINKS) for step in range(_SHRINKS, 0, -1)]


def least_error(rows: Tensor, attempts: Sequence[Tensor]) -> Tensor:
    """Which attempt is nearest to each row in squared error; the first of equals.

    Args:
        rows: ``[groups, size]``.
        attempts: Tensors of that shape.
    """
    return torch.stack([(attempt - rows).square().sum(1) for attempt in attempts]).argmin(0)
