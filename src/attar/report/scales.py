"""What an axis reaches over."""

from __future__ import annotations

import math
from collections.abc import Sequence


def padded_log(values: Sequence[float]) -> tuple[float, float]:
    """A domain with air on both sides, at least a factor of three wide."""
    low, high = min(values), max(values)
    padding = max((high / low) ** 0.08, 1.15)
    if high / low < 3:
        padding = max(padding, math.sqrt(3 * low / high))
    return low / padding, high * padding
