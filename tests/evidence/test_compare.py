"""Paired comparison: against enumeration, scipy's tests and sampling, and how often its claims are wrong."""

import itertools
import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attar.errors import BadInput
from attar.evidence.compare import (
    HELPED,
    HURT,
    NO_DIFFERENCE,
    gap_closed,
    mcnemar,
    paired_bootstrap,
    spread,
    verdict,
)

pairs = st.integers(1, 300).flatmap(lambda n: st.tuples(arrays(bool, n), arrays(bool, n)))


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, only_a, only_b, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_mcnemar_hand_worked():
    # One against five: heads at most 1 in 6 tosses has probability (1 + 6) / 64; two-sided 14 / 64.
    result = mcnemar(*answers(10, 1, 5, 4))
    assert (result.both, result.only_a, result.only_b, result.neither) == (10, 1, 5, 4)
    assert result.examples == 20
    assert result.p_value == pytest.approx(14 / 64, rel=1e-12)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (3, 3), (0, 1)])
def test_mcnemar_is_one_without_imbalance(only_a, only_b):
    assert mcnemar(*answers(5, only_a, only_b, 5)).p_value == 1.0


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_equals_the_binomial_test(only_a, only_b):
    p_value = mcnemar(*answers(1, only_a, only_b, 0)).p_value
    expected = scipy.stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert p_value == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("counts", [(1, 2, 1, 0), (0, 3, 0, 1), (2, 0, 1, 1), (0, 2, 2, 0), (4, 0, 0, 0)])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_bootstrap_equals_enumeration_of_all_resamples(counts, level):
    correct_a, correct_b = answers(*counts)
    differences = correct_a.astype(int) - correct_b.astype(int)
    sums = sorted(sum(draw) for draw in itertools.product(differences.tolist(), repeat=4))
    # Of 4**4 = 256 equally likely resamples, at most this many lie strictly outside at each end.
    outside = int(np.floor(256 * (1 - level) / 2 + 1e-9))
    result = paired_bootstrap(correct_a, correct_b, level=level)
    assert result.interval == (sums[outside] / 4, sums[255 - outside] / 4)
    assert result.difference == differences.mean()


def test_bootstrap_equals_sampling():
    correct_a, correct_b = answers(700, 120, 90, 90)
    rng = np.random.default_rng(0)
    draws = rng.multinomial(1000, [0.12, 0.09, 0.79], size=200_000)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / 1000, [0.025, 0.975])
    # One example is 0.001; the quantile of 200000 draws is off by less than one.
    assert paired_bootstrap(correct_a, correct_b).interval == pytest.approx((low, high), abs=0.0011)


def test_bootstrap_of_many_examples_is_normal():
    correct_a, correct_b = answers(150_000, 12_000, 10_000, 28_000)
    low, high = paired_bootstrap(correct_a, correct_b).interval
    half = 1.959964 * np.sqrt((0.11 - 0.01**2) / 200_000)
    assert (low, high) == pytest.approx((0.01 - half, 0.01 + half), abs=2e-5)


def test_bootstrap_covers_the_true_difference():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        kinds = rng.choice(4, size=300, p=[0.7, 0.12, 0.06, 0.12])
        low, high = paired_bootstrap((kinds == 0) | (kinds == 1), (kinds == 0) | (kinds == 2)).interval
        covered += low <= 0.06 <= high
    # 95% of 400 is 380, with a standard deviation of 4.4.
    assert 366 <= covered <= 395


@given(pairs)
def test_bootstrap_contains_the_difference(pair):
    result = paired_bootstrap(*pair)
    assert result.interval[0] <= result.difference <= result.interval[1]
    assert -1 <= result.interval[0] <= result.interval[1] <= 1


@given(pairs)
def test_bootstrap_does_not_depend_on_order(pair):
    order = np.random.default_rng(0).permutation(len(pair[0]))
    assert paired_bootstrap(*pair) == paired_bootstrap(pair[0][order], pair[1][order])


def test_wider_level_gives_wider_interval():
    correct = answers(70, 15, 8, 7)
    narrow, wide = (paired_bootstrap(*correct, level=level).interval for level in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@given(pairs)
def test_verdict_is_antisymmetric(pair):
    there, back = verdict(*pair), verdict(*reversed(pair))
    assert back.difference == -there.difference
    assert back.interval == (-there.interval[1], -there.interval[0])
    assert back.p_value == there.p_value
    assert back.sentence == {HELPED: HURT, HURT: HELPED, NO_DIFFERENCE: NO_DIFFERENCE}[there.sentence]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((800, 60, 20, 120), HELPED),
        ((800, 20, 60, 120), HURT),
        ((800, 42, 38, 120), NO_DIFFERENCE),
        ((990, 5, 0, 5), NO_DIFFERENCE),  # p = 2 / 32 although the bootstrap leaves out 0
        ((1000, 0, 0, 0), NO_DIFFERENCE),
    ],
)
def test_verdict_sentences(counts, sentence):
    result = verdict(*answers(*counts))
    assert result.sentence == sentence
    assert result.examples == 1000
    assert str(result).startswith(sentence)


def test_verdict_rarely_claims_a_difference_between_equals():
    rng = np.random.default_rng(2)
    claims = 0
    for _ in range(400):
        kinds = rng.choice(4, size=400, p=[0.8, 0.05, 0.05, 0.1])
        claims += verdict((kinds == 0) | (kinds == 1), (kinds == 0) | (kinds == 2)).sentence != NO_DIFFERENCE
    # At most 5% of 400, and three standard deviations.
    assert claims <= 33


def test_verdict_as_json():
    result = verdict(*answers(800, 60, 20, 120))
    document = json.loads(json.dumps(result.to_json()))
    assert document == {
        "sentence": HELPED,
        "difference": 0.04,
        "interval": list(result.interval),
        "p_value": result.p_value,
        "examples": 1000,
    }


@pytest.mark.parametrize("compare", [mcnemar, paired_bootstrap, verdict])
@pytest.mark.parametrize(("a", "b"), [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_unpaired_answers_are_refused(compare, a, b):
    with pytest.raises(BadInput, match="same examples in the same order"):
        compare(np.ones(a, bool), np.ones(b, bool))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_level_out_of_range_is_refused(level):
    with pytest.raises(BadInput, match="between 0 and 1"):
        paired_bootstrap(np.ones(3, bool), np.ones(3, bool), level=level)
    with pytest.raises(BadInput, match="between 0 and 1"):
        spread([1.0], level=level)


def test_spread_equals_the_t_interval():
    values = [0.912, 0.905, 0.921, 0.917]
    result = spread(values)
    expected = scipy.stats.t.interval(0.95, 3, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert result.interval == pytest.approx(expected, rel=1e-9)
    assert result.sd == pytest.approx(scipy.stats.tstd(values), rel=1e-12)
    assert json.loads(json.dumps(result.to_json()))["interval"] == list(result.interval)


def test_spread_of_one_seed_has_no_interval():
    result = spread([0.9])
    assert (result.mean, result.sd, result.interval, result.seeds) == (0.9, None, None, 1)
    assert result.to_json()["interval"] is None
    assert "one seed" in str(result)


def test_spread_covers_the_true_mean():
    rng = np.random.default_rng(3)
    intervals = [spread(sample.tolist()).interval for sample in rng.normal(0.9, 0.01, size=(1000, 3))]
    covered = sum(low <= 0.9 <= high for low, high in intervals)
    # 950 with a standard deviation of 6.9.
    assert 925 <= covered <= 975


@pytest.mark.parametrize("values", [[], [0.9, float("nan")]])
def test_spread_refuses_what_has_no_mean(values):
    with pytest.raises(BadInput, match="one finite number for each seed"):
        spread(values)


def test_gap_closed_hand_worked():
    # The mean control is 0.80 and the gap 0.10: the seeds close 0.02, 0.04 and 0.06 of it.
    result = gap_closed([0.79, 0.80, 0.81], [0.81, 0.84, 0.87], 0.90)
    assert result.mean == pytest.approx(0.4)
    assert result.sd == pytest.approx(0.2)
    # t of 2 degrees of freedom at 0.975 is 4.3027.
    assert result.interval == pytest.approx((0.4 - 4.3027 * 0.2 / 3**0.5, 0.4 + 4.3027 * 0.2 / 3**0.5), abs=1e-4)


def test_gap_closed_is_negative_when_distillation_hurts():
    assert gap_closed([0.8], [0.75], 0.9).mean == pytest.approx(-0.5)


@pytest.mark.parametrize("teacher", [0.8, 0.7])
def test_no_gap_to_close(teacher):
    assert gap_closed([0.8, 0.8], [0.85, 0.9], teacher) is None


@pytest.mark.parametrize(
    ("control", "student", "teacher", "match"),
    [
        ([0.8], [0.8, 0.9], 0.9, "student of gap_closed"),
        ([], [], 0.9, "student of gap_closed"),
        ([80.0], [0.8], 0.9, "control of gap_closed .* Divide percentages by 100"),
        ([0.8], [0.8], 90.0, "teacher of gap_closed .* Divide percentages by 100"),
    ],
)
def test_gap_closed_refuses(control, student, teacher, match):
    with pytest.raises(BadInput, match=match):
        gap_closed(control, student, teacher)
