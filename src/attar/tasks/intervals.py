"""Intervals of figures that are measured on some examples."""

from __future__ import annotations

import math

from scipy.special import ndtri  # type: ignore[import-untyped]

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
