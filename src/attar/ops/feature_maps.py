"""Hidden features of two networks, made comparable: channels, sizes of maps, attention.

Features are ``[batch, features]``, ``[batch, position, features]`` for sequences, and maps ``[batch, channels, height,
width]`` or ``[batch, channels, depth, height, width]``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from attar.errors import must
from attar.ops.dtypes import at_least_float32

_POOLS: dict[int, Callable[..., Tensor]] = {4: functional.adaptive_avg_pool2d, 5: functional.adaptive_avg_pool3d}


def channels_axis(features: Tensor) -> int:
    """Which axis of features holds the channels: the second one of maps, else the last one.

    Raises:
        BadInput: If they have one axis, or more than five.
    """
    if not 2 <= features.dim() <= 5:
        rule = "[batch, features], [batch, position, features], or maps [batch, channels, ...]"
        raise must("features", "a hidden layer", rule, tuple(features.shape), "Name another layer")
    return 1 if features.dim() in _POOLS else -1


def same_size(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Both features with maps of one size: along each axis the larger one is averaged down to the smaller one's.

    Args:
        one: Features of any kind.
        other: Features of the same kind; channels may differ.

    Raises:
        BadInput: If the kinds differ, or sequences have different lengths.

    Example:
        >>> one, other = same_size(torch.zeros(2, 3, 8, 8), torch.zeros(2, 5, 4, 4))
        >>> tuple(one.shape), tuple(other.shape)
        ((2, 3, 4, 4), (2, 5, 4, 4))
    """
    if one.dim() != other.dim() or (one.dim() not in _POOLS and one.shape[1:-1] != other.shape[1:-1]):
        rule = f"of the kind of the student's, {tuple(one.shape)}, but for channels and the size of maps"
        raise must("the teacher's features", "a hidden layer", rule, tuple(other.shape), "Name another layer of either")
    if one.dim() not in _POOLS or one.shape[2:] == other.shape[2:]:
        return one, other
    size = tuple(min(mine, theirs) for mine, theirs in zip(one.shape[2:], other.shape[2:], strict=True))
    return _averaged(one, size), _averaged(other, size)


def _averaged(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    if maps.shape[2:] == size:
        return maps
    return _POOLS[maps.dim()](maps, size)


def attention(features: Tensor, *, power: float = 2.0) -> Float[torch.Tensor, "batch positions"]:
    r"""Where a layer is active: :math:`\sum_c |F_c|^p` at each position, over the Euclidean length of the whole.

    Of length 1 for each example, and 0 everywhere where the layer is silent.

    Args:
        features: Maps, or ``[batch, position, features]``.
        power: p, at least 1; larger ones look at the strongest channels.

    Raises:
        BadInput: If the features have no positions, or ``power`` is less than 1.

    Example:
        >>> attention(torch.tensor([[[[3.0, 0.0]], [[0.0, 2.0]]]]).sqrt())  # squares 3 and 2 at two positions
        tensor([[0.8321, 0.5547]])

    References:
        Zagoruyko, Komodakis, *Paying More Attention to Attention*, 2017, section 3.1. arXiv:1612.03928
    """
    if not power >= 1:
        raise must("power", "attention", "at least 1", power, "2 is usual")
    axis = channels_axis(features)
    if features.dim() == 2:
        raise must("features", "attention", "maps or sequences", tuple(features.shape), "Name a convolutional layer")
    features = at_least_float32(features)
    strength = features.square() if power == 2 else features.abs().pow(power)
    # The mean rather than the sum, which overflows later and is the same after the division.
    flat = strength.mean(axis).flatten(1)
    length = flat.square().sum(1, keepdim=True)
    silent = length == 0
    return flat / length.masked_fill(silent, 1).sqrt()
