"""Columns of tables: what is inferred, what is encoded, and every table that is refused."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from typed_tables import frame, table

from attar.errors import BadInput
from attar.tables.column import Column
from attar.tables.columns import Columns, written

NAN = float("nan")


def unchecked(function: Any) -> Any:
    """A function without the check of types in tests: what a user's mistake meets."""
    return getattr(function, "__wrapped__", function)


class TestInfer:
    def test_numbers_by_hand(self):
        (column,) = Columns.infer(np.array([[1.0], [NAN], [3.0], [8.0]]))
        # The mean of 1, 3, 8 is 4; their squared distances from it are 9, 1 and 16.
        assert column == Column("column 0", "number", (), 1.0, 8.0, True, 4.0, math.sqrt(26 / 3))

    def test_whole_numbers_and_names_by_hand(self):
        rows = np.array([[2, "b", True], [4, "a", None], [None, "b", False]], dtype=object)
        assert list(Columns.infer(rows)) == [
            Column("column 0", "integer", (), 2.0, 4.0, True, 3.0, 1.0),
            Column("column 1", "nominal", ("a", "b")),
            Column("column 2", "nominal", (False, True), missing=True),
        ]

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [("int8", "integer"), ("uint64", "integer"), ("float16", "number"), ("bool", "nominal"), ("str", "nominal")],
    )
    def test_types_of_numpy(self, kind: str, expected: str):
        assert Columns.infer(np.ones((2, 1)).astype(kind))[0].kind == expected

    def test_types_of_pandas(self):
        columns = Columns.infer(frame())
        assert {column.name: column.kind for column in columns} == {
            "string": "nominal",
            "int": "integer",
            "float": "number",
            "bool": "nominal",
            "category": "nominal",
            "Int64": "integer",
            "boolean": "nominal",
            "objects": "nominal",
            "counts": "integer",
            "arrow": "integer",
            "arrow string": "nominal",
            "half": "number",
            "date": "date",
            "seconds": "date",
            "zone": "date",
            "arrow date": "date",
            "sparse": "number",
        }
        assert {column.name for column in columns if not column.missing} == {"int", "bool", "half", "sparse"}
        assert columns["category"].categories == ("x", "y", "z"), "declared ones too, sorted"

    def test_types_of_arrow(self):
        columns = Columns.infer(table())
        assert {column.name: column.kind for column in columns} == {
            "string": "nominal",
            "large": "nominal",
            "view": "nominal",
            "int": "integer",
            "unsigned": "integer",
            "half": "number",
            "float": "number",
            "bool": "nominal",
            "dictionary": "nominal",
            "numbers": "nominal",
            "date": "date",
            "milliseconds": "date",
            "timestamp": "date",
            "nothing": "number",
        }
        assert columns["numbers"].categories == (10, 30)

    def test_a_constant_has_the_scale_one(self):
        (column,) = Columns.infer(np.full((5, 1), 0.1))
        assert (column.center, column.scale) == (0.1, 1.0)

    def test_a_scale_that_float32_can_tell(self):
        # Next to a billion, float32 has steps of 64: a deviation of 1 would make features of 64.
        (column,) = Columns.infer(np.array([[1e9], [1e9 + 2]]))
        assert column.scale == 64.0
        (column,) = Columns.infer(np.array([[0.0], [1e-300]]))
        assert np.float32(column.scale) > 0

    @pytest.mark.parametrize(
        "rows",
        [
            np.full((2, 1), NAN),
            np.full((2, 1), None),
            pd.DataFrame({"a": [NAN, NAN]}),
            pd.DataFrame({"a": [None, None]}, dtype=object),
            pa.table({"a": pa.nulls(2)}),
            pa.table({"a": pa.array([None, None], pa.float64())}),
        ],
        ids=["nan", "objects", "frame", "frame of objects", "null", "double"],
    )
    def test_nothing_is_numbers(self, rows: Any):
        (column,) = Columns.infer(rows)
        assert (column.kind, column.low, column.high, column.missing) == ("number", None, None, True)
        assert (column.center, column.scale) == (0.0, 1.0)
        assert np.isnan(Columns.infer(rows).encode(rows)).all()

    @pytest.mark.parametrize(
        "rows",
        [
            pa.table({"a": pa.array([None], pa.string())}),
            pd.DataFrame({"a": pd.Categorical([None], categories=[])}),
        ],
        ids=["strings", "categorical"],
    )
    def test_nothing_of_a_nominal_type_is_nominal(self, rows: Any):
        (column,) = Columns.infer(rows)
        assert column == Column("a", "nominal", missing=True)

    def test_numbers_that_are_names(self):
        rows = np.array([[3.0, 10.0], [1.0, 20.0], [NAN, 10.0]])
        columns = Columns.infer(rows, nominal=[0])
        assert columns[0] == Column("column 0", "nominal", (1.0, 3.0), missing=True)
        assert columns[1].kind == "number"
        assert Columns.infer(rows, nominal=["column 0"]) == columns
        codes = pd.DataFrame({"zip": [2**60, 2**60 + 1]})
        assert Columns.infer(codes, nominal=["zip"])[0].categories == (2**60, 2**60 + 1)

    def test_names_for_an_array(self):
        columns = Columns.infer(np.zeros((1, 2)), names=["age", "sex"], nominal=["sex"])
        assert columns.names == ("age", "sex") and columns.mask.tolist() == [False, True]

    def test_labels_of_a_frame_that_are_no_strings(self):
        assert Columns.infer(pd.DataFrame([[1, 2]])).names == ("0", "1")

    def test_objects_of_numpy(self):
        rows = np.array([[np.int8(-128), np.str_("b"), np.bool_(True), np.float32(0.5)]], dtype=object)
        columns = Columns.infer(rows)
        assert [type(value) for column in columns for value in column.categories] == [str, bool, bool]
        assert columns.encode(rows).tolist() == [[-128.0, 0.0, 1.0, 0.5]]

    def test_masked_arrays(self):
        rows = np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [False, False]])
        columns = Columns.infer(rows)
        assert [column.missing for column in columns] == [False, True]
        assert columns[1].low == columns[1].high == 4.0

    @pytest.mark.parametrize("kind", ["S1", "complex64"])
    def test_other_types_of_numpy(self, kind: str):
        with pytest.raises(
            BadInput, match=r"^column 'column 0' of the rows must be of bools, numbers, strings or dates; got"
        ):
            Columns.infer(np.ones((2, 1), int).astype(kind))

    @pytest.mark.parametrize(
        "column",
        [
            pd.period_range("2020", periods=2, freq="Y"),
            pd.cut([1.0, 2.0], 2),
            pd.Series([b"a", b"b"], dtype=object),
            pd.Series([[1], [2]], dtype=object),
        ],
        ids=["periods", "intervals", "bytes", "lists"],
    )
    def test_other_types_of_pandas(self, column: Any):
        with pytest.raises(
            BadInput, match=r"^column 'odd' of the rows must be of bools, numbers, strings or dates; got"
        ):
            Columns.infer(pd.DataFrame({"odd": column}))

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([b"a"]),
            pa.array([[1]]),
            pa.array([{"a": 1}]),
            pa.array([1], pa.time32("s")),
        ],
        ids=lambda column: str(column.type),
    )
    def test_other_types_of_arrow(self, column: Any):
        with pytest.raises(
            BadInput, match=r"^column 'odd' of the rows must be of bools, numbers, strings or dates; got"
        ):
            Columns.infer(pa.table({"odd": column}))

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (np.zeros((0, 2)), "rows of a table must be at least one column and one row; got 2 columns and 0 rows"),
            (np.zeros((2, 0)), "rows of a table must be at least one column and one row; got 0 columns and 0 rows"),
            (pd.DataFrame({"a": []}), "rows of a table must be at least one column and one row"),
            (pa.table({"a": pa.array([], pa.string())}), "rows of a table must be at least one column and one row"),
            (np.zeros(3), r"rows of a table must be \[rows, columns\]; got \(3,\)\. Use \.reshape\(1, -1\)"),
            (
                [[1, 2]],
                "rows of a table must be a NumPy array, a DataFrame, an Arrow table.*; got a list",
            ),
            (scipy.sparse.eye_array(2).tocsr(), r".*; got a csr_array\. Make them dense with toarray\(\)"),
            ("new.csv", r".*; got a str\. Read the file before, for instance with pandas\.read_csv"),
            (Path("new.csv"), r".*; got a PosixPath\. Read the file before"),
            (
                pd.Series([1, 2]),
                "rows of a table must be a NumPy array, a DataFrame, an Arrow table.*; got a Series",
            ),
            (
                pd.DataFrame([[1, 2]], columns=["a", "a"]),
                "Two columns of the rows have one name: 'a' at positions 0 and 1",
            ),
            (pd.DataFrame([[1, 2]], columns=["1", 1]), "Two columns of the rows have one name"),
            (
                pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
                "Two columns of the rows have one name",
            ),
            (
                np.array([[1.0, 2.0], [1.0, -np.inf]]),
                "column 'column 1' of the rows must be finite in float32; got -inf in row 1",
            ),
            (np.array([[1e39]]), r"column 'column 0' of the rows must be finite in float32; got 1e\+39 in row 0"),
            (
                pd.DataFrame({"a": [1.0, np.inf]}),
                "column 'a' of the rows must be finite in float32; got inf in row 1",
            ),
            (pa.table({"a": [1.0, np.inf]}), "column 'a' of the rows must be finite in float32; got inf in row 1"),
            (
                np.array([[2**53], [2**53 + 1]]),
                r"column 'column 0' of the rows must be from -2\*\*53 to 2\*\*53; got 9007199254740993 in row 1",
            ),
            (
                np.array([[0.5], [2**53 + 1]], dtype=object),
                r"column 'column 0' of the rows must be from -2\*\*53 to 2\*\*53, as there are floats too; got 9007",
            ),
            (
                np.array([[2**63]], dtype=object),
                r"column 'column 0' of the rows must be of numbers below 2\*\*63",
            ),
            (
                np.array([["a"], [1]], dtype=object),
                r"column 'column 0' of the rows must be of one type; got str \(row 0\) and int \(row 1\)\. Convert",
            ),
            (
                np.array([["\ud800"]], dtype=object),
                "column 'column 0' of the rows must be of valid Unicode; got 'utf",
            ),
            (np.array([[True], [1]], dtype=object), "column 'column 0' of the rows must be of one type"),
            (
                pd.DataFrame({"a": pd.Categorical(["x", 1], categories=["x", 1])}),
                "column 'a' of the rows must be of one type",
            ),
        ],
    )
    def test_broken_rules_are_named(self, rows: Any, message: str):
        with pytest.raises(BadInput, match=f"^{message}"):
            Columns.infer(rows)

    def test_infinity_among_names(self):
        with pytest.raises(BadInput, match=r"^column 'column 0' of the rows must be finite; got inf in row 1"):
            Columns.infer(np.array([[1.0], [np.inf]]), nominal=[0])

    @pytest.mark.parametrize(
        ("nominal", "message"),
        [
            (["agee"], "nominal of the rows must be names of columns; got 'agee'. Did you mean 'age'"),
            ([2], "nominal of the rows must be from 0 to 1; got 2. Count the columns from 0"),
            ([-1], "nominal of the rows must be from 0 to 1; got -1"),
        ],
    )
    def test_nominal_columns_that_are_not_there(self, nominal: list[Any], message: str):
        with pytest.raises(BadInput, match=f"^{message}"):
            Columns.infer(pd.DataFrame({"age": [1], "sex": [2]}), nominal=nominal)

    def test_names_that_do_not_fit(self):
        with pytest.raises(BadInput, match=r"^names of infer must be one for each of the 2 columns; got \['a'\]"):
            Columns.infer(np.zeros((1, 2)), names=["a"])
        with pytest.raises(BadInput, match=r"^names of infer must be given for arrays alone; got \['a'\]"):
            Columns.infer(pd.DataFrame({"b": [1]}), names=["a"])


class TestEncode:
    def test_by_hand(self):
        columns = Columns.infer(frame())
        assert np.allclose(
            columns.encode(frame()),
            [
                # At the end the half day of 29 February, midnight in New York, 5:00 or 4:00 in UTC.
                [1, 3, 1, 1, 1, 1, 1, 0, 7, 1, 0, 1, 0.5, 0, 5 / 24, 0, 0],
                [NAN, -1, NAN, 0, 0, NAN, NAN, NAN, NAN, NAN, NAN, 2, NAN, 2, NAN, NAN, 0],
                [0, 3, 2.5, 1, NAN, 3, 0, 1, 9, 3, 1, 4, 1 + 1 / 48, NAN, 185 + 4 / 24, 2, 1.5],
            ],
            rtol=0,
            atol=1e-12,
            equal_nan=True,
        )

    def test_the_matrix_is_contiguous_float64(self):
        matrix = Columns.infer(table()).encode(table())
        assert matrix.flags.c_contiguous and matrix.dtype == np.float64 and matrix.shape == (3, 14)

    def test_forms_agree(self):
        rows = pa.table({"a": ["x", "y", None], "b": [1.5, None, 2.5], "c": [1, 2, 3]})
        columns = Columns.infer(rows)
        expected = columns.encode(rows)
        objects = np.array([["x", 1.5, 1], ["y", None, 2], [None, 2.5, 3]], dtype=object)
        chunks = pa.concat_tables([rows.slice(0, 1), rows.slice(1)])
        for same in (rows.to_pandas(), objects, rows.select(["c", "a", "b"]), rows.to_batches()[0], chunks):
            assert np.array_equal(columns.encode(same), expected, equal_nan=True)

    def test_chunks_with_dictionaries_of_their_own(self):
        parts = [pa.table({"a": pa.array(values).dictionary_encode()}) for values in (["y", "x"], ["z", "y", None])]
        rows = pa.concat_tables(parts)
        columns = Columns.infer(rows)
        assert columns[0].categories == ("x", "y", "z")
        assert np.array_equal(columns.encode(rows), [[1], [0], [2], [1], [NAN]], equal_nan=True)

    def test_a_stream(self):
        rows = table()
        columns = Columns.infer(rows)
        assert np.array_equal(columns.encode(rows.to_reader()), columns.encode(rows), equal_nan=True)

    def test_equal_numbers_are_the_same_name(self):
        columns = Columns.infer(np.array([[1], [2]]), nominal=[0])
        assert columns.encode(np.array([[2.0], [NAN]])).tolist()[0] == [1.0]
        assert Columns.infer(np.array([[False], [True]])).encode(np.array([[1], [0]])).tolist() == [[1.0], [0.0]]

    def test_whole_numbers_may_get_a_fraction(self):
        assert Columns.infer(np.array([[1], [2]])).encode(np.array([[1.5]])).tolist() == [[1.5]]

    def test_unseen_values(self):
        columns = Columns.infer(np.array([["red"], ["blue"]]))
        message = (
            r"^column 'column 0' of the rows must be one of the values that were there when the columns were inferred; "
            r"got 'rad' in row 1\. Did you mean 'red'\? With unseen='missing', deploy and Mimic take it for missing\."
        )
        with pytest.raises(BadInput, match=message):
            columns.encode(np.array([["red"], ["rad"]]))
        assert np.array_equal(
            columns.encode(np.array([["red"], ["rad"]]), unseen="missing"), [[1], [NAN]], equal_nan=True
        )

    def test_bools_and_numbers_that_are_names_may_come_as_texts(self):
        columns = Columns.infer(
            pd.DataFrame({"branch": [101, 205], "paid": [False, True], "size": [0.5, 2.0]}), nominal=["branch", "size"]
        )
        texts = {"branch": ["205", "101", ""], "paid": ["True", "false", "True"], "size": ["0.5", "2", "0.5"]}
        expected = [[1, 1, 0], [0, 0, 1], [NAN, 1, 0]]
        assert np.array_equal(columns.encode(pd.DataFrame(texts)), expected, equal_nan=True)
        rows = [dict(zip(texts, cells, strict=True)) for cells in zip(*texts.values(), strict=True)]
        for row, codes in zip(rows, expected, strict=True):
            assert np.array_equal(columns.encode(row), [codes], equal_nan=True), "one row has a path of its own"
        with pytest.raises(BadInput, match=r"column 'branch' of the rows must be one of .*; got '7' in row 0"):
            columns.encode({"branch": "7", "paid": "true", "size": "2"})

    def test_unseen_values_of_another_type(self):
        columns = Columns.infer(np.array([["1"], ["2"]]))
        told = r"^column 'column 0' of the rows must be one .*; got 1 in row 0. Its values were of type str then, and"
        with pytest.raises(BadInput, match=told + " this is of type int: convert it"):
            columns.encode(np.array([[1]]))
        with pytest.raises(BadInput, match=r"got 'x{39} \.\.\. x{14}' in row 0"):
            columns.encode(np.array([["x" * 1000]], object))

    def test_unseen_values_where_there_were_many_or_none(self):
        many = Columns.infer(np.array([[f"{number:03d}"] for number in range(99)]))
        with pytest.raises(BadInput, match=r"There are 99 values, such as '000'\. With unseen"):
            many.encode(np.array([["x"]]))
        none = Columns.infer(pa.table({"a": pa.array([None], pa.string())}))
        with pytest.raises(BadInput, match=r"It had no value then\. With unseen"):
            none.encode(pa.table({"a": ["x"]}))

    def test_declared_values_that_no_row_has_are_no_error(self):
        columns = Columns.infer(pd.DataFrame({"a": ["x", "y"]}))
        rows = pd.DataFrame({"a": pd.Categorical(["y"], categories=["w", "y"])})
        assert columns.encode(rows).tolist() == [[1.0]]

    def test_missing_where_nothing_was_missing(self):
        columns = Columns.infer(np.array([["x", 1.0]], dtype=object))
        assert np.isnan(columns.encode(np.array([[None, None]]))).all()

    @pytest.mark.parametrize("value", ["three", "1,5", True], ids=["name", "comma", "bool"])
    def test_something_else_than_numbers(self, value: Any):
        columns = Columns.infer(pd.DataFrame({"age": [1.0]}))
        message = rf"^column 'age' of the rows must be of numbers; got .*{value}.* in row 0.*\. Convert it: these were"
        with pytest.raises(BadInput, match=message):
            columns.encode(pd.DataFrame({"age": [value]}))

    def test_infinity(self):
        with pytest.raises(BadInput, match=r"^column 'age' of the rows must be finite in float32; got inf in row 1"):
            Columns.infer(pd.DataFrame({"age": [1.0]})).encode(pd.DataFrame({"age": [1.0, np.inf]}))

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (
                pd.DataFrame({"age": [1], "sxe": [2]}),
                "The rows have no column 'sex'; they have .*'sxe'",
            ),
            (
                pd.DataFrame({"age": [1], "sex": [2], "name": [3]}),
                r"The rows have columns that are not known: \['name'\]\. Leave them out",
            ),
            (np.zeros((1, 3)), "number of columns of the rows must be 2, as when they were inferred; got 3"),
        ],
    )
    def test_other_columns(self, rows: Any, message: str):
        columns = Columns.infer(pd.DataFrame({"age": [1], "sex": [2]}))
        with pytest.raises(BadInput, match=f"^{message}"):
            columns.encode(rows)

    def test_an_unknown_choice(self):
        columns = Columns.infer(np.zeros((1, 1)))
        with pytest.raises(BadInput, match=r"^unseen of encode must be 'error' or 'missing'; got 'mising'\. Did you"):
            unchecked(Columns.encode)(columns, np.zeros((1, 1)), unseen="mising")


class TestTexts:
    """Strings that are numbers as people write them."""

    ROWS: Any = pd.DataFrame(
        {"price": ["1.234,50", "12,00", "-"], "color": ["red", "blue", "none"], "code": ["1", "2", "3"]}
    )

    def test_by_hand(self):
        columns = Columns.infer(self.ROWS, texts=True)
        price, color, code = columns
        assert (price.kind, price.low, price.high, price.missing) == ("number", 12.0, 1234.5, True)
        assert color.categories == ("blue", "none", "red") and code.categories == ("1", "2", "3")
        assert np.array_equal(columns.encode(self.ROWS)[:, 0], [1234.5, 12, NAN], equal_nan=True)
        assert str(price) == "number from 12 to 1234.5 or missing, written with decimal comma, points between thousands"
        assert Columns.infer(self.ROWS, written=written([self.ROWS], digits=True))[2].kind == "integer"
        assert Columns.infer(self.ROWS, texts=True, nominal=["price"])[0].kind == "nominal"
        assert Columns.infer(self.ROWS)[0].kind == "nominal"

    def test_rows_are_read_as_they_were_written(self):
        columns = Columns.from_json(Columns.infer(self.ROWS, texts=True).to_json())
        assert columns == Columns.infer(self.ROWS, texts=True)
        for price, value in (("2.000,25", 2000.25), (7, 7), (7.5, 7.5), ("n/a", NAN), (None, NAN), ("", NAN)):
            rows = [{"price": price, "color": "red", "code": "1"}] * 6
            for form in (rows[0], rows[:1], rows, pd.DataFrame(rows)):
                assert np.array_equal(columns.encode(form)[0], [value, 2, 0], equal_nan=True)
        with pytest.raises(
            BadInput, match=r"^column 'price' .* of numbers \(written with decimal comma.*; got '1.5' in"
        ):
            columns.encode({"price": "1.5", "color": "red", "code": "1"})

    def test_texts_and_numbers_in_one_column(self):
        columns = Columns.infer(pd.DataFrame({"age": [1.0, 2.0]}))
        rows = pd.DataFrame({"age": ["3", 4, 5.5, "", None, NAN, "n/a"]}, dtype=object)
        assert np.array_equal(columns.encode(rows)[:, 0], [3, 4, 5.5, NAN, NAN, NAN, NAN], equal_nan=True)
        with pytest.raises(BadInput, match=r"^column 'age' of the rows must be of numbers; got 'x' in row 1"):
            columns.encode(pd.DataFrame({"age": [3.0, "x", 1.0, 1.0, 1.0]}, dtype=object))
        for date in (datetime.date(2024, 5, 31), pd.Timestamp("2024-05-31")):
            with pytest.raises(BadInput, match=r"^column 'age' of the rows must be of numbers; got .*2024.* in row 1"):
                columns.encode(pd.DataFrame({"age": [3.0, date, 1.0, 1.0, 1.0]}, dtype=object))
        with pytest.raises(
            BadInput, match=r"^column 'age' of the rows must be from -2\*\*53 .*; got 9007199254740993 in"
        ):
            columns.encode(pd.DataFrame({"age": ["3", 2**53 + 1]}, dtype=object))
        gaps = pd.DataFrame({"age": [3.0, pd.NA, None, pd.NaT, "4"]}, dtype=object)
        assert np.array_equal(columns.encode(gaps)[:, 0], [3, NAN, NAN, NAN, 4], equal_nan=True)
        with pytest.raises(BadInput, match=r"^column 'age' of the rows must be of numbers; got 'x' in row 2"):
            columns.encode(pd.DataFrame({"age": ["3", None, "x", "old", "3", "x"]}))

    def test_all_tables_must_agree(self):
        other = pd.DataFrame({"price": ["cheap"], "color": ["red"], "code": ["1"]})
        assert "price" not in written([self.ROWS, other]) and "price" in written([self.ROWS, self.ROWS[:1]])
        numbers = pd.DataFrame({"price": [3.5], "color": ["red"], "code": ["1"]})
        assert "price" in written([self.ROWS, numbers])

    def test_a_few_values_that_are_no_numbers_are_named(self):
        rows = pd.DataFrame({"age": [f"{number},5" for number in range(30)] + ["about 3"]})
        with pytest.raises(BadInput, match=r"^Column 'age' holds numbers, but also 'about 3'\. Repair"):
            Columns.infer(rows, texts=True)


def test_missing_values_where_none_was_are_counted(caplog: pytest.LogCaptureFixture):
    columns = Columns.infer(pd.DataFrame({"age": [1.0, 2.0], "color": ["red", "blue"], "gap": [1.0, None]}))
    assert np.isnan(columns.encode({"age": None, "color": "", "gap": None})).all()
    assert [record.getMessage() for record in caplog.records] == [
        "of 1 rows, 2 values are missing or names never seen, in columns that had all of theirs "
        "(1 of 'age', 1 of 'color'): numbers count as the column's middle, names as none that is known"
    ]
    caplog.clear()
    columns.encode({"age": 1, "color": "red", "gap": None})
    assert not caplog.records


def test_a_sequence_of_columns():
    columns = Columns.infer(frame())
    assert len(columns) == 17 and next(iter(columns)).name == "string" and columns[-1].name == "sparse"
    assert columns["float"] is columns[2]
    assert columns.mask.tolist() == [column.kind == "nominal" for column in columns]
    with pytest.raises(
        BadInput, match=r"^name of the rows must be names of columns; got 'flaot'\. Did you mean 'float'"
    ):
        columns["flaot"]


def test_they_print_what_they_hold():
    rows = pa.table({"a": ["x", None], "b": [1, 20], "c": pa.nulls(2)})
    assert repr(Columns.infer(rows)) == (
        "Columns('a': nominal of 1 values or missing, 'b': integer from 1 to 20, 'c': number or missing)"
    )
