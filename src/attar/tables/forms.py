"""The forms that a table can have: NumPy array, pandas DataFrame, Arrow table; and how to write each of them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.errors import MissingExtra, must
from attar.tables.cells import EXACT
from attar.tables.column import Column
from attar.tables.names import by_place, distinct
from attar.tables.rows import arrow, as_arrow

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Bool, Float64, Int64, Shaped


@dataclass(frozen=True, slots=True)
class DecodedColumn:
    """One column of a matrix, to be written.

    Attributes:
        column: What it holds.
        values: Numbers or codes, NaN where missing.

    Raises:
        BadInput: If a code is none.
    """

    column: Column
    values: Float64[np.ndarray, " rows"]

    def __post_init__(self) -> None:
        if self.column.kind != "nominal":
            return
        there = self.values[~self.missing]
        right = (there == np.rint(there)) & (there >= 0) & (there < len(self.column.categories))
        if not right.all():
            rule = f"codes, whole numbers from 0 to {len(self.column.categories) - 1}, or NaN"
            got = float(there[~right][0])
            raise must(f"column {self.column.name!r}", "the matrix", rule, got, "Do no arithmetic on nominal columns")

    @property
    def missing(self) -> Bool[np.ndarray, " rows"]:
        """True where there is no value."""
        missing: Bool[np.ndarray, " rows"] = np.isnan(self.values)
        return missing

    @property
    def codes(self) -> Int64[np.ndarray, " rows"]:
        """The codes of a nominal column, -1 where missing."""
        return np.where(self.missing, -1, self.values).astype(np.int64)

    @property
    def logical(self) -> bool:
        """Whether its categories are bools."""
        return bool(self.column.categories) and isinstance(self.column.categories[0], bool)

    @property
    def integral(self) -> bool:
        """Whether it holds whole numbers, as an ``integer`` column or as the values of a nominal one."""
        if self.column.kind == "nominal":
            return bool(self.column.categories) and type(self.column.categories[0]) is int
        there = self.values[~self.missing]
        return self.column.kind == "integer" and bool(((there == np.rint(there)) & (abs(there) <= EXACT)).all())

    def typed(self) -> Shaped[np.ndarray, " rows"]:
        """The values in the type that fits best: int64, float64 (NaN: missing), bool, datetime64, or objects."""
        if self.column.dates is not None:
            return self.column.dates.dates(self.values)
        categories = self.column.categories
        if self.column.kind == "nominal" and (not categories or isinstance(categories[0], bool | str)):
            objects = self.objects()
            return objects.astype(bool) if self.logical and not self.missing.any() else objects
        if self.missing.any() or not self.integral:
            if self.column.kind != "nominal":
                return self.values
            numbers: Float64[np.ndarray, " rows"] = np.array([*categories, np.nan], np.float64)[self.codes]
            return numbers
        objects = self.objects()
        try:
            return objects.astype(np.int64)
        except OverflowError:  # names above 2**63
            return objects.astype(np.uint64)

    def objects(self) -> Shaped[np.ndarray, " rows"]:
        """The values as Python objects; where missing None, and NaN among numbers or where the column says so."""
        if self.column.dates is not None:
            dates = self.column.dates.dates(self.values)
            return (dates.astype("datetime64[D]") if self.column.days else dates).astype(object)
        if self.column.kind == "nominal":
            categories = self.column.categories
            named = bool(categories) and not isinstance(categories[0], bool | str)
            lookup = np.empty(len(categories) + 1, object)
            lookup[:] = [*categories, np.nan if named or self.column.nan else None]
            found: Shaped[np.ndarray, " rows"] = lookup[self.codes]
            return found
        objects = self.values.astype(object)
        if self.integral:
            objects[~self.missing] = self.values[~self.missing].astype(np.int64).astype(object)
        return objects


@dataclass(frozen=True, slots=True)
class Pattern:
    """Rows whose form others are to have.

    Attributes:
        form: A key of `WRITERS`.
        names: What their columns are called.
        rows: The rows themselves, of the class that the writer knows.
    """

    form: str
    names: list[str]
    rows: Any

    @classmethod
    def of(cls, rows: Any) -> Pattern:
        """The form of rows.

        Raises:
            BadInput: If they are no table.
        """
        if isinstance(rows, np.ndarray):
            if rows.ndim != 2:
                raise must("like", "decode", "[rows, columns]", tuple(rows.shape), "Use .reshape(1, -1) for a row")
            return cls("numpy", by_place(rows.shape[1]), rows)
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(rows, pandas.DataFrame):
            return cls("pandas", distinct(map(str, rows.columns)), rows)
        table = as_arrow(rows)
        return cls("arrow", distinct(table.column_names), table)


def write_numpy(decoded: Sequence[DecodedColumn], like: Any = None) -> Any:
    """An array ``[rows, columns]`` of the type of ``like``, or of the narrowest that holds everything."""
    columns = [one.typed() for one in decoded]
    kinds = {column.dtype.kind for column in columns}
    if kinds == {"M"} and (like is None or like.dtype.kind == "M"):
        return np.stack(columns, axis=1).astype("datetime64[us]" if like is None else like.dtype)
    wanted = None if like is None else like.dtype.kind
    if wanted == "m" and kinds <= {"i", "f"}:
        return _spans(np.stack(columns, axis=1)).astype(like.dtype)
    if wanted != "O" and kinds <= {"i", "u", "f"}:
        stacked = np.stack(columns, axis=1)
        return stacked if like is None else _narrowed(stacked, like.dtype)
    if wanted != "O" and kinds == {"b"}:
        return np.stack(columns, axis=1)
    objects = np.stack([one.objects() for one in decoded], axis=1)
    gaps = any(one.missing.any() for one in decoded)
    return objects.astype(str) if wanted == "U" and not gaps and kinds == {"O"} else objects


def write_pandas(decoded: Sequence[DecodedColumn], like: Any = None) -> Any:
    """A DataFrame with the types of ``like``, else with categoricals for what is nominal.

    Raises:
        MissingExtra: If pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise MissingExtra(
            "Decoding to a DataFrame needs the package 'pandas', which is not installed. Run: pip install pandas."
        ) from error
    dtypes = [None] * len(decoded) if like is None else list(like.dtypes)
    columns = {place: _series(pandas, one, dtypes[place]) for place, one in enumerate(decoded)}
    frame = pandas.DataFrame(columns)
    frame.columns = [one.column.name for one in decoded] if like is None else like.columns
    return frame


def write_arrow(decoded: Sequence[DecodedColumn], like: Any = None) -> Any:
    """An Arrow table with the types of ``like``, else with dictionaries for what is nominal; null where missing."""
    types = [None] * len(decoded) if like is None else like.schema.types
    arrays = [_array(one, kind) for one, kind in zip(decoded, types, strict=True)]
    return arrow("Decoding to an Arrow table").table(arrays, names=[one.column.name for one in decoded])


WRITERS: Mapping[str, Callable[[Sequence[DecodedColumn], Any], Any]] = {
    "numpy": write_numpy,
    "pandas": write_pandas,
    "arrow": write_arrow,
}


def _spans(seconds: Any) -> Any:
    """Numbers of seconds as spans of time, to the microsecond; NaT where one is NaN."""
    missing = np.isnan(seconds)
    micro = np.rint(np.where(missing, 0.0, seconds) * 1e6).astype("timedelta64[us]")
    micro[missing] = np.timedelta64("NaT")
    return micro


def _narrowed(numbers: Any, dtype: Any) -> Any:
    """Numbers in a type, unless it cannot hold them."""
    if dtype.kind == "f":
        return numbers.astype(dtype)
    if dtype.kind in "iu" and numbers.dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fits = not numbers.size or (int(numbers.min()) >= limits.min and int(numbers.max()) <= limits.max)
        return numbers.astype(dtype) if fits else numbers
    return numbers


def _series(pandas: Any, one: DecodedColumn, dtype: Any) -> Any:
    """A column of pandas."""
    if one.column.kind == "nominal" and (dtype is None or isinstance(dtype, pandas.CategoricalDtype)):
        if dtype is not None or not one.logical:
            chosen: Any = dtype
            if chosen is None or not set(one.column.categories) <= set(chosen.categories):
                chosen = pandas.CategoricalDtype(list(one.column.categories))
            places = [chosen.categories.get_loc(value) for value in one.column.categories]
            return pandas.Series(pandas.Categorical.from_codes(np.array([*places, -1])[one.codes], dtype=chosen))
        dtype = "boolean" if one.missing.any() else None
    if one.column.dates is not None:
        return _series_of_dates(pandas, one, dtype)
    if dtype is None:
        return pandas.Series(one.typed())
    if isinstance(dtype, np.dtype):
        if dtype.kind == "O":
            return pandas.Series(one.objects(), dtype=object)
        typed = one.typed()
        if dtype.kind == "m":
            return pandas.Series(_spans(typed)).astype(dtype)
        if dtype.kind == "M" and one.missing.all():
            return pandas.Series(np.full(len(typed), np.datetime64("NaT"), dtype))
        return pandas.Series(_narrowed(typed, dtype) if typed.dtype.kind in "iuf" else typed)
    kind = getattr(dtype, "pyarrow_dtype", None)
    if kind is not None and str(kind).startswith("duration"):
        return pandas.Series(pandas.array(_array(one, kind), dtype=dtype))
    objects = one.objects()
    objects[one.missing] = None
    pyarrow = sys.modules.get("pyarrow")
    misfits = (TypeError, ValueError, OverflowError, *(() if pyarrow is None else (pyarrow.ArrowException,)))
    try:
        return pandas.Series(objects, dtype=dtype)
    except misfits:
        return pandas.Series(one.typed())


def _series_of_dates(pandas: Any, one: DecodedColumn, dtype: Any) -> Any:
    """A column of dates of pandas: with the unit and the zone of a type, or as objects where they were objects."""
    naive = pandas.Series(one.typed())
    if dtype is None:
        return naive
    zone = getattr(dtype, "tz", None)
    if zone is not None:
        return naive.dt.tz_localize("UTC").dt.tz_convert(zone).astype(dtype)
    if isinstance(dtype, np.dtype):
        return naive.astype(dtype) if dtype.kind == "M" else pandas.Series(one.objects(), dtype=object)
    pa = arrow("A column of pandas' own types")
    kind = getattr(dtype, "pyarrow_dtype", None)
    if kind is None:
        return naive
    return pandas.Series(pandas.array(pa.array(one.typed()).cast(kind), dtype=dtype))


def _array(one: DecodedColumn, kind: Any) -> Any:
    """A column of Arrow."""
    pa = arrow("Decoding to an Arrow table")
    if one.column.kind == "nominal":
        codes = pa.array(one.codes, mask=one.missing).cast(pa.int32())
        dictionary = pa.DictionaryArray.from_arrays(codes, pa.array(list(one.column.categories)))
        natural = dictionary.dictionary_decode() if one.logical else dictionary
    elif one.column.dates is not None:
        natural = pa.array(one.typed())
    else:
        values = np.where(one.missing, 0, one.values)
        natural = pa.array(values.astype(np.int64) if one.integral else values, mask=one.missing)
    if kind is None:
        return natural
    if pa.types.is_null(kind) and one.missing.all():
        return pa.nulls(len(one.values))
    if pa.types.is_duration(kind):
        return pa.array(_spans(one.values)).cast(kind, safe=False)
    decoded = natural.dictionary_decode() if isinstance(natural, pa.DictionaryArray) else natural
    try:
        if pa.types.is_dictionary(kind):
            return decoded.cast(kind.value_type).dictionary_encode().cast(kind)
        return decoded.cast(kind)
    except pa.ArrowException:
        return natural
