"""Rows of a table in the forms in which they come: arrays, DataFrames, Arrow tables, dicts and lists of dicts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.errors import MissingExtra, Words, must
from attar.tables.names import by_place, distinct

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Int64


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
    if isinstance(rows, Mapping) and not hasattr(rows, "toarray"):  # some of SciPy's sparse matrices are dicts
        distinct(map(str, rows))
        if not any(_is_list(value) for value in rows.values()):
            return {str(name): [_single(value)] for name, value in rows.items()}
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
    return {name: [_single(row[key]) for row in rows] for name, key in zip(names, list(rows[0]), strict=True)}


def _is_list(value: object) -> bool:
    """Whether it is several values; a text is one, and so is an array or a tensor without axes."""
    several = hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, str | bytes)
    return several and getattr(value, "ndim", 1) != 0


def _single(value: Any) -> Any:
    """A value as it is, and that of an array or a tensor without axes."""
    return value.item() if getattr(value, "ndim", 1) == 0 and not isinstance(value, np.generic) else value


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


def take_rows(rows: Any, places: Int64[np.ndarray, " chosen"]) -> Any:
    """Some rows of a table, in the order of ``places``, in the form that it has.

    Raises:
        BadInput: If Arrow cannot read it as a table.
    """
    table = rereadable(rows)
    if isinstance(table, np.ndarray):
        return table[places]
    return table.iloc[places] if hasattr(table, "iloc") else table.take(places)


def names_of(rows: Any) -> list[str]:
    """What a DataFrame, an Arrow table, or anything else with a schema, calls its columns; of an array `by_place`."""
    if isinstance(rows, np.ndarray):
        return by_place(rows.shape[1])
    return list(map(str, rows.columns if hasattr(rows, "iloc") else rows.schema.names))


def has_names(rows: Any) -> bool:
    """Whether the table names its columns."""
    return not isinstance(rows, np.ndarray)


def few_rows(rows: Any, most: int) -> tuple[Any, list[Sequence[Any]]] | None:
    """Names of the columns, and the values of each row; None for more rows, and for forms that it does not know.

    For one row this takes a tenth of the time of `attar.tables.read.read_cells`, and nothing is checked. The names are
    None for an array.
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
    if isinstance(rows, dict) and not hasattr(rows, "toarray"):
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
    streamed = callable(getattr(rows, "__arrow_c_stream__", None)) and not _is_series(rows)
    if lists is None and not streamed and not _is_batch(rows):
        remedy = f"Convert them, for instance with {'to_frame()' if _is_series(rows) else 'numpy.asarray'}"
        if callable(getattr(rows, "toarray", None)):
            remedy = "Make them dense with toarray()"
        elif isinstance(rows, str | PathLike):
            remedy = "Read the file before, for instance with pandas.read_csv"
        raise must("rows", "a table", rule, Words(f"a {type(rows).__name__}"), remedy)
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
