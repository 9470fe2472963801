"""One number for each row of a matrix, by which equal rows are found."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_AT_ONCE = 1 << 20
"""Numbers that are hashed at once, about: a mapped matrix is read in blocks."""

_ODD = 0x2545F4914F6CDD1D
"""Spreads the bits of a number, of which the last ones of a round float are all 0."""


def row_hashes(rows: Float[Tensor, "rows columns"]) -> Int64[Tensor, " rows"]:
    """A hash of 64 bits for each row: the same for the same float32 numbers, where NaN is one number and -0 is 0.

    It is a sum of the numbers' bits times random odd factors modulo 2**64 (multiply-shift hashing, Dietzfelbinger et
    al. 1997): different rows have the same by chance alone; against ill will it guards nothing.

    Args:
        rows: Any numbers; they are compared as float32.

    Example:
        >>> first, second, third = row_hashes(torch.tensor([[1.0, -0.0], [1.0, 0.0], [0.0, 1.0]])).tolist()
        >>> first == second, first == third
        (True, False)
    """
    factors = torch.randint(-(2**62), 2**62, rows.shape[1:], generator=torch.Generator().manual_seed(0)) * 2 + 1
    found = torch.empty(len(rows), dtype=torch.int64)
    step = max(1, _AT_ONCE // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        block = rows[start : start + step].float() + 0.0  # which makes 0 of -0
        block[block.isnan()] = torch.nan  # there are many, and here one
        bits = block.view(torch.int32).long() * _ODD
        found[start : start + step] = ((bits ^ (bits >> 29)) * factors).sum(1)
    return found
