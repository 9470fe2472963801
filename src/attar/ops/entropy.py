"""How few bits the codes of a format need: the entropy of their histogram, and a Huffman code for it."""

from __future__ import annotations

import heapq
from itertools import count

import numpy as np
from jaxtyping import Integer, Num
from numpy import ndarray

from attar.errors import must


def histogram(codes: Integer[ndarray, "..."], kinds: range) -> Integer[ndarray, " kinds"]:
    """How often each code of a range occurs.

    Args:
        codes: Whole numbers within ``kinds``.
        kinds: All codes that there are.

    Raises:
        BadInput: If a code is outside the range.

    Example:
        >>> histogram(np.array([-1, 0, 0, 1]), range(-1, 2)).tolist()
        [1, 2, 1]
    """
    flat = np.asarray(codes).reshape(-1).astype(np.int64)
    if flat.size and not (kinds.start <= flat.min() and flat.max() < kinds.stop):
        ends = (int(flat.min()), int(flat.max()))
        raise must("codes", "histogram", f"from {kinds.start} to {kinds.stop - 1}", ends, "Give the format's own range")
    return np.bincount(flat - kinds.start, minlength=len(kinds))


def entropy(counts: Num[ndarray, " kinds"]) -> float:
    r"""Entropy of a histogram in bits per code: :math:`-\sum_k p_k \log_2 p_k`; 0 of an empty one.

    Args:
        counts: How often each code occurs.

    Example:
        >>> entropy(np.array([1, 2, 1]))
        1.5
    """
    present = np.asarray(counts, dtype=np.float64)
    present = present[present > 0]
    if not present.size:
        return 0.0
    shares = present / present.sum()
    return max(float(-(shares * np.log2(shares)).sum()), 0.0)


def huffman_lengths(counts: Integer[ndarray, " kinds"]) -> Integer[ndarray, " kinds"]:
    """Length in bits of each code's word in an optimal prefix code; 0 for codes that do not occur.

    A single code that occurs gets 1 bit, as words cannot be empty. Lengths obey Kraft's inequality, and their mean is
    at least the entropy and less than one bit above it (two or more codes).

    Args:
        counts: How often each code occurs.

    Example:
        >>> huffman_lengths(np.array([5, 0, 2, 1])).tolist()
        [1, 0, 2, 2]

    References:
        Huffman, *A method for the construction of minimum-redundancy codes*, 1952.
    """
    lengths = np.zeros(len(counts), dtype=np.int64)
    present = np.flatnonzero(counts)
    if len(present) == 1:
        lengths[present] = 1
        return lengths
    # The second entry settles ties, so that the lengths are the same everywhere.
    order = count()
    heap = [(int(counts[kind]), next(order), [int(kind)]) for kind in present]
    heapq.heapify(heap)
    while len(heap) > 1:
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        merged = one[2] + other[2]
        lengths[merged] += 1
        heapq.heappush(heap, (one[0] + other[0], next(order), merged))
    return lengths


def huffman_bits(counts: Integer[ndarray, " kinds"]) -> int:
    """Bits of all codes together, each written as its word of `huffman_lengths`; the code book is not counted.

    Example:
        >>> huffman_bits(np.array([5, 0, 2, 1]))
        11
    """
    return int((np.asarray(counts, dtype=np.int64) * huffman_lengths(counts)).sum())
