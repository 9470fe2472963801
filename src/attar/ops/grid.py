"""Real numbers to the numbers of a grid: even steps, given points, powers of two.

Nothing here learns or keeps anything. What is not differentiable is left so: the straight-through gradients belong to
the formats.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional

from attar.errors import Words, must

SMALLEST = 1e-30
"""Spans below it count as no span at all: their steps would not be numbers."""

_FEW_POINTS = 40


def rounded(values: Float[Tensor, "*shape"], *, stochastic: bool = False) -> Float[Tensor, "*shape"]:
    """Whole numbers: the nearest, or drawn so that their mean is the value.

    Args:
        values: Any real numbers.
        stochastic: Round up with the probability of the fraction, by torch's global generator. Ties of the nearest go
            to the even number.

    Example:
        >>> rounded(torch.tensor([0.4, 0.5, 1.5]))
        tensor([0., 0., 2.])
    """
    if not stochastic:
        return values.round()
    # The sum of a large value and the draw would be rounded itself.
    lower = values.floor()
    return lower + (torch.rand_like(values) < values - lower)


def nearest_point(values: Float[Tensor, "*shape"], points: Float[Tensor, " points"]) -> Int[Tensor, "*shape"]:
    """The number of the nearest of some points, the lower one where two are equally near.

    Args:
        values: Any real numbers.
        points: In rising order.

    Example:
        >>> nearest_point(torch.tensor([-1.0, 0.5, 0.6, 9.0]), torch.tensor([0.0, 1.0, 2.0]))
        tensor([0, 0, 1, 2], dtype=torch.int32)
    """
    middles = (points[1:] + points[:-1]) / 2
    if len(middles) > _FEW_POINTS:
        return torch.bucketize(values, middles, out_int32=True)
    # Comparing with each is several times faster for few of them, and fastest with the answers as floats.
    values = values.detach()
    passed, above = torch.zeros_like(values), torch.empty_like(values)
    for middle in middles.detach().unbind():
        passed += torch.gt(values, middle, out=above)
    return passed.int()


def power_of_two(
    values: Float[Tensor, "*shape"], lowest: int, highest: int, *, rounding: str = "log", zero: bool = False
) -> tuple[Int[Tensor, "*shape"], Bool[Tensor, "*shape"] | None]:
    r"""The exponent of the power of two that stands for the size of each value, and which values become zero.

    With :math:`2^f \le |v| < 2^{f+1}` the exponent is f or f + 1: in the ``log`` domain f + 1 from
    :math:`2^{f+1/2}` on, the ``nearest`` in value from :math:`1.5 \cdot 2^f` on, and ``stochastic`` with probability
    :math:`|v|/2^f - 1`, whose mean is the value. Then it is clipped. Computed from the bits of the number: exact.

    Args:
        values: Any real numbers; 0 has the lowest exponent.
        lowest: Smallest exponent.
        highest: Largest exponent.
        rounding: ``"log"``, ``"nearest"`` or ``"stochastic"``.
        zero: Whether values become zero that are nearer to it than to the smallest power, in the sense of the
            rounding: below :math:`2^{lowest - 1/2}` in the log domain, below half of the smallest power in value, by
            chance when stochastic.

    Returns:
        The exponents, and a mask of what becomes zero; None without zero.

    Example:
        >>> power_of_two(torch.tensor([0.7, -0.74, 0.76, 0.0]), -7, 0)[0]
        tensor([-1,  0,  0, -7], dtype=torch.int32)
        >>> power_of_two(torch.tensor([0.7, -0.74, 0.76, 0.0]), -7, 0, rounding="nearest")[0]
        tensor([-1, -1,  0, -7], dtype=torch.int32)
    """
    size = values.abs()
    fraction, exponent = torch.frexp(size)  # size = fraction * 2 ** exponent with fraction in [0.5, 1)
    if rounding == "stochastic":
        draw = torch.rand_like(size)
        up = draw < 2 * fraction - 1
        gone = draw >= size * 2.0**-lowest
    else:
        threshold = {"log": 0.5**0.5, "nearest": 0.75}[rounding]
        up = fraction >= threshold
        gone = size < (2.0 ** (lowest - 0.5) if rounding == "log" else 2.0 ** (lowest - 1))
    exponents = torch.where(size > 0, exponent - 1 + up, lowest).clamp(lowest, highest)
    return exponents.int(), (gone | (size == 0) if zero else None)


def fraction_bits(largest: Float[Tensor, "*groups"], bits: int) -> Int[Tensor, "*groups"]:
    r"""How many of the bits of a fixed-point number are behind the point, so that ``largest`` fits.

    :math:`B - 1 - \lceil \log_2 \max |x| \rceil`: one bit for the sign, enough before the point for the largest
    value. The largest saturates by one step when it is within half a step of a power of two, and no other value does.

    Args:
        largest: Largest absolute value of each group; 0 is taken for 1.
        bits: Bits of a number in all, sign included.

    Example:
        >>> fraction_bits(torch.tensor([0.9, 1.0, 1.1, 0.2]), 8)
        tensor([7, 7, 6, 9], dtype=torch.int32)

    References:
        Gysel, Motamedi, Ghiasi, *Hardware-oriented approximation of convolutional neural networks*, 2016 (Ristretto).
    """
    fraction, exponent = torch.frexp(torch.where(largest > 0, largest, torch.ones_like(largest)))
    integer = exponent - (fraction == 0.5).int()
    return (bits - 1 - integer).int()


def passed_within(
    rows: Float[Tensor, "groups size"], low: Float[Tensor, "groups 1"], high: Float[Tensor, "groups 1"]
) -> Float[Tensor, "groups size"]:
    """The values, clipped: the gradient is that of the identity between the ends and zero beyond.

    Args:
        rows: Gradients flow here.
        low: Lower end of each group.
        high: Upper end of each group.
    """
    if len(rows) != 1:
        return rows.clamp(low.to(rows.dtype), high.to(rows.dtype))
    # The same with numbers for ends, whose gradient is computed six times faster.
    return functional.hardtanh(rows, float(low), float(high))


def power(exponents: Int[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """Two to the power of whole numbers, exactly."""
    return torch.ldexp(torch.ones_like(exponents, dtype=dtype), exponents)


def limits(
    rows: Float[Tensor, "groups size"], rule: str, percentile: float
) -> tuple[Float[Tensor, " groups"], Float[Tensor, " groups"]]:
    """The lower and upper end of what a grid has to cover; it always reaches to zero.

    Args:
        rows: One group of values a row.
        rule: ``"max"`` covers everything; ``"percentile"`` that share of the sizes on either side of zero; ``"mse"``
            is as ``"max"``: whoever searches for the smallest error begins there.
        percentile: In percent, for that rule.
    """
    if not rows.shape[1]:
        return rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
    low, high = rows.amin(1), rows.amax(1)  # Ten times faster than aminmax along a dimension.
    if rule == "percentile":
        # The value with so many per cent of the others below it; quantile() takes 16 million values at most.
        count = rows.shape[1]
        rank = min(max(round(percentile / 100 * count), 1), count)
        high = rows.kthvalue(rank, dim=1).values
        low = rows.kthvalue(count + 1 - rank, dim=1).values
    return low.clamp(max=0), high.clamp(min=0)


def check_bits(bits: object, of: str, lowest: int = 1, highest: int = 16) -> None:
    """Refuse a number of bits that the format does not have.

    Raises:
        BadInput: If it is not a whole number from ``lowest`` to ``highest``.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not lowest <= bits <= highest:
        raise must("bits", of, f"a whole number from {lowest} to {highest}", bits, "2, 4 and 8 are usual")


def check_finite(tensor: Shaped[Tensor, "..."], of: str) -> None:
    """Refuse numbers that no code can stand for.

    Raises:
        BadInput: If a value is NaN or infinite.
    """
    if not tensor.is_floating_point():
        raise must("tensor", of, "of floating-point numbers", str(tensor.dtype), "Give the weights themselves")
    # While a graph is being traced there are no values to look at.
    if torch.compiler.is_compiling() or not tensor.numel():
        return
    # One pass: a NaN, or opposite infinities, make the sum NaN. Only then is it worth counting.
    if not bool(tensor.detach().sum().isfinite()) and (bad := int((~tensor.isfinite()).sum())):
        rule = "finite everywhere"
        got = Words(f"{bad} of {tensor.numel()} values NaN or infinite")
        raise must("tensor", of, rule, got, "Repair the weights; while training, lower the learning rate")
