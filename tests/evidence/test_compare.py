"""Paired comparison: against enumeration, scipy's tests and sampling, and how often its claims are wrong."""

import json
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
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
    paired_difference,
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


def score(wins: int, losses: int, examples: int, difference: float) -> float:
    """Tango's score statistic, the constrained probability of a loss found by brute force on the likelihood."""
    same = examples - wins - losses

    def minus_log_likelihood(lost: float) -> float:
        return -float(
            np.sum(scipy.special.xlogy([wins, losses, same], [lost + difference, lost, 1 - 2 * lost - difference]))
        )

    low, high = max(0.0, -difference), (1 - difference) / 2
    lost = scipy.optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    variance = examples * (2 * lost + difference - difference**2)
    return (wins - losses - examples * difference) / np.sqrt(variance)


@pytest.mark.parametrize(("wins", "losses", "examples"), [(15, 5, 100), (5, 15, 100), (120, 90, 1000), (10, 0, 40)])
def test_the_interval_ends_where_the_score_test_begins_to_reject(wins, losses, examples):
    low, high = paired_difference(*answers(examples - wins - losses, wins, losses, 0)).interval
    ends = [(low, 1.959964), (high, -1.959964)]
    # The exact interval may be the wider one at an end; then the score has gone beyond.
    reached = [score(wins, losses, examples, end) / limit for end, limit in ends]
    assert all(one >= 1 - 1e-3 for one in reached)
    assert min(reached) == pytest.approx(1, abs=1e-3)


def test_the_interval_of_a_published_table():
    # Tango 1998, section 3: 44 pairs with 0 and 1 that differ; his 95% interval of the difference is -0.119 to 0.059.
    low, high = paired_difference(*answers(43, 0, 1, 0)).interval
    assert low == pytest.approx(-0.118, abs=2e-3)
    assert high >= 0.059


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_interval_leaves_out_zero_exactly_when_the_test_rejects(level):
    """All small tables."""
    for examples in (1, 5, 9, 18):
        for only_a in range(examples + 1):
            for only_b in range(examples + 1 - only_a):
                pair = answers(examples - only_a - only_b, only_a, only_b, 0)
                low, high = paired_difference(*pair, level=level).interval
                assert (low > 0 or high < 0) == (mcnemar(*pair).p_value < 1 - level), (examples, only_a, only_b)


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 20_000))
def test_verdict_and_interval_agree_on_large_tables(only_a, only_b, both):
    result = verdict(*answers(both + 1, only_a, only_b, 0))
    outside = result.interval[0] > 0 or result.interval[1] < 0
    assert outside == (result.p_value < 0.05) == (result.sentence != NO_DIFFERENCE)


def test_interval_of_many_examples_is_normal():
    correct_a, correct_b = answers(150_000, 12_000, 10_000, 28_000)
    low, high = paired_difference(correct_a, correct_b).interval
    half = 1.959964 * np.sqrt((0.11 - 0.01**2) / 200_000)
    assert (low, high) == pytest.approx((0.01 - half, 0.01 + half), abs=2e-5)


@pytest.mark.parametrize(("shares", "examples"), [((0.7, 0.12, 0.06, 0.12), 300), ((0.8, 0.15, 0.0, 0.05), 200)])
def test_interval_covers_the_true_difference(shares, examples):
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        kinds = rng.choice(4, size=examples, p=shares)
        low, high = paired_difference((kinds == 0) | (kinds == 1), (kinds == 0) | (kinds == 2)).interval
        covered += low <= shares[1] - shares[2] <= high
    # 95% of 300 is 285, with a standard deviation of 3.8; the wider of two may cover more.
    assert covered >= 273


@given(pairs)
def test_interval_contains_the_difference_and_has_a_width(pair):
    result = paired_difference(*pair)
    assert -1 <= result.interval[0] <= result.difference <= result.interval[1] <= 1
    assert result.interval[0] < result.interval[1]


@given(pairs)
def test_interval_does_not_depend_on_order(pair):
    order = np.random.default_rng(0).permutation(len(pair[0]))
    assert paired_difference(*pair) == paired_difference(pair[0][order], pair[1][order])


def test_wider_level_gives_wider_interval():
    correct = answers(70, 15, 8, 7)
    narrow, wide = (paired_difference(*correct, level=level).interval for level in (0.5, 0.99))
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
        ((990, 5, 0, 5), NO_DIFFERENCE),  # p = 2 / 32
        ((322, 20, 9, 8), NO_DIFFERENCE),  # +3.06 points of 359, p = 0.06: the bootstrap's interval would leave out 0
        ((1000, 0, 0, 0), NO_DIFFERENCE),
    ],
)
def test_verdict_sentences(counts, sentence):
    result = verdict(*answers(*counts))
    assert result.sentence == sentence
    assert result.examples == sum(counts)
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
        "seeds": 1,
    }


def seeds_of(gain: float, seeds: int, examples: int, rng: np.random.Generator, spread_of_seeds: float = 0.0):
    """Students and baselines of some seeds: harder and easier examples, and a gain that differs from seed to seed."""
    hard = rng.uniform(size=examples)
    gains = gain + spread_of_seeds * rng.normal(size=(seeds, 1))
    baseline, student = rng.uniform(size=(2, seeds, examples))
    return student < 0.95 - 0.3 * hard + gains, baseline < 0.95 - 0.3 * hard


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 10**6), st.sampled_from([-0.5, -0.1, 0.0, 0.1, 0.5]))
def test_verdict_over_seeds_and_its_interval_agree(seeds, examples, seed, gain):
    pair = seeds_of(gain, seeds, examples, np.random.default_rng(seed))
    there, back = verdict(*pair), verdict(*reversed(pair))
    outside = there.interval[0] > 0 or there.interval[1] < 0
    assert outside == (there.p_value < 0.05) == (there.sentence != NO_DIFFERENCE)
    assert there.interval[0] <= there.difference <= there.interval[1]
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]))
    assert (there.seeds, there.examples) == (seeds, examples)


def test_verdict_over_seeds_hand_worked():
    # Differences of the seeds: 0.2 and 0.4 on ten examples; of the examples: 1, 1, 0.5, 0.5, and six times 0.
    student, baseline = np.zeros((2, 10), bool), np.zeros((2, 10), bool)
    student[0, :2] = student[1, :4] = True
    result = verdict(student, baseline)
    of_seeds, of_examples = 0.02 / 2, (2 * 0.7**2 + 2 * 0.2**2 + 6 * 0.3**2 + 1) / 100
    freedom = (of_seeds + of_examples) ** 2 / (of_seeds**2 + of_examples**2 / 9)
    half = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(of_seeds + of_examples)
    assert result.difference == pytest.approx(0.3)
    assert result.interval == pytest.approx((0.3 - half, 0.3 + half))
    assert result.p_value == pytest.approx(2 * scipy.stats.t.sf(0.3 / np.sqrt(of_seeds + of_examples), freedom))


def test_verdict_over_seeds_counts_chance_of_seeds_and_of_examples():
    """Claims between equals are rare, though each seed differs by chance and all see the same few examples."""
    rng = np.random.default_rng(4)
    claims = sum(
        verdict(*seeds_of(0.0, 5, 300, rng, spread_of_seeds=0.03)).sentence != NO_DIFFERENCE for _ in range(300)
    )
    # At most 5% of 300, and three standard deviations.
    assert claims <= 26


def test_verdict_over_seeds_sees_a_gain():
    found = verdict(*seeds_of(0.1, 5, 400, np.random.default_rng(5), spread_of_seeds=0.01))
    assert found.sentence == HELPED
    assert "5 seeds" in str(found)
    one = verdict(*(pair[:1] for pair in seeds_of(0.0, 2, 50, np.random.default_rng(6))))
    assert one.seeds == 1


@pytest.mark.parametrize("compare", [mcnemar, paired_difference, verdict])
@pytest.mark.parametrize(("a", "b"), [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 3))])
def test_unpaired_answers_are_refused(compare, a, b):
    with pytest.raises(BadInput, match="same examples in the same order"):
        compare(np.ones(a, bool), np.ones(b, bool))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_level_out_of_range_is_refused(level):
    with pytest.raises(BadInput, match="between 0 and 1"):
        paired_difference(np.ones(3, bool), np.ones(3, bool), level=level)
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
    # The mean baseline is 0.80 and the gap 0.10: the seeds close 0.02, 0.04 and 0.06 of it.
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
    ("baseline", "student", "teacher", "match"),
    [
        ([0.8], [0.8, 0.9], 0.9, "student of gap_closed"),
        ([], [], 0.9, "student of gap_closed"),
        ([math.nan], [0.8], 0.9, "baseline of gap_closed must be finite"),
        ([0.8], [0.8], math.inf, "teacher of gap_closed must be finite"),
    ],
)
def test_gap_closed_refuses(baseline, student, teacher, match):
    with pytest.raises(BadInput, match=match):
        gap_closed(baseline, student, teacher)
