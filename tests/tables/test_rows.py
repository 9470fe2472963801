"""Rows that are given as dicts, lists of dicts, dicts of lists and Series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from attar.errors import BadInput
from attar.tables.columns import Columns
from attar.tables.rows import by_name

NAN = float("nan")


class TestRowsByName:
    COLUMNS = Columns.infer(pd.DataFrame({"age": [1.5, 2.5], "color": ["red", "blue"], "old": [True, False]}))

    @pytest.mark.parametrize(
        "row",
        [
            {"age": 3, "color": "red", "old": True},
            {"old": True, "color": "red", "age": np.float32(3)},
            [{"age": 3, "color": "red", "old": True}],
            {"age": [3], "color": ["red"], "old": [True]},
            {"age": np.array([3.0]), "color": ("red",), "old": np.array([True])},
            pd.Series({"age": 3, "color": "red", "old": True}),
            pd.DataFrame({"old": [True], "color": ["red"], "age": [3]}),
            np.array([[3, "red", True]], object),
        ],
    )
    def test_one_row(self, row: Any):
        assert self.COLUMNS.encode(row).tolist() == [[3.0, 1.0, 1.0]]

    @pytest.mark.parametrize("count", [1, 2, 4, 5, 40])
    def test_names_of_another_type_that_are_the_same_in_any_number_of_rows(self, count: int):
        row = {"age": 3, "color": "red", "old": True}
        rows = [row | {"old": ("", 1, np.True_)[place % 3]} for place in range(count)]
        assert np.array_equal(self.COLUMNS.encode(rows)[:, 2], ([NAN, 1, 1] * count)[:count], equal_nan=True)
        with pytest.raises(BadInput, match=r"column 'old' of the rows must be of one type|one of the values"):
            self.COLUMNS.encode([row | {"old": "yes"}, *[row] * (count - 1)])

    @pytest.mark.parametrize("nothing", [None, pd.NA, pd.NaT])
    def test_what_is_not_there_needs_no_closer_look(self, nothing: Any):
        assert np.isnan([column.code(nothing) or 0 for column in self.COLUMNS]).all()
        assert np.isnan(self.COLUMNS.encode({"age": nothing, "color": nothing, "old": nothing})).all()

    @pytest.mark.parametrize("count", [2, 4, 5, 40])
    def test_a_few_rows_as_many(self, count: int):
        rows = [
            {"age": place or None, "color": ("red", None, "blue")[place % 3], "old": place > 2}
            for place in range(count)
        ]
        frame = pd.DataFrame(rows)
        expected = np.vstack([self.COLUMNS.encode(row) for row in rows])
        lists = {name: [row[name] for row in rows] for name in rows[0]}
        for form in (rows, frame, lists, pa.table(lists), frame.to_numpy(dtype=object)):
            assert np.array_equal(self.COLUMNS.encode(form), expected, equal_nan=True)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (
                {"age": 3, "colour": "red", "old": True},
                "The rows have no column 'color'; .* Did you",
            ),
            (
                {"age": 3, "color": "rad", "old": True},
                "column 'color' of the rows must be one of .*; got .*'rad' in row 0",
            ),
            ({"age": [3, 4], "color": ["red"], "old": [True]}, "columns of the rows must be of one length; got"),
            ({"age": [3, 4], "color": "red", "old": True}, "columns of the rows must be of one length; got"),
            ([{"age": 3}, {"color": 3}], "columns of the rows must be the same in every row; got .*'age' not in both"),
            ({"age": float("inf"), "color": "red", "old": True}, "column 'age' of the rows must be finite in float32"),
            ({"age": {}, "color": "red", "old": True}, "column"),
            (pd.Series([1.0]), "rows of a table must be"),
        ],
    )
    def test_broken_rules_are_named(self, row: Any, message: str):
        with pytest.raises(BadInput, match=f"^{message}"):
            self.COLUMNS.encode(row)

    def test_a_table_can_be_inferred_from_them(self):
        rows = [{"age": 1.5, "color": "red", "old": True}, {"age": 2.5, "color": "blue", "old": False}]
        assert Columns.infer(rows) == self.COLUMNS


def test_values_without_axes_are_values():
    row = {"a": np.array(1.5), "b": torch.tensor(2), "c": np.float32(3.0), "d": "x"}
    assert by_name(row) == {"a": [1.5], "b": [2], "c": [3.0], "d": ["x"]}
    assert by_name([row]) == by_name(row)
    rows = Columns.infer({"a": [1.0, 2.0], "b": [1, 2], "c": [1.0, 2.0], "d": ["x", "y"]})
    assert rows.encode(row).tolist() == [[1.5, 2.0, 3.0, 0.0]] == rows.encode([row]).tolist()
