"""Reading the cells of a table."""

from __future__ import annotations

import datetime
import decimal
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from attar.errors import BadInput
from attar.tables.columns import Columns
from attar.tables.read import read_cells


def test_text_of_few_rows_is_taken_as_that_of_many_is() -> None:
    texts = ["b", None, "", "ä", "b", "a", "10", "9"]
    (few,) = read_cells(pa.table({"x": texts}))
    (many,) = read_cells(pa.table({"x": texts * 100}))
    assert few.categories == many.categories == ("", "10", "9", "a", "b", "ä")
    assert_array_equal(np.tile(few.values, 100), many.values)
    assert_array_equal(np.tile(few.missing, 100), many.missing)
    assert few.kind == many.kind == "nominal" and not few.declared and not many.declared
    (none,) = read_cells(pa.table({"x": pa.array([None, None], pa.string())}))
    (nones,) = read_cells(pa.table({"x": pa.array([None] * 600, pa.string())}))
    assert none.kind == nones.kind and none.categories == nones.categories and none.missing.all()


SPANS = [3600.0, 0.005, np.nan, -90.0]
HOURS = pd.to_timedelta(SPANS, unit="s")
OBJECTS = [datetime.timedelta(hours=1), np.timedelta64(5, "ms"), pd.NaT, pd.Timedelta(seconds=-90)]
DECIMALS = [decimal.Decimal("1.50"), None, decimal.Decimal("-2.25"), decimal.Decimal("1000")]


@pytest.mark.parametrize(
    ("values", "expected", "comes_back"),
    [
        (pd.Series(HOURS), SPANS, True),
        (pd.Series(HOURS).astype("timedelta64[s]"), [3600.0, 0.0, np.nan, -90.0], True),
        (pd.Series(HOURS).astype(pd.ArrowDtype(pa.duration("ms"))), SPANS, True),
        (pd.Series(OBJECTS, dtype=object), SPANS, False),
        (pd.Series([*OBJECTS[:2], np.timedelta64("NaT", "s"), OBJECTS[3]], dtype=object), SPANS, False),
        (pd.Series(DECIMALS, dtype=object), [1.5, np.nan, -2.25, 1000.0], False),
        (pd.Series(DECIMALS, dtype=pd.ArrowDtype(pa.decimal128(10, 2))), [1.5, np.nan, -2.25, 1000.0], True),
        (pd.Series([decimal.Decimal("NaN"), 2, Fraction(1, 4), 0.5], dtype=object), [np.nan, 2.0, 0.25, 0.5], False),
    ],
    ids=["spans", "seconds", "arrow spans", "span objects", "NaT of NumPy", "decimals", "arrow decimals", "fractions"],
)
def test_spans_of_time_are_seconds_and_decimals_numbers(values: pd.Series, expected: list[float], comes_back: bool):
    frame = pd.DataFrame({"x": values, "z": [1, 2, 3, 4]})
    columns = Columns.infer(frame)
    assert columns["x"].kind == "number"
    encoded = columns.encode(frame)
    np.testing.assert_array_equal(encoded[:, 0], expected)
    for row in range(4):  # a few rows go another way
        np.testing.assert_array_equal(columns.encode(frame.iloc[row : row + 1]), encoded[row : row + 1])
    decoded = columns.decode(encoded, like=frame)
    np.testing.assert_array_equal(columns.encode(decoded)[:, 0], expected)
    if comes_back:
        pd.testing.assert_frame_equal(decoded, frame)
    other = pd.DataFrame({"x": np.array([decimal.Decimal("0.5"), "7.25", None, 3], object), "z": [1, 2, 3, 4]})
    np.testing.assert_array_equal(columns.encode(other)[:, 0], [0.5, 7.25, np.nan, 3.0])


def test_arrays_and_tables_of_spans():
    array = np.array([[1, 2], [3, "NaT"]], "timedelta64[h]")
    columns = Columns.infer(array)
    np.testing.assert_array_equal(columns.encode(array), [[3600, 7200], [10800, np.nan]])
    again = columns.decode(columns.encode(array), like=array)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
    table = pa.table({"span": pa.array([90, None], pa.duration("s"))})
    columns = Columns.infer(table)
    assert columns.decode(columns.encode(table), like=table).equals(table)
    assert columns.encode({"span": datetime.timedelta(minutes=1)}).tolist() == [[60.0]]


def test_a_matrix_of_numpy_is_an_array():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy would rather have none
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    columns = Columns.infer(matrix)
    np.testing.assert_array_equal(columns.encode(matrix), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        (pd.Series(pd.period_range("2020-01", periods=3, freq="M")), r"dates with \.dt\.to_timestamp\(\)\."),
        (pd.cut(pd.Series([1.0, 2.0, 3.0]), 2), r"Interval in row 0'. Convert it to names with \.astype\(str\)"),
        (pd.Series([1j, 2j, 3.0]), r"got 'complex128'\. Give the real part and the imaginary one as two columns\."),
    ],
    ids=["periods", "intervals", "complex"],
)
def test_types_that_have_a_remedy_of_their_own(values: pd.Series, remedy: str):
    with pytest.raises(BadInput, match=remedy):
        read_cells(pd.DataFrame({"x": values}))


def test_records_of_numpy_are_told():
    with pytest.raises(BadInput, match=r"an array of records of 'a', 'b'\. Give pandas\.DataFrame\(rows\)"):
        read_cells(np.array([(1, 2.5)], dtype=[("a", int), ("b", float)]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pd.Series([b"yes", b"no"]), "got 'bytes in row 0'. Decode it to texts with .str.decode('utf-8')"),
        (pd.Series([datetime.time(14, 30)] * 2), "got 'time in row 0'. Convert it to a span of time, or to a number"),
        (pd.Series([0, 1], dtype=pd.ArrowDtype(pa.time32("s"))), "got 'time32[s]'. Convert it to a span of time, or"),
        (
            pd.Series(pd.Categorical(pd.to_datetime(["2024-05-31", "2024-06-01"]))),
            "must be of names, as it has categories; got dates. Convert it to a column of dates, or its categories",
        ),
    ],
    ids=["bytes", "times", "times of Arrow", "dates as categories"],
)
def test_what_to_do_about_a_type_that_is_not_read(values: pd.Series, message: str):
    with pytest.raises(BadInput) as error:
        read_cells(pd.DataFrame({"x": values}))
    assert message in str(error.value)
