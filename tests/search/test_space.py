"""Spaces: what is drawn is within, grids have the number that is counted, and shares come back to their choices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.network.spec import Spec
from attar.search.space import Choice, Dimension, FloatRange, IntRange, Space


def space_of(**dimensions: Dimension) -> Space:
    return Space(dimensions=dimensions, build=lambda choices: (Spec("tests:network", dict(choices)), ()))


@st.composite
def int_ranges(draw: st.DrawFn) -> IntRange:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 1000))
    return IntRange(low, low + draw(st.integers(0, 3000)), draw(st.integers(1, 40)), log)


@st.composite
def float_ranges(draw: st.DrawFn) -> FloatRange:
    log = draw(st.booleans())
    low = draw(st.floats(1e-6 if log else -1e3, 1e3))
    return FloatRange(low, low + draw(st.floats(0, 1e6)), log)


plain = st.one_of(st.integers(-5, 5), st.text(max_size=3), st.booleans(), st.lists(st.integers(0, 3), max_size=2))
choices = st.lists(plain, min_size=1, max_size=5, unique_by=repr).map(Choice)
dimensions = st.one_of(int_ranges(), float_ranges(), choices)
shares = st.floats(0, 1)


# -- properties --------------------------------------------------------------------------------------------------------


@given(dimensions, shares)
def test_what_is_at_a_share_is_within_and_shares_come_back_to_it(dimension: Dimension, share: float) -> None:
    value = dimension.at(share)
    assert dimension.has(value)
    assert 0 <= dimension.share(value) <= 1
    again = dimension.at(dimension.share(value))
    assert again == value or math.isclose(again, value, rel_tol=1e-9, abs_tol=1e-9)


@given(dimensions)
def test_every_end_can_be_drawn(dimension: Dimension) -> None:
    first, last = dimension.at(0.0), dimension.at(1.0)
    if isinstance(dimension, Choice):
        assert (first, last) == (dimension.values[0], dimension.values[-1])
    elif isinstance(dimension, IntRange):
        assert (first, last) == (dimension.low, dimension.last)
        assert dimension.high - dimension.step < dimension.last <= dimension.high
    else:
        assert first == dimension.low and math.isclose(last, dimension.high, rel_tol=1e-9)


@given(dimensions, st.integers(1, 12))
def test_points_are_within_and_each_once(dimension: Dimension, count: int) -> None:
    points = list(dimension.points(count))
    assert all(map(dimension.has, points))
    assert len(set(map(repr, points))) == len(points)
    if isinstance(dimension, Choice):
        assert points == list(dimension.values)
    else:
        assert 1 <= len(points) <= count
    if isinstance(dimension, IntRange) and count > 1:
        assert (points[0], points[-1]) == (dimension.low, dimension.last)


@given(int_ranges())
def test_a_range_has_as_many_numbers_as_it_says(dimension: IntRange) -> None:
    assert list(dimension.points(dimension.size)) == list(range(dimension.low, dimension.high + 1, dimension.step))


@given(st.lists(dimensions, min_size=1, max_size=3), st.integers(1, 4))
def test_a_grid_has_the_counted_number_of_combinations(found: list[Dimension], points: int) -> None:
    space = space_of(**{f"d{place}": one for place, one in enumerate(found)})
    grid = list(space.grid(points))
    assert len(grid) == math.prod(len(one.points(points)) for one in found)
    assert len({repr(one) for one in grid}) == len(grid)
    assert all(map(space.has, grid))


@given(st.lists(dimensions, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_draws_are_of_the_space(found: list[Dimension], seed: int) -> None:
    space = space_of(**{f"d{place}": one for place, one in enumerate(found)})
    assert space.has(space.draw(np.random.default_rng(seed)))


# -- values by hand ----------------------------------------------------------------------------------------------------


def test_numbers_of_a_range_are_drawn_alike_often() -> None:
    random = np.random.default_rng(0)
    drawn = [IntRange(3, 9, step=3).at(random.random()) for _ in range(3000)]
    # Binomial: a third of 3000 is 1000, with a standard deviation of 26.
    assert all(abs(drawn.count(value) - 1000) < 130 for value in (3, 6, 9))


def test_factors_of_a_range_are_drawn_alike_often() -> None:
    random = np.random.default_rng(0)
    drawn = [IntRange(8, 128, log=True).at(random.random()) for _ in range(4000)]
    small, large = sum(8 <= one < 16 for one in drawn), sum(64 <= one < 128 for one in drawn)
    assert abs(small / large - 1) < 0.2
    assert small > 800


def test_points_of_factors_are_a_geometric_series() -> None:
    assert list(IntRange(8, 128, log=True).points(3)) == [8, 32, 128]
    assert list(FloatRange(0.01, 1.0, log=True).points(3)) == pytest.approx([0.01, 0.1, 1.0])
    assert list(FloatRange(0.0, 1.0).points(1)) == [0.5]


def test_a_range_without_steps_has_no_end() -> None:
    space = space_of(width=IntRange(1, 4), rate=FloatRange(0.0, 1.0))
    assert space.count() is None
    assert space_of(width=IntRange(1, 4), kind=Choice(["a", "b"])).count() == 8
    assert [one["rate"] for one in space.grid({"width": 1, "rate": 2})] == [0.0, 1.0]


def test_numbers_that_rise_or_fall_are_ordered() -> None:
    assert Choice([1, 2, 4]).ordered and Choice([0.5, 0.25]).ordered
    assert not Choice([1, 3, 2]).ordered and not Choice(["a", "b"]).ordered and not Choice([False, True]).ordered


def test_true_and_one_are_two_values() -> None:
    flag = Choice([True, 1])
    assert flag.has(True) and flag.at(flag.share(True)) is True and flag.at(flag.share(1)) is not True


def test_a_space_has_its_own_choices_alone() -> None:
    space = space_of(width=IntRange(2, 8, step=2))
    assert space.has({"width": 4})
    assert not any(map(space.has, [{"width": 3}, {"width": 10}, {"width": "4"}, {"width": 4, "depth": 1}, {}]))


def test_a_proposal_has_what_choices_come_to() -> None:
    built: list[Any] = []

    def build(choices: Any) -> Any:
        built.append(choices)
        return Spec("tests:network", {"hidden": [choices["width"]]}), ({"use": "distill"},)

    space = Space(dimensions={"width": IntRange(1, 8)}, build=build)
    proposal = space.proposal({"width": 3}, epochs=2, start="teacher")
    assert proposal.spec.arguments == {"hidden": [3]} and list(proposal.steps) == [{"use": "distill"}]
    assert (proposal.epochs, proposal.start, proposal.choices) == (2, "teacher", {"width": 3})
    assert space.proposal({"width": 3}).spec == proposal.spec and len(built) == 1


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimension", "sentence"),
    [
        (IntRange(8, 4), "width.from of the search space must be at most width.to, which is 4; got 8. Swap them."),
        (FloatRange(1.0, 0.5), "width.from of the search space must be at most width.to, which is 0.5; got 1.0. Swap"),
        (IntRange(1, 4, step=0), "width.step of the search space must be at least 1; got 0. Leave it out for 1."),
        (IntRange(0, 4, log=True), "width.from of the search space must be at least 1 where log is true; got 0."),
        (FloatRange(0.0, 1.0, log=True), "width.from of the search space must be greater than 0 where log is true"),
        (FloatRange(0.0, math.inf), "width.to of the search space must be a number of at most"),
        (FloatRange(math.nan, 1.0), "width.from of the search space must be a number of at most"),
        (Choice([]), "width of the search space must be a list of at least one value; got []. Name what may be chosen"),
        (Choice([1, 2, 1]), "width of the search space must be a list that names each value once; got [1, 2, 1]."),
        (Choice([print]), "width of the search space must be a list of values that a file can hold; got"),
        (Choice([math.nan]), "width of the search space must be a list of values that a file can hold; got nan."),
    ],
)
def test_a_dimension_that_is_not_right_is_named(dimension: Dimension, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        space_of(width=dimension)
    assert str(caught.value).startswith(sentence)


def test_a_space_without_choices_is_refused() -> None:
    with pytest.raises(BadInput, match=r"The search space has nothing to choose. Give a range or a list of values."):
        space_of()


def test_a_grid_says_what_it_needs() -> None:
    space = space_of(rate=FloatRange(0.0, 1.0), width=IntRange(1, 10**6))
    with pytest.raises(BadInput, match=r"rate of points of the grid must be given, as it is a range without steps"):
        next(space.grid({"width": 3}))
    with pytest.raises(BadInput, match=r"must be of at most 100,000 points; got 2,000,000. Ask for fewer points"):
        next(space.grid({"rate": 2}))
    with pytest.raises(BadInput, match=r"points of the grid must be by names of dimensions; got 'widht'. Did you mean"):
        next(space.grid({"widht": 3}))
    with pytest.raises(BadInput, match=r"points of the grid must be from 1 to 100,000; got 0. 2 are the two ends"):
        next(space.grid(0))
    with pytest.raises(BadInput, match="points of the grid must be from 1 to 100,000; got 10000000000"):
        next(space.grid({"rate": 10**10}))
