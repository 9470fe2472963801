"""How often a convolutional network halves the maps of an image, and by which of its layers."""

from __future__ import annotations

import math

_SMALLEST_SIDE = 3
"""Pixels of a map below which it is not halved."""

_MOST_HALVINGS = 7

_LARGE, _VERY_LARGE = 64, 128
"""Pixels of a side from which on the first layer halves by its stride, and from which on twice."""


def halvings_of(side: int) -> int:
    """How often maps are halved until 3 to 5 pixels of their shorter side are left; 2 are left of 4 and 5.

    Args:
        side: Pixels of the shorter side, at least 4.
    """
    return max(1, min(int(math.log2(side / _SMALLEST_SIDE)), _MOST_HALVINGS))


def pooled_stages(side: int, depth: int | None = None) -> tuple[list[int], list[int]]:
    """Strides and pools of one convolution after the other, of a network that halves by pooling, as early as it can.

    Full-sized maps would take most of the time: those of large images are halved by the stride of the first
    convolution, and of very large ones by its pool as well, as the networks of ImageNet do.

    Args:
        side: Pixels of the shorter side, at least 4.
        depth: Convolutions, at least 2. With fewer than the halvings need there are fewer of these; if left out, the
            last convolution is the only one that does not halve.

    Example:
        >>> pooled_stages(28), pooled_stages(96)
        (([1, 1, 1, 1], [2, 2, 2, 1]), ([2, 1, 1, 1, 1, 1], [1, 2, 2, 2, 2, 1]))
        >>> pooled_stages(224)
        ([2, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 1])
    """
    at_once, count = _at_once(side), halvings_of(side)
    later = count - max(1, at_once)
    depth = later + 2 if depth is None else depth
    strides = [2 if at_once else 1] + [1] * (depth - 1)
    pools = [1 if at_once == 1 else 2, *[2] * later, *[1] * depth]
    return strides, pools[:depth]


def strided_stages(side: int, depth: int) -> list[int]:
    """Strides of one convolution after the other, of a network that halves by these alone, as late as it can.

    Maps of large images are halved by the first convolution, and of very large ones by the second as well.

    Args:
        side: Pixels of the shorter side, at least 4.
        depth: Convolutions, at least 2.

    Example:
        >>> strided_stages(28, 4), strided_stages(96, 6), strided_stages(224, 7)
        ([1, 2, 2, 2], [2, 1, 2, 2, 2, 2], [2, 2, 1, 2, 2, 2, 2])
    """
    at_once, count = _at_once(side), min(halvings_of(side), depth)
    return [2] * at_once + [1] * (depth - count) + [2] * (count - at_once)


def _at_once(side: int) -> int:
    """How often full-sized maps are halved before anything else is done with them."""
    return (side >= _LARGE) + (side >= _VERY_LARGE)
