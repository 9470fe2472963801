"""What the columns of a table hold: the bridge between a user's rows and a plain matrix of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Float64

from attar.errors import must, near
from attar.tables import cells, forms
from attar.tables.cells import Cells, Kind, Scalar

Unseen = Literal["error", "missing"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column, as it was in the rows that it was inferred from.

    Attributes:
        name: What it is called.
        kind: ``number``; ``integer`` for numbers that are whole; ``nominal`` for one of a few values without order.
        categories: The values of a nominal column, of one type, sorted; a value's code is its place here. Empty
            otherwise.
        low: Smallest number seen; None for a nominal column, and where every value was missing.
        high: Largest number seen; the same.
        missing: Whether there were rows without a value.
        center: Mean of the numbers seen, 0 for a nominal column.
        scale: Standard deviation of the numbers seen, and at least as much as float32 can tell apart; 1 for a constant
            and for a nominal column.

    Raises:
        BadInput: If these do not go together.
    """

    name: str
    kind: Kind
    categories: tuple[Scalar, ...] = ()
    low: float | None = None
    high: float | None = None
    missing: bool = False
    center: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        of = f"column {self.name!r}"
        _check_kind(self.name, self.kind)
        if self.categories and self.kind != "nominal":
            raise must("categories", of, f"none, as it is of {self.kind}s", self.categories, "Make it nominal")
        types = {type(value) for value in self.categories}
        if len(types) > 1 or list(self.categories) != sorted(set(self.categories)):
            remedy = "Use Columns.infer"
            raise must("categories", of, "of one type, sorted, each once", self.categories, remedy)
        if (self.low is None) != (self.high is None):
            raise must("low and high", of, "given together", (self.low, self.high), "Give both or neither")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise must("low", of, f"at most high, {self.high}", self.low, "Exchange them")
        if not (np.isfinite(self.center) and np.isfinite(self.scale) and self.scale > 0):
            got = f"center {self.center}, scale {self.scale}"
            raise must("center and scale", of, "finite, and scale positive", got, "Use 0 and 1 to leave numbers alone")

    @classmethod
    def of(cls, given: Cells, *, nominal: bool = False) -> Column:
        """What a column of a table is.

        Args:
            given: Its cells.
            nominal: Whether numbers are mere names.

        Raises:
            BadInput: If a number is infinite or too large.
        """
        if nominal or given.kind == "nominal":
            categories, codes = given.nominals()
            return cls(given.name, "nominal", categories, missing=bool((codes < 0).any()))
        numbers = given.numbers()
        seen = numbers[~np.isnan(numbers)]
        gaps = len(seen) < len(numbers)
        if not len(seen):
            return cls(given.name, given.kind, missing=gaps)
        low, high = float(seen.min()), float(seen.max())
        center = min(max(float(seen.mean()), low), high)  # rounding may leave the range
        # The step below the largest: above it there may be none.
        step = float(np.spacing(np.nextafter(np.float32(max(abs(low), abs(high))), np.float32(0))))
        scale = max(float(seen.std()), step, float(np.finfo(np.float32).tiny)) if low < high else 1.0
        return cls(given.name, given.kind, (), low, high, gaps, center, scale)

    def codes(self, given: Cells, unseen: Unseen = "error") -> Float64[np.ndarray, " rows"]:
        """Cells as numbers: nominal values by their codes, NaN where missing.

        Raises:
            BadInput: If the cells are of another type, a number is infinite, or a value was not there when the column
                was inferred and that is an error.
        """
        if self.kind != "nominal":
            return given.numbers()
        categories, codes = given.nominals()
        known = {value: place for place, value in enumerate(self.categories)}
        lookup = np.array([*(known.get(value, -2) for value in categories), -1], np.int64)
        found = lookup[codes]
        if unseen == "error" and (found == -2).any():
            row = int(np.flatnonzero(found == -2)[0])
            value = categories[int(codes[row])]
            remedy = near(str(value), map(str, self.categories)) if self.categories else "It had no value then"
            if len(self.categories) > 20 and remedy.startswith("Choose"):
                remedy = f"There are {len(self.categories)} values, such as {self.categories[0]!r}"
            got = f"{value!r} in row {row}"
            rule = "one of the values that were there when the columns were inferred"
            raise must(
                f"column {self.name!r}",
                "the rows",
                rule,
                got,
                f"{remedy.rstrip('?')} or take unseen values for missing ones with unseen='missing'",
            )
        return np.where(found < 0, np.nan, found.astype(np.float64))

    def to_json(self) -> dict[str, Any]:
        """The column as a plain document."""
        plain = {name: getattr(self, name) for name in _FIELDS}
        return plain | {"categories": list(self.categories)}

    @classmethod
    def from_json(cls, document: object) -> Column:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        remedy = "Write it again with to_json"
        if not isinstance(document, Mapping) or set(document) != set(_FIELDS):
            raise must("document", "Column", f"an object of {', '.join(_FIELDS)}", document, remedy)
        for name, types in _FIELDS.items():
            value = document[name]
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise must(name, "Column", " or ".join(kind.__name__ for kind in types), value, remedy)
        _check_kind(document["name"], document["kind"])
        categories = document["categories"]
        if not all(isinstance(value, bool | int | float | str) for value in categories):
            raise must("categories", "Column", "bools, numbers or strings", categories, remedy)
        numbers = {name: document[name] for name in ("low", "high", "center", "scale")}
        floats: Any = {name: None if value is None else float(value) for name, value in numbers.items()}
        return cls(document["name"], document["kind"], tuple(categories), missing=document["missing"], **floats)


def _check_kind(name: str, kind: str) -> None:
    if kind not in get_args(Kind):
        raise must("kind", f"column {name!r}", "a kind of column", kind, near(kind, get_args(Kind)))


_FIELDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "kind": (str,),
    "categories": (list, tuple),
    "low": (float, int, type(None)),
    "high": (float, int, type(None)),
    "missing": (bool,),
    "center": (float, int),
    "scale": (float, int),
}


@dataclass(frozen=True, slots=True)
class Columns(Sequence[Column]):
    """The columns of a table, in order.

    Example:
        >>> rows = np.array([["red", 3], ["blue", 4], [None, 5]], dtype=object)
        >>> columns = Columns.infer(rows)
        >>> columns
        Columns('column 0': nominal of 2 values or missing, 'column 1': integer from 3 to 5)
        >>> columns.encode(rows)
        array([[ 1.,  3.],
               [ 0.,  4.],
               [nan,  5.]])
        >>> columns.decode(columns.encode(rows), like=rows).tolist()
        [['red', 3], ['blue', 4], [None, 5]]

    Raises:
        BadInput: If there are none, or two of one name.
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise must("columns", "Columns", "at least one", "none", "Give some")
        cells.distinct(self.names)

    @classmethod
    def infer(cls, rows: Any, *, nominal: Sequence[str | int] = (), names: Sequence[str] | None = None) -> Columns:
        """What the columns of a table are.

        Strings, bools, categoricals of pandas and dictionaries of Arrow are nominal (the latter two with all the values
        that they declare), whole numbers ``integer``, floats ``number``. Objects are looked at one by one; None and NaN
        are missing. A column without any value is taken for numbers. The columns of an array are called ``column 0``,
        ``column 1`` and so on.

        Args:
            rows: A NumPy array ``[rows, columns]`` of numbers, bools, strings or objects, a pandas DataFrame, or
                anything that Arrow can read as a table.
            nominal: Columns of numbers that are mere names, by name or by place.
            names: What the columns of an array are called.

        Raises:
            BadInput: If ``names`` are not as many as the columns, or given for a table that names its own; there is no
                column or no row, two columns have one name, there is no column of a name; or a column holds something
                else, values of several types, infinity, or whole numbers above 2**53.
        """
        given = cells.read(rows)
        if names is not None:
            if cells.named(rows) or len(names) != len(given):
                rule = "given for arrays alone" if cells.named(rows) else f"one for each of the {len(given)} columns"
                raise must("names", "infer", rule, list(names), "Rename the columns of a table itself, and all of them")
            given = [replace(column, name=name) for column, name in zip(given, names, strict=True)]
        chosen = cells.positions(nominal, [column.name for column in given])
        return cls(tuple(Column.of(column, nominal=place in chosen) for place, column in enumerate(given)))

    def encode(self, rows: Any, *, unseen: Unseen = "error") -> Float64[np.ndarray, "rows columns"]:
        """A table as a matrix: numbers as they are, nominal values by their codes, NaN where missing.

        Args:
            rows: What `infer` takes. Columns of a DataFrame and of Arrow are found by name, in any order; those of an
                array by place.
            unseen: What to do with a nominal value that was not there when the columns were inferred: an error, or to
                take it for missing.

        Raises:
            BadInput: If there are other columns than these, or a column holds something that this one cannot.
        """
        if unseen not in get_args(Unseen):
            raise must("unseen", "encode", "'error' or 'missing'", unseen, near(str(unseen), get_args(Unseen)))
        given = cells.read(rows)
        order = self._order([column.name for column in given], named=cells.named(rows))
        coded = [column.codes(given[place], unseen) for column, place in zip(self.columns, order, strict=True)]
        return np.ascontiguousarray(np.stack(coded, axis=1))

    def decode(self, matrix: Float[np.ndarray, "rows columns"], like: Any = "numpy") -> Any:
        """A matrix as a table again.

        Args:
            matrix: What `encode` gives; whole numbers that are not whole any more stay as they are.
            like: ``"numpy"``, ``"pandas"`` or ``"arrow"`` for the types that fit best; or rows (other ones, perhaps) to
                come out as those are: an array, a DataFrame or a `pyarrow.Table` (also for other things that Arrow can
                read), with their types and the order of their columns. Where a type cannot hold what is there, a wider
                one does: a missing whole number makes an int64 column of pandas float64, for instance.

        Raises:
            BadInput: If the matrix has another number of columns or a code that no category has, or ``like`` is no form
                of a table or has other columns.
            MissingExtra: If pandas is asked for and not installed.
        """
        if matrix.shape[1] != len(self):
            remedy = "Use the columns that the matrix was encoded with"
            raise must("matrix", "decode", f"[rows, {len(self)}]", tuple(matrix.shape), remedy)
        parts = [
            forms.Part(column.name, column.kind, column.categories, matrix[:, place].astype(np.float64))
            for place, column in enumerate(self.columns)
        ]
        if isinstance(like, str):
            if like not in forms.WRITERS:
                raise must("like", "decode", "a form of a table, or rows", like, near(like, forms.WRITERS))
            return forms.WRITERS[like](parts, None)
        pattern = forms.Pattern.of(like)
        order = self._order(pattern.names, named=cells.named(like))
        arranged = [part for _, part in sorted(zip(order, parts, strict=True), key=lambda pair: pair[0])]
        return forms.WRITERS[pattern.form](arranged, pattern.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return tuple(column.name for column in self.columns)

    @property
    def mask(self) -> Bool[np.ndarray, " columns"]:
        """True where a column is nominal."""
        return np.array([column.kind == "nominal" for column in self.columns])

    def to_json(self) -> list[dict[str, Any]]:
        """The columns as a plain document."""
        return [column.to_json() for column in self.columns]

    @classmethod
    def from_json(cls, document: object) -> Columns:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        if not isinstance(document, Sequence) or isinstance(document, str):
            raise must("document", "Columns", "a list of columns", document, "Write it again with to_json")
        return cls(tuple(Column.from_json(column) for column in document))

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __getitem__(self, which: int | str) -> Column:  # type: ignore[override]
        if isinstance(which, str):
            return self.columns[cells.positions([which], self.names, "name")[0]]
        return self.columns[which]

    def __repr__(self) -> str:
        return f"Columns({', '.join(map(_line, self.columns))})"

    def _order(self, names: Sequence[str], *, named: bool) -> list[int]:
        """Where each of these columns is among those of a table."""
        if not named:
            if len(names) != len(self):
                rule = f"{len(self)}, as when they were inferred"
                raise must("number of columns", "the rows", rule, len(names), "Give the same columns in the same order")
            return list(range(len(self)))
        if missing := [name for name in self.names if name not in names]:
            raise must("columns", "the rows", f"all there; {missing[0]!r} is not", names, near(missing[0], names))
        if extra := [name for name in names if name not in self.names]:
            raise must("columns", "the rows", f"those of {list(self.names)}", extra, "Leave the others out")
        return [names.index(name) for name in self.names]


def _line(column: Column) -> str:
    if column.kind == "nominal":
        what = f"nominal of {len(column.categories)} values"
    elif column.low is None:
        what = f"{column.kind}"
    else:
        what = f"{column.kind} from {column.low:g} to {column.high:g}"
    return f"{column.name!r}: {what}{' or missing' if column.missing else ''}"
