"""The cells of a table, column by column, whatever form the table came in."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attar.errors import BadInput, MissingExtra, Words, must, near

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Bool, Float64, Int64, Shaped

Scalar = bool | int | float | str
"""What a category can be."""

Kind = Literal["number", "integer", "nominal"]

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?")
"""Texts that stand for a missing value in every column; `attar.tables.notation.MARKS` has more for numbers."""

EXACT = 2**53
"""Whole numbers up to this size are exact in float64."""

LARGEST = float(np.finfo(np.float32).max)
"""Networks compute in float32: what is larger is infinite there."""


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of a table.

    Attributes:
        name: What errors call it.
        values: One value for each row, of one type: bool, whole numbers, floats or strings; any value where missing.
            With ``categories``: an index into them.
        missing: True where there is no value.
        categories: The values that can occur, of one type, sorted, each once; None where they are not known.
        declared: Whether it was the table that named the categories, and not its rows.
        problem: What is wrong with values of several types, which then stand there as they came; None for all others.
    """

    name: str
    values: Shaped[np.ndarray, " rows"]
    missing: Bool[np.ndarray, " rows"]
    categories: tuple[Scalar, ...] | None = None
    declared: bool = False
    problem: BadInput | None = None

    @property
    def kind(self) -> Kind:
        """What the column is read as by default; one without any value as numbers."""
        if self.categories is not None:
            return "nominal"
        return {"f": "number", "i": "integer", "u": "integer"}.get(self.values.dtype.kind, "nominal")  # type: ignore[return-value]

    @property
    def empty(self) -> bool:
        """Whether every value is missing."""
        return bool(self.missing.all())

    def numbers(self) -> Float64[np.ndarray, " rows"]:
        """The values, NaN where missing.

        Raises:
            BadInput: If they are no numbers, are not finite in float32, or are whole and not exact in float64.
        """
        if self.problem is not None:
            raise self.problem
        if self.empty:
            return np.full(len(self.values), np.nan)
        if self.kind == "nominal":
            row = int(np.flatnonzero(~self.missing)[0])
            value = self.values[row] if self.categories is None else self.categories[int(self.values[row])]
            got = Words(f"{as_python(value)!r} in row {row}")
            remedy = "Convert it: these were numbers when the columns were inferred"
            raise must(f"column {self.name!r}", "the rows", "of numbers", got, remedy)
        if self.kind == "integer":
            wrong = (self.values < -EXACT) | (self.values > EXACT)
            self._refuse(wrong & ~self.missing, "from -2**53 to 2**53", "Name it in nominal, or leave it out")
        with np.errstate(over="ignore"):
            numbers = self.values.astype(np.float64)
        numbers[self.missing] = np.nan
        self._refuse(abs(numbers) > LARGEST, "finite in float32", "Remove or repair such rows")
        return numbers

    def nominals(self) -> tuple[tuple[Scalar, ...], Int64[np.ndarray, " rows"]]:
        """The categories, sorted, and each row's index into them, -1 where missing.

        Raises:
            BadInput: If a category is infinite, or a string is no valid Unicode.
        """
        if self.problem is not None:
            raise self.problem
        codes = np.full(len(self.values), -1, np.int64)
        there = ~self.missing
        if self.categories is not None:
            codes[there] = self.values[there]
            return self.categories, codes
        if self.values.dtype.kind == "b":
            codes[there] = self.values[there]
            return (False, True), codes
        if self.values.dtype.kind == "f":
            self._refuse(np.isinf(self.values) & there, "finite", "Remove or repair such rows")
        if self.values.dtype.kind == "O":
            # Found by their hashes, many times faster than NumPy sorts them.
            texts = self.values[there].tolist()
            names = sorted(set(texts))
            try:
                for name in names:
                    name.encode()
            except UnicodeEncodeError as error:
                remedy = "Decode the text again"
                raise must(
                    f"column {self.name!r}", "the rows", "of valid Unicode", Words(str(error)), remedy
                ) from error
            places = {name: place for place, name in enumerate(names)}
            codes[there] = np.fromiter(map(places.__getitem__, texts), np.int64, len(texts))
            return tuple(names), codes
        found, codes[there] = np.unique(self.values[there], return_inverse=True)
        return tuple(found.tolist()), codes

    def texts(self) -> tuple[tuple[str, ...], Int64[np.ndarray, " rows"]] | None:
        """What `nominals` gives, where the values are texts that no table declared; None for all others."""
        if self.declared or self.problem is not None or self.kind != "nominal" or self.empty:
            return None
        if self.values.dtype.kind not in "OU" and self.categories is None:
            return None
        categories, codes = self.nominals()
        return (categories, codes) if all(isinstance(one, str) for one in categories[:1]) else None  # type: ignore[return-value]

    def _refuse(self, wrong: Bool[np.ndarray, " rows"], rule: str, remedy: str) -> None:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            got = Words(f"{as_python(self.values[row])!r} in row {row}")
            raise must(f"column {self.name!r}", "the rows", rule, got, remedy)


def read(rows: Any) -> list[Cells]:
    """The columns of a table.

    Args:
        rows: A NumPy array ``[rows, columns]`` of numbers, bools, strings or objects, a pandas DataFrame, anything that
            Arrow can read as a table, or what `by_name` takes. In objects None and NaN are missing.

    Raises:
        BadInput: If it is none of these, has no column or no row, has two columns of one name, or a column holds
            something else than bools, numbers or strings.
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


def by_name(rows: object) -> dict[str, Sequence[Any]] | None:
    """Rows that are given by the names of their columns, as one list for each column; None for all other forms.

    Args:
        rows: A dict of values (one row) or of lists, a list of dicts (a row each), or a Series of pandas whose index
            names the columns (one row).

    Raises:
        BadInput: If lists differ in length, a row lacks a column that another one has, or two columns have one name.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(rows, pandas.Series) and all(isinstance(name, str) for name in rows.index):
        names = distinct(map(str, rows.index))
        return {name: [value] for name, value in zip(names, rows.tolist(), strict=True)}
    if isinstance(rows, Mapping):
        distinct(map(str, rows))
        if not any(_is_list(value) for value in rows.values()):
            return {str(name): [value] for name, value in rows.items()}
        lists = {
            str(name): value.tolist() if hasattr(value, "tolist") else list(value) if _is_list(value) else value
            for name, value in rows.items()
        }
        lengths = {name: len(value) if isinstance(value, list) else "a single value" for name, value in lists.items()}
        if len(set(lengths.values())) > 1:
            remedy = "Give one value of each for one row, or lists of one length"
            raise must("columns", "the rows", "of one length", lengths, remedy)
        return lists
    if not isinstance(rows, list | tuple) or not rows or not all(isinstance(row, Mapping) for row in rows):
        return None
    names = distinct(map(str, rows[0]))
    for place, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            got = sorted(map(str, row.keys() ^ rows[0].keys()))
            rule = "the same in every row"
            raise must(
                "columns", "the rows", rule, Words(f"{got[0]!r} not in both row 0 and row {place}"), "Name all in each"
            )
    return {name: [row[key] for row in rows] for name, key in zip(names, list(rows[0]), strict=True)}


def _is_list(value: object) -> bool:
    """Whether it is several values; a text is one."""
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, str | bytes)


def _objects(values: Sequence[Any]) -> Shaped[np.ndarray, " rows"]:
    """Values as an array of Python objects."""
    array = np.empty(len(values), object)
    for place, value in enumerate(values):  # at once, NumPy would unpack lists
        array[place] = value
    return array


def is_table(rows: object) -> bool:
    """Whether it names its columns by itself: a DataFrame, something that Arrow can read, or rows of dicts."""
    if isinstance(rows, Mapping) or (isinstance(rows, list) and rows and isinstance(rows[0], Mapping)):
        return True
    return not isinstance(rows, type) and callable(getattr(rows, "__arrow_c_stream__", None)) and not _is_series(rows)


def _is_series(rows: object) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(rows, pandas.Series)


def rereadable(rows: Any) -> Any:
    """A table that can be read again and again: itself, or an Arrow table for what is a stream.

    Raises:
        BadInput: If Arrow cannot read it as a table.
    """
    pandas = sys.modules.get("pandas")
    frame = pandas is not None and isinstance(rows, pandas.DataFrame)
    return rows if frame or isinstance(rows, np.ndarray) else as_arrow(rows)


def take(rows: Any, places: Int64[np.ndarray, " chosen"]) -> Any:
    """Some rows of a table, in the order of ``places``, in the form that it has.

    Raises:
        BadInput: If Arrow cannot read it as a table.
    """
    table = rereadable(rows)
    if isinstance(table, np.ndarray):
        return table[places]
    return table.iloc[places] if hasattr(table, "iloc") else table.take(places)


def names_of(rows: Any) -> list[str]:
    """What a DataFrame or an Arrow table calls its columns."""
    return list(map(str, rows.columns if hasattr(rows, "iloc") else rows.column_names))


def named(rows: Any) -> bool:
    """Whether the table names its columns."""
    return not isinstance(rows, np.ndarray)


def few(rows: Any, most: int) -> tuple[Any, list[Sequence[Any]]] | None:
    """Names of the columns, and the values of each row; None for more rows, and for forms that it does not know.

    For one row this takes a tenth of the time of `read`, and nothing is checked. The names are None for an array.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(rows, pandas.DataFrame):
        if not 0 < len(rows) <= most:
            return None
        return rows.columns, [rows.iloc[place].tolist() for place in range(len(rows))]
    if pandas is not None and isinstance(rows, pandas.Series):
        return rows.index, [rows.tolist()]
    if type(rows) is np.ndarray:
        return (None, rows.tolist()) if rows.ndim == 2 and 0 < len(rows) <= most else None
    if isinstance(rows, dict):
        if not any(_is_list(value) for value in rows.values()):
            return tuple(rows), [list(rows.values())]
        if not all(isinstance(value, list) and len(value) == 1 for value in rows.values()):
            return None
        return tuple(rows), [[value[0] for value in rows.values()]]
    if isinstance(rows, list | tuple) and 0 < len(rows) <= most and all(isinstance(row, dict) for row in rows):
        names = tuple(rows[0])
        if any(row.keys() != rows[0].keys() for row in rows):
            return None
        return names, [[row[name] for name in names] for row in rows]
    return None


def as_arrow(rows: Any) -> Any:
    """Something that Arrow can read, as a `pyarrow.Table`.

    Raises:
        BadInput: If Arrow cannot read it as a table.
        MissingExtra: If there is no pyarrow.
    """
    lists = by_name(rows)
    rule = "a NumPy array, a DataFrame, an Arrow table, a dict or a list of dicts"
    if lists is None and not callable(getattr(rows, "__arrow_c_stream__", None)) and not _is_batch(rows):
        raise must(
            "rows", "a table", rule, Words(f"a {type(rows).__name__}"), "Convert them, for instance with numpy.asarray"
        )
    pa = arrow("Reading an Arrow table")
    if isinstance(rows, pa.Table):
        return rows
    if lists is not None:
        try:
            return pa.table({name: pa.array(values, from_pandas=True) for name, values in lists.items()})
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            rule = "lists of values of one type each"
            raise must("columns", "the rows", rule, str(error).strip(), "Convert them to one type") from error
    if _is_batch(rows):
        return pa.Table.from_batches([rows])
    try:
        return pa.table(rows)
    except (pa.ArrowException, TypeError, ValueError) as error:
        got = Words(f"a {type(rows).__name__}, of which Arrow says: {error}")
        raise must("rows", "a table", rule, got, "Convert them to a pyarrow.Table") from error


def arrow(purpose: str) -> Any:
    """The module pyarrow, which arrays, dicts and DataFrames of NumPy's types do without.

    Args:
        purpose: What needs it; the subject of the error when it is absent.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise MissingExtra(
            f"{purpose} needs the package 'pyarrow', which is not installed. Run: pip install pyarrow."
        ) from error


def _is_batch(rows: object) -> bool:
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(rows, pyarrow.RecordBatch)


def distinct(names: Iterable[str]) -> list[str]:
    """The names as they come.

    Raises:
        BadInput: If one is there twice.
    """
    names = list(names)
    if len(set(names)) < len(names):
        first: dict[str, int] = {}
        for place, name in enumerate(names):
            if name in first:
                got = Words(f"{name!r} at positions {first[name]} and {place}")
                raise BadInput(f"Two columns of the rows have one name: {got}. Rename one of them.")
            first[name] = place
    return names


def as_python(value: Any) -> Any:
    """A NumPy scalar as the Python object that it stands for."""
    return value.item() if isinstance(value, np.generic) else value


def _from_numpy(rows: Any) -> list[Cells]:
    if rows.ndim != 2:
        raise must("rows", "a table", "[rows, columns]", tuple(rows.shape), "Use .reshape(1, -1) for a single row")
    if isinstance(rows, np.ma.MaskedArray):
        masked, rows = np.ma.getmaskarray(rows), np.ma.getdata(rows).astype(object)
        rows[masked] = None
    return [_from_array(f"column {place}", rows[:, place]) for place in range(rows.shape[1])]


def _from_array(name: str, values: Any) -> Cells:
    """The cells of a one-dimensional array."""
    kind = values.dtype.kind
    if kind == "O":
        return _from_objects(name, values)
    if kind not in "biufU":
        raise _unfit(name, str(values.dtype))
    return Cells(name, values, np.isnan(values) if kind == "f" else np.zeros(len(values), bool))


def _from_objects(name: str, values: Any) -> Cells:
    """The cells of an array of Python objects."""
    try:
        present, missing = objects(name, values)
    except _Mixed as error:
        empty = np.fromiter((_family(type(value)) == "missing" for value in values), bool, len(values))
        return Cells(name, values, empty, problem=error)
    filled = np.full(len(values), np.nan) if missing.all() else np.full(len(values), present[0], present.dtype)
    filled[~missing] = present
    return Cells(name, filled, missing)


class _Mixed(BadInput):
    """The values of a column are of several types."""


def objects(name: str, values: Any) -> tuple[Any, Bool[np.ndarray, " rows"]]:
    """The values of objects that are not missing, as an array of one type, and which ones are missing.

    Strings stay objects.

    Raises:
        BadInput: If one is something else than a bool, a number or a string, or they are of different types.
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
    if kind is type(None) or (kind.__name__ in ("NAType", "NaTType") and kind.__module__.startswith("pandas.")):
        return "missing"
    return next((family for family, types in _FAMILIES.items() if issubclass(kind, types)), None)


_FAMILIES: dict[str, tuple[type, ...]] = {
    "bool": (bool, np.bool_),  # first: to Python a bool is an int
    "int": (int, np.integer),
    "float": (float, np.floating),
    "str": (str,),
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
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        if len(column) <= _FEW_ROWS:
            texts = column.to_pylist()
            ordered = sorted({text for text in texts if text is not None})
            places = {text: place for place, text in enumerate(ordered)}
            codes = np.fromiter((places.get(text, -1) for text in texts), np.int64, len(texts))
            return Cells(name, codes, codes < 0, tuple(ordered), declared=False)
        found = _from_arrow(name, column.cast(pa.large_string()).dictionary_encode())
        return replace(found, declared=False)
    raise _unfit(name, str(kind))


def _declared(name: str, categories: Any, codes: Int64[np.ndarray, " rows"]) -> Cells:
    """The cells of a column that declares its categories, in any order."""
    present, missing = objects(name, categories)
    values = present.tolist()
    ordered = sorted(set(values))
    places = {value: place for place, value in enumerate(ordered)}
    lookup = np.full(len(categories) + 1, -1, np.int64)  # the last one is where -1, a missing value, points
    lookup[:-1][~missing] = [places[value] for value in values]
    renumbered = lookup[codes]
    return Cells(name, renumbered, renumbered < 0, tuple(ordered), declared=True)


def _unfit(name: str, got: str) -> BadInput:
    remedy = "Convert it, for instance to numbers, or leave it out"
    return must(f"column {name!r}", "the rows", "of bools, numbers or strings", got, remedy)


def positions(chosen: Sequence[str | int], names: Sequence[str], parameter: str = "nominal") -> list[int]:
    """Where columns are that are called by name or by number.

    Raises:
        BadInput: If there is no such column.
    """
    places = []
    known = {name: place for place, name in reversed(list(enumerate(names)))}
    for column in chosen:
        if isinstance(column, str):
            if column not in known:
                raise must(parameter, "the rows", "names of columns", column, near(column, names))
            places.append(known[column])
        else:
            if not 0 <= column < len(names):
                raise must(parameter, "the rows", f"from 0 to {len(names) - 1}", column, "Count the columns from 0")
            places.append(column)
    return places
