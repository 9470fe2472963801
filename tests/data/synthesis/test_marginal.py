"""RANDOM: each column as in the table, and no dependence."""

import numpy as np
import pytest
import scipy.stats

from attar.data.synthesis.marginal import marginal, marginal_in_chunks
from attar.errors import BadInput


def test_columns_are_spread_as_in_the_table_and_independent():
    draws = np.random.default_rng(0)
    first = draws.integers(0, 4, 500) * 1.0
    matrix = np.stack([first, first, np.where(first == 0, np.nan, 7.0)], axis=1)
    made = marginal(matrix, rows=20_000, seed=1)
    expected = np.bincount(first.astype(int)) / 500
    for column in (0, 1):
        counts = np.bincount(made[:, column].astype(int), minlength=4)
        assert scipy.stats.chisquare(counts, expected * 20_000).pvalue > 0.001
    # Five standard deviations of a share.
    assert abs(np.isnan(made[:, 2]).mean() - expected[0]) < 5 * np.sqrt(expected[0] * (1 - expected[0]) / 20_000)
    assert abs(np.corrcoef(made[:, 0], made[:, 1])[0, 1]) < 5 / np.sqrt(20_000)


def test_chunks_are_the_rows_and_seeds_differ():
    matrix = np.random.default_rng(0).normal(size=(30, 2))
    pieces = list(marginal_in_chunks(matrix, rows=40_000))
    whole = marginal(matrix, rows=40_000)
    assert len(pieces) > 2 and np.array_equal(np.concatenate(pieces), whole)
    assert not np.array_equal(marginal(matrix, rows=40_000, seed=1), whole)
    assert len(np.unique(whole[:, 0])) == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"matrix": np.zeros((0, 2))}, "matrix of marginal"),
        ({"rows": 0}, "rows of marginal"),
        ({"seed": -1}, "seed of marginal"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(BadInput, match=message):
        marginal(**({"matrix": np.zeros((2, 2)), "rows": 2} | change))
