"""Intervals of figures that are measured on some examples."""

from __future__ import annotations

import math
from typing import Any

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
    return _of_share(successes / examples, float(examples), level)


def mean_interval(scores: NDArray[Any], *, level: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of scores from 0 to 1, such as the share of each image that is right.

    It is Wilson's of a share, of as many examples as would spread so much if each were right or wrong: scores that vary
    little count for many of these, and scores of 0 and 1 alone count as they are. The variance has one observation more
    than the scores, right or wrong, so that a few equal scores are not taken for certain.

    Args:
        scores: ``[n]``, one for each example that is independent of the others, n at least 1.
        level: Coverage, between 0 and 1.

    Example:
        >>> low, high = mean_interval(np.array([0.9, 0.8, 1.0, 0.7, 0.9, 0.8] * 10))
        >>> round(low, 3), round(high, 3)
        (0.821, 0.875)
    """
    values = np.asarray(scores, np.float64)
    mean, count = float(values.mean()), len(values)
    most = mean * (1 - mean)
    if most <= 0:
        return wilson(count if mean >= 1 else 0, count, level=level)
    variance = (float(np.square(values - mean).sum()) + most) / (count + 1)
    return _of_share(mean, count * most / variance, level)


def _of_share(share: float, examples: float, level: float) -> tuple[float, float]:
    """Wilson's interval of a share of so many examples."""
    z = float(ndtri((1 + level) / 2))
    weight = z * z / examples
    center = (share + weight / 2) / (1 + weight)
    margin = z / (1 + weight) * math.sqrt(share * (1 - share) / examples + weight / (4 * examples))
    # At the ends the interval touches 0 or 1 exactly; say so without rounding.
    return (0.0 if share == 0 else center - margin, 1.0 if share == 1 else center + margin)


def student_interval(values: NDArray[Any], *, level: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of values that may be any numbers.

    Args:
        values: ``[n]``, at least one; of one alone both ends are it.
        level: Coverage, between 0 and 1.

    Raises:
        BadInput: If there is none, or the level is out of range.

    Example:
        >>> low, high = student_interval(np.array([1.0, 2.0, 3.0]))
        >>> round(low, 4), round(high, 4)
        (-0.4841, 4.4841)
    """
    if not len(values):
        raise must("values", "student_interval", "at least one number", 0, "Measure some examples")
    if not 0 < level < 1:
        raise must("level", "student_interval", "between 0 and 1", level, "Use 0.95")
    mean, count = float(values.mean()), len(values)
    if count == 1:
        return mean, mean
    margin = float(stdtrit(count - 1, (1 + level) / 2)) * float(values.std(ddof=1)) / math.sqrt(count)
    return mean - margin, mean + margin


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
        (0.0, 3.1269)
    """
    if not len(squares):
        raise must("squares", "root_mean_interval", "at least one number", 0, "Measure some examples")
    low, high = student_interval(squares, level=level)
    return math.sqrt(max(0.0, low)), math.sqrt(high)


def difference_margin(values_a: NDArray[Any], values_b: NDArray[Any], *, root: bool = False) -> float:
    """Half the 95% interval of the difference of two means over the same examples, or of the roots of two means.

    A root changes as what is under it does over twice the root: a model's own root, as that of the other may be far
    from it (delta method). The differences of the examples are paired.

    Args:
        values_a: ``[n]``, at least one; at least 0 where ``root``.
        values_b: ``[n]``, of the same examples in the same order.
        root: Whether roots of the means are compared.

    Example:
        >>> difference_margin(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])).__round__(4)
        0.4244
    """
    both = [np.asarray(values, np.float64) for values in (values_a, values_b)]
    if root:
        # A mean of 0 has no spread, and nothing to divide.
        both = [values / (2 * math.sqrt(float(values.mean())) or 1.0) for values in both]
    return 1.96 * float((both[0] - both[1]).std()) / math.sqrt(len(both[0]))
