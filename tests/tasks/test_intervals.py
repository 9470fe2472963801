"""Intervals: against scipy, in their symmetry, and in how often they cover."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.tasks.intervals import wilson


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.5, 0.95]))
def test_wilson_equals_scipy(counts, level):
    successes, examples = counts
    expected = scipy.stats.binomtest(successes, examples).proportion_ci(level, method="wilson")
    assert wilson(successes, examples, level=level) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_share_and_mirrors(counts):
    successes, examples = counts
    low, high = wilson(successes, examples)
    assert 0 <= low <= successes / examples <= high <= 1
    assert wilson(examples - successes, examples) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_wilson_covers_the_true_share(share):
    draws = np.random.default_rng(0).binomial(500, share, size=2000)
    intervals = {int(k): wilson(int(k), 500) for k in np.unique(draws)}
    covered = np.mean([intervals[int(k)][0] <= share <= intervals[int(k)][1] for k in draws])
    # The exact coverage of the discrete counts lies within 1.5 points of 95%.
    assert covered == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("successes", "examples"), [(-1, 10), (11, 10), (0, 0)])
def test_wilson_refuses_impossible_counts(successes, examples):
    with pytest.raises(BadInput, match="successes of wilson"):
        wilson(successes, examples)
