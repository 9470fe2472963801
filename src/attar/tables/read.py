"""Reading a table: its cells, column by column, whatever form it came in."""

from __future__ import annotations

import datetime
import decimal
import fractions
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.errors import BadInput, MissingExtra, Words, must
from attar.regular_arrays import unmasked
from attar.tables.cells import EXACT, Cells, as_python, is_null, seconds
from attar.tables.dates import moments
from attar.tables.names import by_place, distinct
from attar.tables.rows import arrow, as_arrow, by_name

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Bool, Int64, Shaped


def read_cells(rows: Any) -> list[Cells]:
    """The columns of a table.

    Args:
        rows: A NumPy array ``[rows, columns]`` of numbers, bools, strings or objects, a pandas DataFrame, anything that
            Arrow can read as a table, or what `by_name` takes. In objects None and NaN are missing.

    Raises:
        BadInput: If it is none of these, has no column or no row, has two columns of one name, or a column holds
            something else than bools, numbers (spans of time are numbers of seconds), strings or dates.
    """
    pandas = sys.modules.get("pandas")
    if (lists := by_name(rows)) is not None:
        cells = [_from_array(name, _objects(values)) for name, values in lists.items()]
    elif isinstance(rows, np.ndarray):
        cells = _from_numpy(rows)
    elif pandas is not None and isinstance(rows, pandas.DataFrame):
        names = distinct(map(str, rows.columns))
        cells = [_from_series(name, rows.iloc[:, place]) for place, name in enumerate(names)]
    else:
        table = as_arrow(rows)
        cells = [_from_arrow(name, table.column(place)) for place, name in enumerate(distinct(table.column_names))]
    if not cells or not len(cells[0].values):
        got = Words(f"{len(cells)} columns and {len(cells[0].values) if cells else 0} rows")
        raise must("rows", "a table", "at least one column and one row", got, "Give some")
    return cells


def _from_numpy(rows: Any) -> list[Cells]:
    refuse_records(rows)
    if rows.ndim != 2:
        raise must("rows", "a table", "[rows, columns]", tuple(rows.shape), "Use .reshape(1, -1) for a single row")
    # A column of a matrix would be a matrix.
    rows = unmasked(rows) if isinstance(rows, np.ma.MaskedArray) else np.asarray(rows)
    return [_from_array(name, rows[:, place]) for place, name in enumerate(by_place(rows.shape[1]))]


def refuse_records(rows: Any) -> None:
    """See that an array is not of records.

    Raises:
        BadInput: If it is.
    """
    if rows.dtype.names is not None:
        got = Words(f"an array of records of {', '.join(map(repr, rows.dtype.names))}")
        raise must("rows", "a table", "[rows, columns]", got, "Give pandas.DataFrame(rows), which keeps the names")


def _from_array(name: str, values: Any) -> Cells:
    """The cells of a one-dimensional array."""
    kind = values.dtype.kind
    if kind == "O":
        return _from_objects(name, values)
    if kind == "m":
        kind, values = "f", seconds(values)
    if kind not in "biufUM":
        raise _unfit(name, str(values.dtype))
    if kind == "M":
        return Cells(name, values, np.isnat(values))
    return Cells(name, values, np.isnan(values) if kind == "f" else np.zeros(len(values), bool))


def _from_objects(name: str, values: Any) -> Cells:
    """The cells of an array of Python objects."""
    try:
        present, missing = _of_one_type(name, values)
    except _Mixed as error:
        empty = np.fromiter((_family(type(value)) == "missing" for value in values), bool, len(values))
        return Cells(name, values, empty, problem=error)
    if present.dtype.kind == "M":
        missing[~missing] = np.isnat(present)
        present = present[~np.isnat(present)]
    filled = np.full(len(values), np.nan) if missing.all() else np.full(len(values), present[0], present.dtype)
    filled[~missing] = present
    nan = any(isinstance(one, float | np.floating) for one in values[missing])
    days = present.dtype.kind == "M" and {*map(type, values[~missing])} == {datetime.date}
    return Cells(name, filled, missing, nan=nan, days=days)


class _Mixed(BadInput):
    """The values of a column are of several types."""


def _of_one_type(name: str, values: Any) -> tuple[Any, Bool[np.ndarray, " rows"]]:
    """The values of objects that are not missing, as an array of one type, and which ones are missing.

    Strings stay objects.

    Raises:
        BadInput: If one is something else than a bool, a number, a string or a date, or they are of different types.
    """
    # By the few types that there are, not value by value, which takes ten times as long.
    kinds = list(map(type, values))
    families = {kind: _family(kind) for kind in set(kinds)}
    for kind, family in families.items():
        if family is None:
            raise _unfit(name, f"{kind.__name__} in row {kinds.index(kind)}")
    missing = np.fromiter((families[kind] == "missing" for kind in kinds), bool, len(kinds))
    present = values[~missing]
    if "float" in families.values():
        nan = present != present
        missing[~missing] = nan
        present = present[~nan]
    first = {str(families[kind]): kinds.index(kind) for kind in set(map(type, present))}
    if len(first) > 1 and first.keys() != {"int", "float"}:
        got = Words(
            " and ".join(f"{family} (row {row})" for family, row in sorted(first.items(), key=lambda pair: pair[1]))
        )
        remedy = "Convert them, for instance with .astype(str)"
        raise _Mixed(str(must(f"column {name!r}", "the rows", "of one type", got, remedy)))
    family = "float" if "float" in first or not first else next(iter(first))
    if family == "date":
        return moments(name, present, np.zeros(len(present), bool)), missing
    if family == "span":
        spans = np.array([as_python(value) for value in present], np.float64)
        missing[~missing] = np.isnan(spans)  # NaT of NumPy is such a span
        return spans[~np.isnan(spans)], missing
    if "int" in first:
        largest = max((int(value) for value in present if families[type(value)] == "int"), key=abs)
        if abs(largest) > (EXACT if family == "float" else 2**63 - 1):
            rule = "from -2**53 to 2**53, as there are floats too" if family == "float" else "of numbers below 2**63"
            raise must(f"column {name!r}", "the rows", rule, largest, "Convert it to floats or strings")
    if family == "str" and {*map(type, present)} != {str}:
        present = np.array([str(value) for value in present], object)
    return present.astype({"bool": bool, "int": np.int64, "float": np.float64, "str": object}[family]), missing


def _family(kind: type) -> str | None:
    """What values of a type are; None for a type that is none of it."""
    if is_null(kind):
        return "missing"
    return next((family for family, types in _FAMILIES.items() if issubclass(kind, types)), None)


_FAMILIES: dict[str, tuple[type, ...]] = {
    "bool": (bool, np.bool_),  # first: to Python a bool is an int
    "span": (datetime.timedelta, np.timedelta64),  # to NumPy one is an integer
    "int": (int, np.integer),
    "float": (float, np.floating, decimal.Decimal, fractions.Fraction),
    "str": (str,),
    "date": (datetime.date, np.datetime64),  # a datetime is a date, and so is a Timestamp of pandas
}


def _from_series(name: str, series: Any) -> Cells:
    """The cells of a column of pandas."""
    dtype = series.dtype
    if hasattr(dtype, "categories") and hasattr(series, "cat"):
        return _declared(name, np.asarray(dtype.categories, object), series.cat.codes.to_numpy(np.int64))
    if isinstance(dtype, np.dtype) or str(dtype).startswith("Sparse"):
        return _from_array(name, np.asarray(series))
    try:
        pa = arrow("A column of pandas' own types")
    except MissingExtra:
        return _from_array(name, np.asarray(series, object))  # slower, and the same
    try:
        column = pa.Array.from_pandas(series)
    except pa.ArrowException as error:
        raise _unfit(name, str(dtype)) from error
    return _from_arrow(name, column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column]))


_FEW_ROWS = 256
"""Rows up to which text is taken cell by cell: of a table of many columns and few rows, what a column costs counts."""


def _from_arrow(name: str, column: Any) -> Cells:
    """The cells of a column of Arrow."""
    pa = arrow("Reading an Arrow table")
    kind = column.type
    missing = column.is_null().to_numpy()
    if not len(column):
        return Cells(name, np.zeros(0), missing)
    if pa.types.is_dictionary(kind):
        merged = pa.concat_arrays(column.unify_dictionaries().chunks)
        codes = merged.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return _declared(name, np.array(merged.dictionary.to_pylist(), object), codes)
    if pa.types.is_null(kind):
        return Cells(name, np.full(len(column), np.nan), missing)
    if pa.types.is_boolean(kind):
        return Cells(name, column.fill_null(False).to_numpy(), missing)
    if pa.types.is_integer(kind):
        return Cells(name, column.fill_null(0).to_numpy(), missing)
    if pa.types.is_floating(kind):
        # Half floats have no fill_null.
        values = (column.cast(pa.float32()) if kind.bit_width == 16 else column).fill_null(float("nan")).to_numpy()
        return Cells(name, values, np.isnan(values))
    if pa.types.is_decimal(kind):
        return _from_arrow(name, column.cast(pa.float64()))
    if pa.types.is_duration(kind):
        values = seconds(column.to_numpy())
        return Cells(name, values, np.isnan(values))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        if len(column) <= _FEW_ROWS:
            texts = column.to_pylist()
            ordered = sorted({text for text in texts if text is not None})
            places = {text: place for place, text in enumerate(ordered)}
            codes = np.fromiter((places.get(text, -1) for text in texts), np.int64, len(texts))
            return Cells(name, codes, codes < 0, tuple(ordered), declared=False)
        found = _from_arrow(name, column.cast(pa.large_string()).dictionary_encode())
        return replace(found, declared=False)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # One with a zone counts from the same moment, which is that of UTC.
        try:
            values = column.cast(pa.timestamp("us"), safe=False).to_numpy()
        except pa.ArrowException as error:
            raise _unfit(name, f"{kind} ({str(error).strip()})") from error
        return Cells(name, values, np.isnat(values))
    raise _unfit(name, str(kind))


def _declared(name: str, categories: Any, codes: Int64[np.ndarray, " rows"]) -> Cells:
    """The cells of a column that declares its categories, in any order."""
    present, missing = _of_one_type(name, categories)
    if present.dtype.kind == "M":
        remedy = "Convert it to a column of dates, or its categories to strings, which are names"
        raise must(f"column {name!r}", "the rows", "of names, as it has categories", Words("dates"), remedy)
    values = present.tolist()
    ordered = sorted(set(values))
    places = {value: place for place, value in enumerate(ordered)}
    lookup = np.full(len(categories) + 1, -1, np.int64)  # the last one is where -1, a missing value, points
    lookup[:-1][~missing] = [places[value] for value in values]
    renumbered = lookup[codes]
    return Cells(name, renumbered, renumbered < 0, tuple(ordered), declared=True)


_REMEDIES = {
    "period": "Convert it to dates with .dt.to_timestamp()",
    "interval": "Convert it to names with .astype(str), or to the middles of the intervals",
    "complex": "Give the real part and the imaginary one as two columns",
    "bytes": "Decode it to texts with .str.decode('utf-8')",
    "binary": "Cast it to texts",
    "time in row": "Convert it to a span of time, or to a number of hours",
    "time32": "Convert it to a span of time, or to a number of hours",
    "time64": "Convert it to a span of time, or to a number of hours",
}
"""What to do about a column of a type that has this in its name."""


def _unfit(name: str, got: str) -> BadInput:
    kind = next((one for one in _REMEDIES if one in got.lower()), None)
    remedy = "Convert it, for instance to numbers, or leave it out" if kind is None else _REMEDIES[kind]
    return must(f"column {name!r}", "the rows", "of bools, numbers, strings or dates", got, remedy)


def _objects(values: Sequence[Any]) -> Shaped[np.ndarray, " rows"]:
    """Values as an array of Python objects; at once, NumPy would unpack lists."""
    return np.fromiter(values, object, len(values))
