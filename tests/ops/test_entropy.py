"""Bits per code: entropy and Huffman's lengths."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.ops.entropy import entropy, histogram, huffman_bits, huffman_lengths

QUICK = settings(deadline=None, max_examples=60)
COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=7)


@functools.cache
def best(counts: tuple[int, ...]) -> int:
    """The fewest bits of any prefix code, over every way to part the codes into two subtrees, and so on."""
    if len(counts) == 1:
        return 0
    ways = []
    for mask in range(1, 2 ** (len(counts) - 1)):
        one = tuple(c for i, c in enumerate(counts) if mask >> i & 1)
        other = tuple(c for i, c in enumerate(counts) if not mask >> i & 1)
        ways.append(best(one) + best(other))
    return sum(counts) + min(ways)


@QUICK
@given(counts=COUNTS)
def test_no_prefix_code_is_shorter(counts):
    present = tuple(sorted(c for c in counts if c))
    if len(present) > 1:
        assert huffman_bits(np.array(counts)) == best(present)


@QUICK
@given(counts=COUNTS)
def test_the_lengths_are_those_of_a_prefix_code_near_the_entropy(counts):
    lengths = huffman_lengths(np.array(counts))
    present = [n for n, c in zip(lengths.tolist(), counts, strict=True) if c]
    assert all(n == 0 for n, c in zip(lengths.tolist(), counts, strict=True) if not c)
    if not present:
        return
    kraft = sum(2.0**-n for n in present)
    assert kraft == 1 if len(present) > 1 else present == [1]
    mean = huffman_bits(np.array(counts)) / sum(counts)
    assert entropy(np.array(counts)) - 1e-9 <= mean < entropy(np.array(counts)) + 1 + 1e-9


def test_entropy_of_known_histograms():
    assert entropy(np.array([7, 7, 7, 7])) == 2
    assert entropy(np.array([0, 9])) == 0
    assert entropy(np.zeros(4)) == 0
    # H(1/4) = 1/4 * 2 + 3/4 * log2(4/3)
    assert entropy(np.array([1, 3])) == pytest.approx(0.5 + 0.75 * math.log2(4 / 3))


def test_a_histogram_counts_every_code_of_the_format():
    assert histogram(np.array([[-2, 1], [1, 1]]), range(-2, 2)).tolist() == [1, 0, 0, 3]
    assert histogram(np.zeros((0,), dtype=np.int8), range(3)).tolist() == [0, 0, 0]
    with pytest.raises(BadInput, match=r"codes of histogram must be from 0 to 2; got \(0, 3\)"):
        histogram(np.array([0, 3]), range(3))
