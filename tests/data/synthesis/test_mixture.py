"""NBE: the likelihood against a plain sum, EM against its law, and draws against the mixture that they are from."""

import math
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from attar.data.synthesis.mixture import Mixture, Scheme, _cycle, fit_mixture
from attar.errors import BadInput


def table(rows: int = 300, seed: int = 0, gaps: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two kinds of rows, that show in two numbers, two names and in what is missing."""
    draws = np.random.default_rng(seed)
    kind = draws.integers(0, 2, rows)
    matrix = np.stack(
        [
            draws.normal(np.where(kind, 50.0, 10.0), 3.0),
            draws.normal(0.0, np.where(kind, 0.5, 2.0)),
            np.where(draws.random(rows) < 0.9, kind, 1 - kind) * 4.0,
            draws.integers(0, 3, rows) * 1.0,
        ],
        axis=1,
    )
    matrix[draws.random(matrix.shape) < gaps * kind[:, None]] = np.nan
    return matrix, np.array([False, False, True, True])


def plain_likelihood(mixture: Mixture, row: list[float]) -> float:
    """The density of one row: a sum over components of products over attributes."""
    scheme, total = mixture.scheme, 0.0
    for k, weight in enumerate(mixture.weights):
        product, number, name, at = weight, 0, 0, 0
        starts = np.cumsum([0, *scheme.kinds]).tolist()
        for a, nominal in enumerate(scheme.nominal):
            if nominal:
                if not math.isnan(row[a]):
                    place = scheme.values[name].tolist().index(row[a])
                    product *= mixture.chances[k, starts[name] + place]
                name += 1
            else:
                if not math.isnan(row[a]):
                    center = mixture.means[k, number] * scheme.scale[number] + scheme.center[number]
                    deviation = math.sqrt(mixture.variances[k, number]) * scheme.scale[number]
                    product *= scipy.stats.norm.pdf(row[a], center, deviation)
                number += 1
            if a in scheme.lacking:
                start = starts[len(scheme.values) + at]
                product *= mixture.chances[k, start + math.isnan(row[a])]
                at += 1
        total += product
    return math.log(total)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), gaps=st.sampled_from([0.0, 0.3]), components=st.integers(1, 5))
def test_the_likelihood_is_the_plain_sum(seed, gaps, components):
    matrix, nominal = table(rows=20, seed=seed, gaps=gaps)
    mixture = fit_mixture(matrix, nominal, components=components, seed=seed)
    expected = [plain_likelihood(mixture, row) for row in matrix.tolist()]
    np.testing.assert_allclose(mixture.log_likelihood(matrix), expected, rtol=1e-9, atol=1e-9)


def test_one_component_has_the_columns_own_figures():
    matrix, nominal = table()
    mixture = fit_mixture(matrix, nominal, components=1)
    scheme = mixture.scheme
    np.testing.assert_allclose(mixture.means[0] * scheme.scale + scheme.center, matrix[:, :2].mean(axis=0))
    np.testing.assert_allclose(np.sqrt(mixture.variances[0]) * scheme.scale, matrix[:, :2].std(axis=0))
    counts = np.bincount(matrix[:, 3].astype(int))
    np.testing.assert_allclose(mixture.chances[0, 2:], (counts + 1) / (300 + 3))


def test_a_cycle_of_em_never_lowers_the_likelihood():
    # Without nominals there is no correction of Laplace, and EM has its law; the floor is far away.
    matrix = np.random.default_rng(0).normal(size=(400, 3)) * [1.0, 5.0, 100.0]
    matrix[:200] += 3.0
    matrix[np.random.default_rng(1).random(matrix.shape) < 0.2] = np.nan
    mixture = fit_mixture(matrix, np.zeros(3, bool), components=4)
    scores = []
    for _ in range(20):
        scores.append(mixture.log_likelihood(matrix).mean())
        mixture = _cycle(mixture, matrix)
    assert len(mixture.scheme.lacking) == 3
    # The probabilities of being missing have the correction: it moves the mean by about one part in the rows.
    assert np.diff(scores).min() > -1e-4 and scores[-1] >= scores[0] - 1e-4


def test_a_cycle_equals_scikit_learn():
    matrix, _ = table()
    numbers = matrix[:, :2]
    scheme = Scheme.of(numbers, np.zeros(2, bool), np.full(2, 1e-9))
    weights, means, variances = np.array([0.3, 0.7]), np.array([[-1.0, 0.5], [1.0, 0.0]]), np.full((2, 2), 0.5)
    found = _cycle(Mixture(scheme, weights, means, variances, np.zeros((2, 0))), numbers)
    scaled = (numbers - scheme.center) / scheme.scale
    theirs = GaussianMixture(
        2,
        covariance_type="diag",
        reg_covar=0.0,
        max_iter=1,
        weights_init=weights,
        means_init=means,
        precisions_init=1 / variances,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one cycle is what is asked for
        theirs.fit(scaled)
    np.testing.assert_allclose(found.weights, theirs.weights_, rtol=1e-9)
    np.testing.assert_allclose(found.means, theirs.means_, rtol=1e-9)
    np.testing.assert_allclose(found.variances, theirs.covariances_, rtol=1e-9)


def test_the_number_of_components_is_chosen_and_finds_what_depends_on_what():
    matrix, nominal = table(rows=1500)
    mixture = fit_mixture(matrix, nominal, seed=2)
    one = fit_mixture(matrix, nominal, components=1)
    fresh, _ = table(rows=1000, seed=99)
    # Two kinds of rows of equal weight, mostly apart: about log 2 less surprise by the first number alone.
    assert len(mixture) > 1
    assert mixture.log_likelihood(fresh).mean() > one.log_likelihood(fresh).mean() + 0.5
    made = mixture.sample(20_000, seed=3)
    high = made[:, 0] > 30
    assert abs(high.mean() - (matrix[:, 0] > 30).mean()) < 0.03
    assert abs((made[high, 2] == 4.0).mean() - 0.9) < 0.05 and abs((made[~high, 2] == 4.0).mean() - 0.1) < 0.05
    assert abs(made[high, 1].std() - 0.5) < 0.15 and abs(made[~high, 1].std() - 2.0) < 0.3


def test_independent_columns_need_few_components():
    draws = np.random.default_rng(0)
    matrix = np.stack([draws.normal(size=2000), draws.integers(0, 3, 2000) * 1.0], axis=1)
    assert len(fit_mixture(matrix, np.array([False, True]))) == 1


def test_draws_are_spread_as_the_mixture_says():
    matrix, nominal = table(gaps=0.4)
    mixture = fit_mixture(matrix, nominal, components=3)
    scheme = mixture.scheme
    made = mixture.sample(30_000, seed=5)
    for column in (0, 1):
        gone = mixture.weights @ mixture.chances[:, 5 + 2 * column + 1]
        assert abs(np.isnan(made[:, column]).mean() - gone) < 5 * math.sqrt(gone / 30_000)
        there = made[~np.isnan(made[:, column]), column]
        weights = mixture.weights * mixture.chances[:, 5 + 2 * column]
        means = mixture.means[:, column] * scheme.scale[column] + scheme.center[column]
        deviations = np.sqrt(mixture.variances[:, column]) * scheme.scale[column]

        def upto(x, weights=weights, means=means, deviations=deviations):
            return scipy.stats.norm.cdf(x[:, None], means, deviations) @ weights / weights.sum()

        assert scipy.stats.kstest(there, upto).pvalue > 0.001
    there = made[~np.isnan(made[:, 3]), 3]
    weights = mixture.weights * mixture.chances[:, 5 + 2 * 3]
    expected = weights @ mixture.chances[:, 2:5] / weights.sum()
    assert scipy.stats.chisquare(np.bincount(there.astype(int)), expected * len(there)).pvalue > 0.001


def test_chunks_are_the_rows_and_seeds_differ():
    matrix, nominal = table()
    mixture = fit_mixture(matrix, nominal, components=2)
    whole = mixture.sample(20_000, seed=1)
    pieces = list(mixture.sample_in_chunks(20_000, seed=1))
    assert len(pieces) > 1 and np.array_equal(np.concatenate(pieces), whole)
    assert not np.array_equal(mixture.sample(20_000, seed=2), whole)


def test_names_that_were_not_there_are_taken_for_unknown():
    matrix, nominal = table()
    mixture = fit_mixture(matrix, nominal, components=2)
    odd, unknown = matrix[:1].copy(), matrix[:1].copy()
    odd[0, 3], unknown[0, 3] = 17.0, math.nan
    assert mixture.log_likelihood(odd) == mixture.log_likelihood(unknown)


@pytest.mark.parametrize("column", [0, 2])
def test_constant_and_empty_columns_are_kept(column):
    matrix, nominal = table(rows=50)
    matrix[:, column], matrix[:, column + 1] = 3.0, math.nan
    made = fit_mixture(matrix, nominal, components=2).sample(5000)
    assert abs(np.nanmean(made[:, column]) - 3.0) < 0.01
    # Laplace: 51 of 52.
    assert np.isnan(made[:, column + 1]).mean() > 0.95


def test_components_do_not_sit_on_single_whole_numbers():
    whole = np.random.default_rng(0).integers(0, 16, (800, 2)) * 1.0
    mixture = fit_mixture(whole, np.zeros(2, bool), components=64, floors=np.full(2, 1 / math.sqrt(12)))
    assert (np.sqrt(mixture.variances) * mixture.scheme.scale).min() >= 1 / math.sqrt(12) - 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"matrix": np.zeros((1, 1))}, "One row has no distribution"),
        ({"matrix": np.full((3, 1), math.inf)}, "finite or NaN"),
        ({"components": 0}, "from 1 to 3"),
        ({"components": 4}, "from 1 to 3"),
        ({"floors": np.zeros(1)}, "floors of fit_mixture"),
        ({"seed": -1}, "seed of fit_mixture"),
        ({"nominal": np.zeros(2, bool)}, "one value per column"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    call = {"matrix": np.zeros((3, 1)), "nominal": np.zeros(1, bool)} | change
    with pytest.raises(BadInput, match=message):
        getattr(fit_mixture, "__wrapped__", fit_mixture)(**call)


@pytest.mark.parametrize(("rows", "seed"), [(0, 0), (1, -1)])
def test_wrong_draws_are_named(rows, seed):
    mixture = fit_mixture(np.zeros((3, 1)), np.zeros(1, bool), components=1)
    with pytest.raises(BadInput, match="of sample must be"):
        mixture.sample(rows, seed=seed)
