"""Intervals of figures that are measured on some examples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped]

from attar.errors import must


def wilson(successes: int, examples: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share.

    Unlike the textbook's plus-minus it stays in 0..1 and holds its level near the ends.

    Args:
        successes: How many, from 0 to ``examples``.
        examples: Of how many, at least 1.
        level: Coverage, between 0 and 1.

    Raises:
        BadInput: If a number is out of range.

    Example:
        >>> low, high = wilson(90, 100)
        >>> round(low, 4), round(high, 4)
        (0.8256, 0.9448)

    References:
        Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22, 1927.
    """
    if not 0 <= successes <= examples or examples < 1:
        raise must("successes", "wilson", "from 0 to examples, of at least 1", (successes, examples), "Count again")
    if not 0 < level < 1:
        raise must("level", "wilson", "between 0 and 1", level, "Use 0.95")
    z = float(ndtri((1 + level) / 2))
    share, weight = successes / examples, z * z / examples
    center = (share + weight / 2) / (1 + weight)
    margin = z / (1 + weight) * math.sqrt(share * (1 - share) / examples + weight / (4 * examples))
    # At the ends the interval touches 0 or 1 exactly; say so without rounding.
    return (0.0 if successes == 0 else center - margin, 1.0 if successes == examples else center + margin)


def root_mean_interval(squares: NDArray[np.float64], *, level: float = 0.95) -> tuple[float, float]:
    """Interval of the root of a mean, such as an RMSE: the roots of the ends of Student's t interval of the mean.

    Args:
        squares: ``[n]`` at least 0, at least one; of one alone both ends are its root.
        level: Coverage, between 0 and 1.

    Raises:
        BadInput: If there is none, or the level is out of range.

    Example:
        >>> low, high = root_mean_interval(np.array([1.0, 4.0, 4.0, 9.0]))
        >>> round(low, 4), round(high, 4)
        (0.0, 3.1375)
    """
    if not len(squares):
        raise must("squares", "root_mean_interval", "at least one number", 0, "Measure some examples")
    if not 0 < level < 1:
        raise must("level", "root_mean_interval", "between 0 and 1", level, "Use 0.95")
    mean, count = float(squares.mean()), len(squares)
    if count == 1:
        return math.sqrt(mean), math.sqrt(mean)
    margin = float(stdtrit(count - 1, (1 + level) / 2)) * float(squares.std(ddof=1)) / math.sqrt(count)
    return math.sqrt(max(0.0, mean - margin)), math.sqrt(mean + margin)
