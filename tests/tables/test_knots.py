"""Knots and long tails, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from attar.network.rows import Rows
from attar.tables.columns import Columns
from attar.tables.knots import curves_for, knots_of, pieces_for, with_knots

DRAWS = np.random.default_rng(0)


def test_few_values_are_knots_all_of_them() -> None:
    assert knots_of(np.array([3.0, 1.0, 1.0, 2.0]), pieces=2).tolist() == [1, 2, 3]


def test_many_values_are_cut_at_quantiles() -> None:
    assert knots_of(np.arange(101.0), pieces=4).tolist() == [0, 25, 50, 75, 100]


def test_a_frequent_value_takes_one_knot_and_no_more() -> None:
    values = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    knots = knots_of(values, pieces=5)
    assert knots[0] == 0 and knots[1] == 1 and knots[-1] == 100 and len(knots) == 6
    assert (np.diff(knots[1:]) > 20).all()


def test_what_a_network_is_told() -> None:
    rows = 2000
    table = np.stack(
        [
            DRAWS.normal(5, 3, rows),
            np.where(DRAWS.random(rows) < 0.7, 0.0, DRAWS.lognormal(0, 1.5, rows)),
            DRAWS.integers(0, 2, rows),
            np.full(rows, 7.0),
            np.where(np.arange(rows) % 2, np.nan, DRAWS.random(rows)),
        ],
        axis=1,
    )
    columns = Columns.infer(table)
    assert pieces_for(rows, 5) == 31
    normal, long, two, constant, gaps = with_knots(columns, columns.encode(table))
    assert normal | {"knots": 0} == columns[0].to_json() | {"knots": 0} and len(normal["knots"]) == 32
    assert long["log"] and long["center"] == 0 and long["scale"] == pytest.approx(1, rel=0.2)
    assert long["knots"][0] == 0 < long["knots"][1] < 1
    assert two == columns[2].to_json() and constant == columns[3].to_json()
    assert gaps["missing"] and len(gaps["knots"]) == 32 and "log" not in gaps
    assert Rows([normal, long, two, constant, gaps], curves=2).features == 5 + 1 + 3 * 2


def test_names_have_no_knots() -> None:
    table = np.array([["a", 1.5], ["b", 2.5], ["c", 4.0]], dtype=object)
    columns = Columns.infer(table)
    name, value = with_knots(columns, columns.encode(table))
    assert name == columns[0].to_json() and value["knots"] == [1.5, 2.5, 4.0]


def test_numbers_that_float32_cannot_tell_apart_are_one_knot() -> None:
    table = 1e9 + np.array([[0.0], [1.0], [2.0], [100.0], [300.0]])
    columns = Columns.infer(table)
    document = with_knots(columns, columns.encode(table))
    assert Rows(document, curves=1).features == 2


@pytest.mark.parametrize(("count", "curves"), [(1, 4), (64, 4), (65, 3), (200, 1), (300, 0)])
def test_many_columns_get_few_curves(count: int, curves: int) -> None:
    assert curves_for(Columns.infer(DRAWS.normal(size=(4, count)))) == curves
