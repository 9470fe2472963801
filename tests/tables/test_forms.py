"""Matrices written as tables again, in the form of others."""

from __future__ import annotations

import datetime
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typed_tables import frame, table

from attar.errors import BadInput, MissingExtra
from attar.tables.columns import Columns

NAN = float("nan")


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3),
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(-(2.0**126), 2.0**126, width=32),
    "bool": st.booleans(),
}


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Names of columns to values of one type each, None where missing."""
    rows = draw(st.integers(1, 6))
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    return {
        f"{kind} {place}": draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows))
        for place, kind in enumerate(kinds)
    }


ARROW = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}


class TestDecode:
    @settings(deadline=None, max_examples=60)
    @given(given_=tables())
    def test_tables_of_arrow_come_back(self, given_: dict[str, list[Any]]):
        rows = pa.table({name: pa.array(values, ARROW[name.split()[0]]) for name, values in given_.items()})
        columns = Columns.infer(rows)
        assert columns.decode(columns.encode(rows), like=rows).equals(rows)

    @settings(deadline=None, max_examples=60)
    @given(given_=tables())
    def test_frames_come_back(self, given_: dict[str, list[Any]]):
        dtypes = {"str": "str", "int": "Int64", "float": "float64", "bool": "boolean"}
        rows = pd.DataFrame({name: pd.Series(values, dtype=dtypes[name.split()[0]]) for name, values in given_.items()})
        columns = Columns.infer(rows)
        pd.testing.assert_frame_equal(columns.decode(columns.encode(rows), like=rows), rows)

    @settings(deadline=None, max_examples=60)
    @given(given_=tables())
    def test_objects_come_back(self, given_: dict[str, list[Any]]):
        rows = np.empty((len(next(iter(given_.values()))), len(given_)), object)
        for place, values in enumerate(given_.values()):
            rows[:, place] = values
        columns = Columns.infer(rows)
        back = columns.decode(columns.encode(rows), like=rows)
        assert back.dtype == object and back.shape == rows.shape
        for found, expected in zip(back.ravel().tolist(), rows.ravel().tolist(), strict=True):
            if expected is None:
                assert found is None or found != found
            else:
                assert found == expected and type(found) is type(expected)

    @settings(deadline=None, max_examples=60)
    @given(given_=tables(), form=st.sampled_from(["numpy", "pandas", "arrow"]))
    def test_every_form_says_the_same(self, given_: dict[str, list[Any]], form: str):
        rows = pa.table({name: pa.array(values, ARROW[name.split()[0]]) for name, values in given_.items()})
        columns = Columns.infer(rows)
        matrix = columns.encode(rows)
        assert np.array_equal(columns.encode(columns.decode(matrix, like=form)), matrix, equal_nan=True)
        assert np.array_equal(columns.encode(columns.decode(matrix, like=rows)), matrix, equal_nan=True)

    @pytest.mark.parametrize("nothing", [None, NAN], ids=["None", "NaN"])
    def test_objects_come_back_as_they_were(self, nothing: float | None):
        # To an imputer of scikit-learn None is no gap where gaps are NaN, and a date has no distance from a datetime.
        leap, noon = datetime.date(2024, 2, 29), datetime.datetime(2024, 3, 1, 12)
        rows = np.array([["u", leap, noon, True], [nothing, leap, noon, nothing], ["v", None, noon, False]], object)
        columns = Columns.infer(rows)
        assert repr(columns.decode(columns.encode(rows), like=rows).tolist()) == repr(rows.tolist())
        frame = pd.DataFrame({f"c{place}": pd.Series(rows[:, place], dtype=object) for place in range(4)})
        columns = Columns.infer(frame)
        back = columns.decode(columns.encode(frame), like=frame)
        assert repr(back.to_numpy().tolist()) == repr(rows.tolist())

    def test_dates_that_are_all_missing_stay_dates(self):
        frame = pd.DataFrame({"when": pd.Series([pd.NaT, pd.NaT], dtype="datetime64[s]"), "x": [1.0, 2.0]})
        columns = Columns.infer(frame)
        pd.testing.assert_frame_equal(columns.decode(columns.encode(frame), like=frame), frame)

    def test_frames_of_every_type_come_back(self):
        columns = Columns.infer(frame())
        back = columns.decode(columns.encode(frame()), like=frame())
        expected = frame().assign(sparse=[0.0, 0.0, 1.5])
        expected["counts"] = pd.Series([7, NAN, 9], dtype=object)
        back["sparse"] = back["sparse"].astype(float)
        pd.testing.assert_frame_equal(back, expected)

    def test_tables_of_every_type_come_back(self):
        columns = Columns.infer(table())
        back = columns.decode(columns.encode(table()), like=table())
        assert back.schema.equals(table().schema) and back.to_pydict() == table().to_pydict()

    @pytest.mark.parametrize("kind", ["int8", "uint8", "int64", "float16", "float32", "float64", "bool", "str"])
    def test_arrays_come_back(self, kind: str):
        rows = np.array([[1, 0], [0, 1], [1, 1]]).astype(kind)
        columns = Columns.infer(rows)
        back = columns.decode(columns.encode(rows), like=rows)
        assert back.dtype.kind == rows.dtype.kind and np.array_equal(back, rows)
        assert kind == "str" or back.dtype == rows.dtype

    def test_numbers_that_are_names_come_back(self):
        rows = np.array([[30, 1], [10, 2], [30, 3]])
        columns = Columns.infer(rows, nominal=[0])
        back = columns.decode(columns.encode(rows), like=rows)
        assert back.dtype == rows.dtype and np.array_equal(back, rows)
        assert columns.decode(columns.encode(rows), like="pandas").dtypes.tolist()[0] == "category"
        large = np.array([[2**63], [2**63 + 5]], dtype=np.uint64)
        names = Columns.infer(large, nominal=[0])
        assert np.array_equal(names.decode(names.encode(large), like=large), large)

    def test_the_order_of_the_pattern(self):
        columns = Columns.infer(pd.DataFrame({"a": [1], "b": ["x"]}))
        matrix = columns.encode(pd.DataFrame({"b": ["x"], "a": [1]}))
        assert matrix.tolist() == [[1.0, 0.0]]
        assert list(columns.decode(matrix, like=pd.DataFrame({"b": ["y"], "a": [1]}))) == ["b", "a"]
        assert columns.decode(matrix, like=pa.table({"b": ["y"], "a": [1]})).to_pydict() == {"b": ["x"], "a": [1]}

    def test_labels_of_a_frame_come_back(self):
        rows = pd.DataFrame([[1, 2.5]])
        columns = Columns.infer(rows)
        pd.testing.assert_frame_equal(columns.decode(columns.encode(rows), like=rows), rows)

    def test_types_that_fit_best(self):
        columns = Columns.infer(pa.table({"s": ["a", "b"], "i": [1, 2], "f": [0.5, 1.0], "b": [True, False]}))
        full, gaps = np.array([[0, 1, 0.5, 1], [1, 2, 1.0, 0]]), np.full((1, 4), NAN)
        assert [str(kind) for kind in columns.decode(full, like="pandas").dtypes] == [
            "category",
            "int64",
            "float64",
            "bool",
        ]
        assert [str(kind) for kind in columns.decode(gaps, like="pandas").dtypes] == [
            "category",
            "float64",
            "float64",
            "boolean",
        ]
        types = columns.decode(gaps, like="arrow").schema.types
        assert types == [pa.dictionary(pa.int32(), pa.string()), pa.int64(), pa.float64(), pa.bool_()]
        assert columns.decode(gaps, like="arrow").to_pylist() == [dict.fromkeys("sifb")]
        assert columns.decode(full).tolist() == [["a", 1, 0.5, True], ["b", 2, 1.0, False]]
        assert columns.decode(gaps).dtype == object

    def test_wider_types_where_one_cannot_hold_what_is_there(self):
        rows = np.array([[1], [2]], np.int8)
        columns = Columns.infer(rows)
        assert columns.decode(np.array([[300.0]]), like=rows).tolist() == [[300]]
        assert columns.decode(np.array([[1.5]]), like=rows).tolist() == [[1.5]]
        assert columns.decode(np.array([[NAN]]), like=rows).dtype == np.float64
        small = pd.DataFrame({"column 0": np.array([1], np.int8)})
        assert columns.decode(np.array([[300.0]]), like=small)["column 0"].tolist() == [300]
        assert columns.decode(np.array([[NAN]]), like=small).dtypes.tolist() == [np.float64]
        nullable = small.astype("Int8")
        assert columns.decode(np.array([[1.5]]), like=nullable)["column 0"].tolist() == [1.5]
        narrow = pa.table({"column 0": pa.array([1], pa.int8())})
        assert columns.decode(np.array([[300.0]]), like=narrow).to_pydict() == {"column 0": [300]}
        assert columns.decode(np.array([[1.5]]), like=narrow).to_pydict() == {"column 0": [1.5]}

    def test_categories_that_the_pattern_does_not_declare(self):
        columns = Columns.infer(pd.DataFrame({"a": ["x", "y"]}))
        pattern = pd.DataFrame({"a": pd.Categorical(["y"])})
        assert columns.decode(np.array([[0.0], [1.0]]), like=pattern)["a"].tolist() == ["x", "y"]

    def test_strings_with_a_gap_are_objects(self):
        rows = np.array([["a"], ["b"]])
        assert Columns.infer(rows).decode(np.array([[1.0], [NAN]]), like=rows).tolist() == [["b"], [None]]

    def test_float32_is_taken(self):
        columns = Columns.infer(pa.table({"a": ["x", "y"], "b": [1, 2]}))
        assert columns.decode(np.array([[1, 2]], np.float32), like="arrow").to_pylist() == [{"a": "y", "b": 2}]

    @pytest.mark.parametrize("code", [-1.0, 2.0, 0.5])
    def test_codes_that_are_none(self, code: float):
        columns = Columns.infer(np.array([["a"], ["b"]]))
        message = rf"^column 'column 0' of the matrix must be codes, whole numbers from 0 to 1, or NaN; got {code}"
        with pytest.raises(BadInput, match=message):
            columns.decode(np.array([[code]]))

    @pytest.mark.parametrize(
        ("like", "message"),
        [
            ("panda", "like of decode must be a form of a table, or rows; got 'panda'. Did you mean 'pandas'"),
            (np.zeros(1), r"like of decode must be \[rows, columns\]; got \(1,\)"),
            (np.zeros((1, 3)), "number of columns of the rows must be 2"),
            (pd.DataFrame({"a": [1]}), "The rows have no column 'column 0'"),
            ([[1, 2]], "rows of a table must be a NumPy array"),
        ],
    )
    def test_patterns_that_do_not_fit(self, like: Any, message: str):
        with pytest.raises(BadInput, match=f"^{message}"):
            Columns.infer(np.zeros((1, 2))).decode(np.zeros((1, 2)), like=like)

    def test_a_matrix_of_another_width(self):
        with pytest.raises(BadInput, match=r"^matrix of decode must be \[rows, 2\]; got \(1, 3\)"):
            Columns.infer(np.zeros((1, 2))).decode(np.zeros((1, 3)))

    def test_without_pandas(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        columns = Columns.infer(np.zeros((1, 1)))
        with pytest.raises(
            MissingExtra, match=r"^Decoding to a DataFrame needs the package 'pandas'.*pip install pandas"
        ):
            columns.decode(np.zeros((1, 1)), like="pandas")
        assert columns.decode(columns.encode(pa.table({"column 0": [1.0]})), like="arrow").num_rows == 1
