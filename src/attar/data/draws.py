"""Random numbers that are a function of names alone: no generator, no state, the same on any number of workers."""

from __future__ import annotations

import math

from jaxtyping import Float, Int64
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 1 << 64


def words(ids: Int64[Tensor, "*shape"], *, seed: int, stream: int) -> Int64[Tensor, "*shape"]:
    """64 random bits for each id, a function of ``(seed, stream, id)`` and of nothing else.

    The generator is SplitMix64 read at a position instead of walked: ``seed`` and ``stream`` choose the starting state,
    the id is the number of steps from there, and the finalizer scrambles the state into the word.

    Args:
        ids: What the words are named by; any integers.
        seed: Any integer; taken modulo 2**64.
        stream: Which of the many independent uses of the same seed and ids this is.

    Returns:
        Words with all 64 bits random, so that half of them are negative.

    Example:
        >>> import torch
        >>> one = words(torch.tensor([7, 8, 9]), seed=0, stream=1)
        >>> other = words(torch.tensor([9, 7]), seed=0, stream=1)
        >>> bool(one[0] == other[1] and one[2] == other[0])
        True

    References:
        Steele, Lea, Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014, figure 17.
        Salmon et al., *Parallel Random Numbers: As Easy as 1, 2, 3*, SC 2011 (the idea of counters instead of state).
    """
    start = _finalized((_finalized((seed + _GOLDEN) % _WORD) + stream * _GOLDEN) % _WORD)
    state = (ids * _signed(_GOLDEN)).add_(_signed(start))
    state.bitwise_xor_(_shifted(state, 30)).mul_(_signed(_FIRST))
    state.bitwise_xor_(_shifted(state, 27)).mul_(_signed(_SECOND))
    return state.bitwise_xor_(_shifted(state, 31))


def below(bound: int, bits: Int64[Tensor, "*shape"], *, lane: int) -> Int64[Tensor, "*shape"]:
    """Whole numbers from 0 up to ``bound`` (not included), from 21 of the 64 bits of each word.

    Args:
        bound: At most 2**16; a number's probability is then wrong by less than one part in 32.
        bits: What `words` gave.
        lane: Which bits: 0, 1 or 2. Different lanes are independent.

    Example:
        >>> import torch
        >>> below(10, torch.tensor([0, 1 << 20, (1 << 21) - 1]), lane=0)
        tensor([0, 5, 9])
    """
    assert 0 < bound <= 1 << 16 and lane in (0, 1, 2)
    return ((bits >> (21 * lane)) & ((1 << 21) - 1)).mul_(bound) >> 21


def normal(bits: Int64[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Two independent standard normal numbers (float32) from each word, by the Box-Muller transform.

    References:
        Box, Muller, *A Note on the Generation of Random Normal Deviates*, 1958.
    """
    # The upper 24 bits, moved off zero, under the logarithm; the lower 24 for the angle: float32 holds both exactly.
    radius = _shifted(bits, 40).float().add_(0.5).mul_(2.0**-24).log_().mul_(-2.0).sqrt_()
    angle = (bits & ((1 << 24) - 1)).float().mul_(2.0 * math.pi * 2.0**-24)
    return radius * angle.cos(), radius * angle.sin()


def _shifted(values: Int64[Tensor, "*shape"], places: int) -> Int64[Tensor, "*shape"]:
    """The 64-bit words moved right, with zeros (not the sign) moved in."""
    return (values >> places).bitwise_and_((1 << (64 - places)) - 1)


def _finalized(state: int) -> int:
    """SplitMix64's finalizer for one Python integer in ``0 .. 2**64-1``."""
    state = (state ^ (state >> 30)) * _FIRST % _WORD
    state = (state ^ (state >> 27)) * _SECOND % _WORD
    return state ^ (state >> 31)


def _signed(word: int) -> int:
    """The int64 whose bits are those of an unsigned word."""
    return word - _WORD if word >> 63 else word
