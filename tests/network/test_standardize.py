"""Input statistics as a part of a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.standardize import FURTHEST, Standardize


def test_hand_worked_value_per_channel():
    inputs = torch.tensor([[[[1.0]], [[10.0]]]])  # two channels of one pixel
    out = Standardize(nn.Identity(), mean=[0.0, 4.0], std=[2.0, 3.0])(inputs)
    assert out.flatten().tolist() == [0.5, 2.0]


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 7), (5, 3, 4, 4)], ids=str)
def test_standardized_data_have_mean_0_and_deviation_1_in_every_channel(shape):
    inputs = torch.randn(shape) * 3 + 2
    axes = [axis for axis in range(len(shape)) if axis != 1]
    out = Standardize(nn.Identity(), inputs.mean(axes), inputs.std(axes))(inputs)
    torch.testing.assert_close(out.mean(axes), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(axes), torch.ones(3))


def test_statistics_travel_with_the_weights_and_are_not_trained():
    one, other = Standardize(nn.Linear(2, 2), 0.5, 0.25), Standardize(nn.Linear(2, 2), 0.0, 1.0)
    other.load_state_dict(one.state_dict())
    inputs = torch.rand(3, 2)
    assert torch.equal(one(inputs), other(inputs))
    assert {name for name, _ in one.named_parameters()} == {"network.weight", "network.bias"}


def test_statistics_are_copied():
    mean = torch.zeros(2)
    network = Standardize(nn.Identity(), mean, torch.ones(2))
    mean += 1
    assert network.mean.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("mean", "std", "match"),
    [
        (0.0, 0.0, "std of Standardize must be positive"),
        (0.0, [1.0, -1.0], "std of Standardize must be positive"),
        (float("nan"), 1.0, "mean of Standardize must be one finite number"),
        ([], 1.0, "mean of Standardize must be one finite number"),
        (torch.zeros(2, 2), 1.0, "mean of Standardize must be one finite number"),
        ([0.0, 0.0], [1.0, 1.0, 1.0], "std of Standardize must be as long as mean"),
    ],
)
def test_bad_statistics(mean, std, match):
    with pytest.raises(BadInput, match=match):
        Standardize(nn.Identity(), mean, std)


def test_wrong_number_of_channels():
    with pytest.raises(BadInput, match=r"inputs of Standardize must be \[batch, 3, ...\].*got \[2, 1, 4, 4\]"):
        Standardize(nn.Identity(), [0.0] * 3, [1.0] * 3)(torch.zeros(2, 1, 4, 4))


def test_what_is_far_from_the_mean_stays_finite():
    inputs = torch.tensor([[3e38, -1e38, 1e30, 5.0], [torch.inf, -torch.inf, -0.0, 1e-45]])
    out = Standardize(nn.Identity(), mean=0.0, std=0.01)(inputs)
    assert out.tolist() == [[FURTHEST, -FURTHEST, FURTHEST, 500.0], [FURTHEST, -FURTHEST, 0.0, pytest.approx(0.0)]]
    assert Standardize(nn.Identity(), 0.0, 0.01)(torch.tensor([[torch.nan]])).isnan().all()
