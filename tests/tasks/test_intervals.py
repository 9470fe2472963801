"""Intervals: against scipy, in their symmetry, and in how often they cover."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.tasks.intervals import difference_margin, wilson


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


def test_the_margin_of_a_difference_of_roots_is_that_worked_out_by_hand():
    # Mean squares of 4 and 9, roots of 2 and 3: each error counts 1/4 and 1/6 of itself, so that the differences are
    # -1/12, 5/4, 5/3 and -5/6, with a mean of (3 - 2) / 2 and a variance of 97/96.
    teacher, student = np.array([1.0, 1.0, 4.0, 10.0]), np.array([1.0, 9.0, 16.0, 10.0])
    assert difference_margin(teacher, student, root=True) == pytest.approx(1.96 * np.sqrt(97 / 96 / 4))
    assert difference_margin(student, teacher, root=True) == difference_margin(teacher, student, root=True)
    assert difference_margin(teacher, student) == pytest.approx(1.96 * np.sqrt((64 + 144) / 4 - 25) / 2)


def test_a_model_without_error_adds_nothing_to_the_margin_of_roots():
    errors = np.array([1.0, 4.0, 4.0, 7.0])
    assert difference_margin(np.zeros(4), errors, root=True) == pytest.approx(1.96 * errors.std() / 4 / 2)
    assert difference_margin(np.zeros(4), np.zeros(4), root=True) == 0.0


def test_the_margin_of_roots_covers_their_true_difference():
    draw, inside = np.random.default_rng(0), 0
    for _ in range(400):
        common = draw.normal(size=300)
        teacher, student = np.square(common), np.square(2 * common + draw.normal(size=300))
        found = np.sqrt(student.mean()) - np.sqrt(teacher.mean())
        inside += abs(found - (np.sqrt(5) - 1)) <= difference_margin(teacher, student, root=True)
    assert 0.92 <= inside / 400 <= 0.98
