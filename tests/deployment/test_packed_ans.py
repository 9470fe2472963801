"""Entropy coding: what goes in comes out, near the entropy, and broken bytes are told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from attar.deployment.packed.ans import LARGEST_ALPHABET, compress, expand, expand_all
from attar.errors import BadInput, CorruptFile
from attar.ops.entropy import entropy, histogram


@st.composite
def drawn(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Codes of some alphabet, with likely and unlikely ones and ones that never occur."""
    kinds = draw(st.sampled_from([1, 2, 3, 5, 16, 17, 256, 4096]))
    count = draw(st.sampled_from([0, 1, 2, 15, 16, 17, 1023, 1024, 1025, 3000]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shares = random.dirichlet(np.full(kinds, draw(st.sampled_from([0.01, 0.3, 5.0]))))
    return random.choice(kinds, count, p=shares / shares.sum()), kinds


@settings(max_examples=60, deadline=None)
@given(drawn())
def test_what_goes_in_comes_out(case: tuple[np.ndarray, int]) -> None:
    codes, kinds = case
    assert_array_equal(expand(compress(codes, kinds), kinds, len(codes)), codes)


@settings(max_examples=30, deadline=None)
@given(st.lists(drawn(), max_size=6))
def test_what_goes_in_together_comes_out(cases: list[tuple[np.ndarray, int]]) -> None:
    out = expand_all([(compress(codes, kinds), kinds, len(codes)) for codes, kinds in cases])
    for found, (codes, _) in zip(out, cases, strict=True):
        assert_array_equal(found, codes)


@pytest.mark.parametrize("kinds", [2, 3, 16, 256])
@pytest.mark.parametrize("spread", [0.1, 0.3, 2.0])
def test_takes_little_more_than_the_entropy(kinds: int, spread: float) -> None:
    shares = np.exp(-(np.linspace(-1, 1, kinds) ** 2) / spread**2)
    codes = np.random.default_rng(0).choice(kinds, 60_000, p=shares / shares.sum())
    bound = entropy(histogram(codes, range(kinds))) * len(codes) / 8
    table = (kinds * 13 + 7) // 8
    size = len(compress(codes, kinds)) - table
    # Below the entropy only by what the table says of the histogram.
    assert bound - table <= size <= 1.01 * bound + 4 * (60_000 / 1024 + 1)


def test_a_code_that_is_alone_takes_nothing() -> None:
    codes = np.full(5000, 2)
    assert len(compress(codes, 4)) < 40
    assert_array_equal(expand(compress(codes, 4), 4, 5000), codes)


def test_a_rare_code_among_many_is_kept() -> None:
    codes = np.zeros(200_000, dtype=np.int64)
    codes[[3, 77_777, 199_999]] = [1, 2, 3]
    packed = compress(codes, 4)
    assert len(packed) < 1500
    assert_array_equal(expand(packed, 4, len(codes)), codes)


def test_the_bytes_are_the_same_everywhere() -> None:
    codes = np.arange(40) % 3
    # Three frequencies of 13 bits (1366, 1365, 1365), one state, two words that it reads.
    assert compress(codes, 3).tolist() == [86, 165, 170, 84, 21, 18, 53, 149, 236, 152, 13, 0, 181]


@pytest.mark.parametrize(
    ("codes", "kinds", "message"),
    [([3], 3, "codes of compress must be from 0 to 2"), ([-1], 3, "from 0 to 2"), ([0], LARGEST_ALPHABET + 1, "kinds")],
)
def test_what_cannot_be_coded_is_refused(codes: list[int], kinds: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        compress(np.array(codes), kinds)


@pytest.fixture(scope="module")
def packed() -> np.ndarray:
    return compress(np.random.default_rng(1).choice(3, 5000, p=[0.2, 0.7, 0.1]), 3)


@pytest.mark.parametrize("cut", [1, 2, 100, 10_000])
def test_truncated_bytes_are_told(packed: np.ndarray, cut: int) -> None:
    with pytest.raises(CorruptFile, match="the coded bytes are broken: "):
        expand(packed[: max(len(packed) - cut, 0)], 3, 5000)


def test_bytes_too_many_are_told(packed: np.ndarray) -> None:
    with pytest.raises(CorruptFile, match="there are too many"):
        expand(np.concatenate([packed, np.zeros(2, np.uint8)]), 3, 5000)


def test_frequencies_that_do_not_add_up_are_told(packed: np.ndarray) -> None:
    broken = packed.copy()
    broken[0] ^= 1
    with pytest.raises(CorruptFile, match="frequencies do not add up"):
        expand(broken, 3, 5000)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("much", ["few", "many"])
def test_one_that_is_broken_takes_no_words_of_another(packed: np.ndarray, place: int, much: str) -> None:
    wrong = packed[:-2] if much == "few" else np.concatenate([packed, packed[-2:]])
    both = [(packed, 3, 5000), (packed, 3, 5000)]
    both[place] = (wrong, 3, 5000)
    with pytest.raises(CorruptFile, match=f"the coded bytes are broken: there are too {much}"):
        expand_all(both)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 255))
def test_altered_bytes_give_codes_of_the_alphabet_or_an_error(packed: np.ndarray, place: int, flip: int) -> None:
    broken = packed.copy()
    broken[place % len(broken)] ^= flip
    try:
        codes = expand(broken, 3, 5000)
    except CorruptFile:
        return
    assert codes.shape == (5000,)
    assert codes.min() >= 0
    assert codes.max() < 3
