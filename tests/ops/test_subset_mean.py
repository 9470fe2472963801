"""The mean of members that know some of the classes each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from attar.errors import BadInput
from attar.ops.averaging import mean_of_probabilities
from attar.ops.subset_mean import mean_of_subsets

SETS = [(0, 1, 2, 3), (3, 4), (5, 2, 4)]


def objective(z: np.ndarray, said: list[np.ndarray], sets: list[tuple[int, ...]], weights: list[float]) -> float:
    """The weighted sum of the divergences of one row."""
    total = 0.0
    for p, known, weight in zip(said, sets, weights, strict=True):
        q = np.exp(z[list(known)] - z.max())
        q /= q.sum()
        total += weight * float((p * (np.log(p) - np.log(q))).sum())
    return total


def members(seed: int, batch: int = 4, sharp: float = 1.5) -> list[torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, len(known), generator=draws) * sharp for known in SETS]


@pytest.mark.parametrize("seed", range(4))
def test_against_scipy(seed):
    logits, weights = members(seed), [1.0, 2.0, 0.5]
    found = mean_of_subsets(logits, SETS, 6, weights)
    shares = [weight / 3.5 for weight in weights]
    for row in range(4):
        said = [one[row].double().softmax(0).numpy() for one in logits]
        best = minimize(objective, np.zeros(6), args=(said, SETS, shares), method="BFGS", options={"gtol": 1e-9})
        expected = np.exp(best.x - best.x.max())
        np.testing.assert_allclose(found[row].exp().numpy(), expected / expected.sum(), atol=1e-5)


@given(seed=st.integers(0, 10_000), weights=st.lists(st.floats(0.1, 10), min_size=3, max_size=3))
@settings(deadline=None, max_examples=20)
def test_of_members_that_know_all_it_is_the_arithmetic_mean(seed, weights):
    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(seed)) * 3
    found = mean_of_subsets(list(logits), [range(4)] * 3, 4, weights)
    torch.testing.assert_close(found.exp(), mean_of_probabilities(logits, weights).exp())
    # Also through the search: a member that knows one class says nothing at all.
    alone = torch.zeros(5, 1)
    searched = mean_of_subsets([*logits, alone], [*[range(4)] * 3, (2,)], 4, [*weights, 1.0])
    torch.testing.assert_close(searched.exp(), found.exp(), atol=1e-5, rtol=1e-4)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_parts_of_one_distribution_are_put_together_again(seed):
    truth = torch.randn(3, 6, generator=torch.Generator().manual_seed(seed)) * 2
    found = mean_of_subsets([truth[:, list(known)] for known in SETS], SETS, 6)
    torch.testing.assert_close(found, truth.log_softmax(1), atol=1e-4, rtol=1e-4)


def test_extreme_logits_stay_finite():
    logits = [one * 1e4 for one in members(0)]
    found = mean_of_subsets(logits, SETS, 6)
    assert bool(found.isfinite().all())
    torch.testing.assert_close(found.exp().sum(1), torch.ones(4))


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([(0, 1), (1, 2)], r"each class is known.*'3'"),
        ([(0, 1), (2, 3)], r"connected.*\['0', '1'\], \['2', '3'\]"),
        ([(0, 1), (1, 4)], "below 4"),
    ],
)
def test_classes_that_are_left_out_or_apart_are_named(sets, said):
    with pytest.raises(BadInput, match=said):
        mean_of_subsets([torch.zeros(1, 2), torch.zeros(1, 2)], sets, 4)


def test_weights_and_sizes_are_checked():
    with pytest.raises(BadInput, match="weights"):
        mean_of_subsets([torch.zeros(1, 2)], [(0, 1)], 2, [0.0])
    with pytest.raises(BadInput, match="as many classes"):
        mean_of_subsets([torch.zeros(1, 3)], [(0, 1)], 2)
