"""Rounding to even steps, to points and to powers of two."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.ops.grid import (
    check_finite,
    fraction_bits,
    limits,
    nearest_point,
    passed_within,
    power,
    power_of_two,
    rounded,
)

QUICK = settings(deadline=None, max_examples=60)
SIZES = st.floats(2.0**-40, 2.0**40, width=32)


@pytest.mark.parametrize("count", [1, 2, 3, 40, 41, 42, 200])
def test_the_nearest_point_is_that_of_a_search_through_all(count):
    draw = torch.Generator().manual_seed(count)
    points = torch.rand(count, generator=draw).sort().values
    values = torch.cat([3 * torch.rand(500, generator=draw) - 1, points, (points[1:] + points[:-1]) / 2])
    found = nearest_point(values, points)
    distances = (values[:, None] - points).abs()
    # The midpoint of two floats may be nearer to one of them by rounding alone.
    torch.testing.assert_close(distances.gather(1, found.long()[:, None])[:, 0], distances.amin(1), atol=1e-7, rtol=0)


def test_of_two_points_equally_near_it_is_the_lower_one_with_few_points_and_many():
    for count in (4, 64):
        points = torch.arange(float(count))
        assert torch.equal(nearest_point(points[:-1] + 0.5, points).float(), points[:-1])


def test_points_that_coincide_are_no_trouble():
    assert nearest_point(torch.tensor([0.0, 0.2, 1.0]), torch.zeros(5)).shape == (3,)


@QUICK
@given(size=SIZES)
def test_the_exponent_is_nearest_in_the_sense_asked_for(size):
    value = torch.tensor([size])
    log = int(power_of_two(value, -60, 60)[0])
    assert abs(math.log2(size) - log) <= 0.5 + 1e-6
    nearest = int(power_of_two(value, -60, 60, rounding="nearest")[0])
    assert abs(size - 2.0**nearest) <= min(abs(size - 2.0 ** (nearest + d)) for d in (-1, 1)) * (1 + 1e-6)


def test_thresholds_are_exact():
    below = np.nextafter(np.float32(1.5), np.float32(0))
    values = torch.tensor([1.0, 1.5, 2.0, 3.0, float(below)])
    assert power_of_two(values, -8, 8, rounding="nearest")[0].tolist() == [0, 1, 1, 2, 0]
    values = torch.tensor([1.4142, 1.4143, 0.5, 0.70710, 0.70711])
    assert power_of_two(values, -8, 8)[0].tolist() == [0, 1, -1, -1, 0]


def test_exponents_are_clipped_and_zero_is_the_smallest_or_zero():
    values = torch.tensor([0.0, 1e-9, 0.1, 100.0, -100.0])
    exponents, gone = power_of_two(values, -3, 1)
    assert exponents.tolist() == [-3, -3, -3, 1, 1] and gone is None
    # In value the border is half of the smallest power, 1/16; in the log domain 2^-3.5 = 0.0884.
    values = torch.tensor([0.0, 0.0624, 0.0626, 0.088, 0.089])
    gone = power_of_two(values, -3, 1, rounding="nearest", zero=True)[1]
    assert gone is not None and gone.tolist() == [True, True, False, False, False]
    gone = power_of_two(values, -3, 1, zero=True)[1]
    assert gone is not None and gone.tolist() == [True, True, True, True, False]


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("largest", [1e-6, 0.24, 0.25, 0.26, 0.999, 1.0, 1.001, 7.9, 8.0, 1e5])
def test_the_largest_fits_and_no_bit_is_wasted(largest, bits):
    fraction = int(fraction_bits(torch.tensor(largest), bits))
    assert fraction == bits - 1 - math.ceil(math.log2(float(torch.tensor(largest))))
    # Room for the largest but for one step; with one bit more behind the point there is not.
    assert 2 ** (bits - 1) * 2.0**-fraction >= largest > 2 ** (bits - 2) * 2.0**-fraction


def test_powers_are_exact():
    exponents = torch.arange(-60, 61)
    assert power(exponents, torch.float32).tolist() == [2.0**e for e in range(-60, 61)]


def test_rounding_by_chance_stays_between_the_neighbors():
    torch.manual_seed(0)
    values = torch.tensor([0.0, 0.25, -0.25, 3.0]).repeat(4000, 1)
    draws = rounded(values, stochastic=True)
    assert [set(column.tolist()) for column in draws.T] == [{0.0}, {0.0, 1.0}, {-1.0, 0.0}, {3.0}]
    assert (draws.mean(0) - values[0]).abs().max() < 5 * 0.5 / 4000**0.5
    # Whole numbers stay, also where float32 has few places left behind the point.
    grid = torch.arange(2.0**16).repeat(4)
    assert torch.equal(rounded(grid, stochastic=True), grid)


def test_limits_reach_to_zero_and_leave_out_what_the_percentile_says():
    rows = torch.stack([torch.arange(1.0, 101.0), -torch.arange(1.0, 101.0), torch.arange(-49.0, 51.0)])
    assert [end.tolist() for end in limits(rows, "max", 99.0)] == [[0, -100, -49], [100, 0, 50]]
    assert [end.tolist() for end in limits(rows, "percentile", 99.0)] == [[0, -99, -48], [99, 0, 49]]
    assert [end.tolist() for end in limits(rows, "percentile", 100.0)] == [[0, -100, -49], [100, 0, 50]]
    assert [end.tolist() for end in limits(torch.zeros(2, 0), "max", 99.0)] == [[0, 0], [0, 0]]


@pytest.mark.parametrize("groups", [1, 3])
def test_only_what_is_within_gets_a_gradient(groups):
    rows = torch.tensor([[-2.0, -0.5, 0.5, 2.0]]).repeat(groups, 1).requires_grad_()
    ends = torch.full((groups, 1), 1.0)
    passed_within(rows, -ends, ends).sum().backward()
    assert rows.grad is not None and rows.grad.tolist() == [[0, 1, 1, 0]] * groups


def test_numbers_that_are_large_are_not_taken_for_infinite():
    check_finite(torch.full((10,), 3e38), "a test")
    with pytest.raises(BadInput, match="tensor of a test must be finite everywhere; got 2 of 3 values"):
        check_finite(torch.tensor([torch.inf, 0.0, -torch.inf]), "a test")
