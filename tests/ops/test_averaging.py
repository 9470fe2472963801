"""The averages of several models' logits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attar.errors import BadInput
from attar.ops.averaging import geometric_mean, mean_of_logits, mean_of_probabilities

AVERAGES = [mean_of_probabilities, mean_of_logits, geometric_mean]
every_average = pytest.mark.parametrize("average", AVERAGES, ids=lambda average: average.__name__)


MEMBERS = st.integers(1, 5)


@st.composite
def ensembles(draw: st.DrawFn, members: st.SearchStrategy[int] = MEMBERS) -> Tensor:
    """Float64 logits [members, batch, classes] of moderate size."""
    shape = draw(members), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    scale = draw(st.sampled_from([0.1, 1.0, 30.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return torch.randn(shape, generator=generator, dtype=torch.float64) * scale


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        # Two members that say 0.9 and 0.5: (0.9 + 0.5) / 2 = 0.7.
        (mean_of_probabilities, 0.7),
        # Odds 9 and 1: the geometric mean of the odds is 3, and 3 / (3 + 1) = 0.75.
        (geometric_mean, 0.75),
        (mean_of_logits, 0.75),
    ],
)
def test_hand_worked_value(average, expected):
    members = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]], dtype=torch.float64).log()
    assert average(members).softmax(-1)[0, 0].item() == pytest.approx(expected, abs=1e-12)


def test_hand_worked_weights():
    members = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]], dtype=torch.float64).log()
    # 3/4 of 0.9 and 1/4 of 0.5 is 0.8; odds 9^(3/4) = 3 sqrt(3).
    odds = 3 * math.sqrt(3)
    assert mean_of_probabilities(members, [3, 1]).exp()[0, 0].item() == pytest.approx(0.8, abs=1e-12)
    assert geometric_mean(members, [3, 1]).exp()[0, 0].item() == pytest.approx(odds / (odds + 1), abs=1e-12)


@every_average
@given(logits=ensembles(st.just(1)))
@settings(deadline=None, max_examples=30)
def test_one_member_is_the_mean_of_itself(average, logits):
    torch.testing.assert_close(average(logits).softmax(-1), logits[0].softmax(-1))


@every_average
@given(logits=ensembles(), data=st.data())
@settings(deadline=None, max_examples=30)
def test_order_of_members_does_not_matter(average, logits, data):
    weights = data.draw(st.lists(st.floats(0.1, 10), min_size=len(logits), max_size=len(logits)))
    order = data.draw(st.permutations(range(len(logits))))
    torch.testing.assert_close(average(logits, weights), average(logits[order], [weights[i] for i in order]))


@every_average
@given(logits=ensembles(), data=st.data())
@settings(deadline=None, max_examples=30)
def test_weights_are_repetitions(average, logits, data):
    counts = data.draw(st.lists(st.integers(1, 4), min_size=len(logits), max_size=len(logits)))
    repeated = logits.repeat_interleave(torch.tensor(counts), dim=0)
    torch.testing.assert_close(average(logits, counts), average(repeated))


@every_average
@given(logits=ensembles(), factor=st.floats(0.01, 100))
@settings(deadline=None, max_examples=30)
def test_scale_of_the_weights_does_not_matter(average, logits, factor):
    torch.testing.assert_close(average(logits, [factor] * len(logits)), average(logits))


@given(logits=ensembles())
@settings(deadline=None, max_examples=50)
def test_arithmetic_mean_is_the_plain_mean(logits):
    torch.testing.assert_close(mean_of_probabilities(logits).exp(), logits.softmax(-1).mean(0))


@given(logits=ensembles())
@settings(deadline=None, max_examples=50)
def test_geometric_mean_is_the_normalized_product(logits):
    product = logits.softmax(-1).prod(0) ** (1 / len(logits))
    torch.testing.assert_close(geometric_mean(logits).exp(), product / product.sum(-1, keepdim=True))


@given(logits=ensembles(), constant=st.floats(-50, 50))
@settings(deadline=None, max_examples=30)
def test_constant_added_to_a_member_changes_logits_alone(logits, constant):
    moved = logits.clone()
    moved[0] += constant
    for average in (mean_of_probabilities, geometric_mean):
        torch.testing.assert_close(average(moved), average(logits))
    torch.testing.assert_close(mean_of_logits(moved), mean_of_logits(logits) + constant / len(logits))


@every_average
def test_extreme_logits_stay_finite_and_so_do_their_gradients(average):
    logits = torch.tensor([[[1e4, -1e4, 0.0]], [[-1e4, 1e4, 0.0]]], requires_grad=True)
    out = average(logits)
    out.sum().backward()
    assert out.isfinite().all() and logits.grad.isfinite().all()


@every_average
def test_batch_may_have_any_number_of_axes(average):
    logits = torch.randn(3, 2, 5, 4, dtype=torch.float64)
    flat = average(logits.reshape(3, 10, 4), [1, 2, 3])
    torch.testing.assert_close(average(logits, [1, 2, 3]).reshape(10, 4), flat)


@every_average
@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf]], ids=lambda weights: str(weights)
)
def test_bad_weights(average, weights):
    with pytest.raises(BadInput, match=f"weights of {average.__name__} must be"):
        average(torch.zeros(2, 1, 3), weights)


@every_average
def test_no_members(average):
    with pytest.raises(BadInput, match="at least one member"):
        average(torch.zeros(0, 1, 3))
