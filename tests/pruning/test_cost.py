"""Sums of products of lengths, by hand."""

import numpy as np
import pytest

from attar.pruning.cost import Axis, Product, Products

A, B = Axis(6, (("a", 3, 2.0),)), Axis(5, (("b", 4, 1.0),))
COST = Products([Product(2, (A, B)), Product(1, (A,)), Product(10, (Axis(3),)), Product(3, (B, B))])


def test_an_axis_loses_the_positions_of_each_unit():
    assert A.at({}) == 6 and A.at({"a": 1}) == 2 and A.at({"b": 0}) == 6
    assert B.at({"b": 1}) == 2
    assert A.scaled(12).at({"a": 1}) == 4
    both = Axis(9, (("a", 3, 2.0), ("b", 3, 1.0)))
    assert both.at({"a": 2, "b": 1}) == 5
    assert both.groups == {"a", "b"}


def test_a_total_counts_everything():
    assert COST.total({}) == 2 * 30 + 6 + 30 + 75
    assert COST.total({"a": 1, "b": 2}) == 2 * 2 * 3 + 2 + 30 + 27


def test_a_curve_counts_what_depends_on_the_group():
    assert COST.curve("a", [0, 3], {"b": 2}) == pytest.approx(np.array([0.0, 2 * 6 * 3 + 6]))
    assert COST.curve("b", [1, 4], {}) == pytest.approx(np.array([2 * 6 * 2 + 12, 2 * 6 * 5 + 75]))


def test_groups_that_share_a_product_are_neighbors():
    assert COST.neighbors("a") == COST.neighbors("b") == {"a", "b"}
    assert Products([Product(1, (A,)), Product(2, (B,))]).neighbors("a") == {"a"}
