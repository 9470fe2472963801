"""The numbers against an independent implementation, and their distribution."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.data import draws

GOLDEN = 0x9E3779B97F4A7C15
int64s = st.integers(-(2**63), 2**63 - 1)


def next_splitmix(state: int) -> tuple[int, int]:
    """SplitMix64 as published, on Python's unbounded integers: the next state and the number it gives."""
    state = (state + GOLDEN) % 2**64
    word = state
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) % 2**64
    return state, word ^ (word >> 31)


def reference_word(seed: int, stream: int, id_: int) -> int:
    """The word of a name: seed, then stream, then id, each as so many steps of the generator."""
    _, mixed_seed = next_splitmix(seed % 2**64)
    _, start = next_splitmix((mixed_seed + (stream - 1) * GOLDEN) % 2**64)
    _, word = next_splitmix((start + (id_ - 1) * GOLDEN) % 2**64)
    return word


def test_the_reference_is_splitmix64():
    # The first numbers for the seed 1234567, as implementations of SplitMix64 in many languages agree on them.
    state, given_words = 1234567, []
    for _ in range(3):
        state, word = next_splitmix(state)
        given_words.append(word)
    assert given_words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@settings(deadline=None)
@given(seed=st.integers(-(2**70), 2**70), stream=st.integers(-3, 100), ids=st.lists(int64s, max_size=5))
def test_words_equal_the_reference(seed, stream, ids):
    words = draws.words(torch.tensor(ids, dtype=torch.int64), seed=seed, stream=stream)
    assert [word % 2**64 for word in words.tolist()] == [reference_word(seed, stream, id_) for id_ in ids]


def test_words_leave_the_ids_alone():
    ids = torch.arange(10)
    draws.words(ids, seed=1, stream=2)
    assert torch.equal(ids, torch.arange(10))


def test_every_bit_is_set_half_of_the_time():
    words = draws.words(torch.arange(40_000), seed=3, stream=0)
    bits = np.unpackbits(words.numpy().view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    # Five standard deviations of a mean of 40,000 fair bits are 0.0125.
    assert np.abs(bits - 0.5).max() < 0.0125


@pytest.mark.parametrize("lane", [0, 1, 2])
@pytest.mark.parametrize("bound", [2, 5, 57])
def test_below_is_uniform(bound, lane):
    values = draws.below(bound, draws.words(torch.arange(30_000), seed=5, stream=1), lane=lane)
    assert scipy.stats.chisquare(torch.bincount(values, minlength=bound).numpy()).pvalue > 1e-3
    assert values.min() == 0 and values.max() == bound - 1


def test_parts_of_a_word_are_independent():
    words = draws.words(torch.arange(30_000), seed=5, stream=1)
    one, other = (draws.below(5, words, lane=lane) for lane in (1, 2))
    table = torch.bincount(one * 5 + other, minlength=25).view(5, 5)
    assert scipy.stats.chi2_contingency(table.numpy()).pvalue > 1e-3


def test_normal_numbers_are_standard_normal_and_independent():
    one, other = draws.normal(draws.words(torch.arange(30_000), seed=0, stream=0))
    for values in (one, other):
        assert scipy.stats.kstest(values.numpy(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    assert abs(np.corrcoef(one**2, other**2)[0, 1]) < 0.03


def test_normal_numbers_are_finite_at_the_ends_of_the_word():
    for word in (0, -1, 2**63 - 1, -(2**63)):
        assert all(torch.isfinite(value) for value in draws.normal(torch.tensor(word)))
