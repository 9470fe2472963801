"""What the columns of a table hold: the bridge between a user's rows and a plain matrix of numbers."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from attar.errors import BadInput, Words, must, near, shown
from attar.tables import cells, forms
from attar.tables.cells import EXACT, LARGEST, Cells, Kind, Scalar
from attar.tables.notation import DEFAULT, Decimal, Notation, Reading, readings

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Bool, Float, Float64

log = logging.getLogger(__name__)

Unseen = Literal["error", "missing"]

_FEW = 4
"""Rows that are encoded value by value; beyond that it is quicker column by column."""


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
        notation: How numbers that came as texts were written; None where they came as numbers.

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
    notation: Notation | None = None
    _codes: dict[Any, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", {value: float(code) for code, value in enumerate(self.categories)})
        of = f"column {self.name!r}"
        _check_kind(self.name, self.kind)
        if self.categories and self.kind != "nominal":
            raise BadInput(
                f"{of} holds {self.kind}s, which have no categories; got {shown(self.categories)}. Make it nominal."
            )
        types = {type(value) for value in self.categories}
        if len(types) > 1 or list(self.categories) != sorted(set(self.categories)):
            remedy = "Use Columns.infer"
            raise must("categories", of, "of one type, sorted, each once", self.categories, remedy)
        if (self.low is None) != (self.high is None):
            raise BadInput(f"{of} has low={self.low} and high={self.high}. Give both or neither.")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise BadInput(f"{of} has low={self.low} above high={self.high}. Exchange them.")
        if not (np.isfinite(self.center) and np.isfinite(self.scale) and self.scale > 0):
            got = Words(f"center {self.center}, scale {self.scale}")
            raise must("center and scale", of, "finite, and scale positive", got, "Use 0 and 1 to leave numbers alone")

    @classmethod
    def of(cls, given: Cells, *, nominal: bool = False, reading: Reading | None = None) -> Column:
        """What a column of a table is.

        Args:
            given: Its cells.
            nominal: Whether numbers are mere names.
            reading: The numbers that its categories are, where they are texts of numbers.

        Raises:
            BadInput: If a number is infinite or too large.
        """
        notation, kind = None, given.kind
        if reading is not None:
            notation, kind = reading.notation, "integer" if reading.integral else "number"
            numbers = _numbers(given, notation)
        elif nominal or kind == "nominal":
            categories, codes = given.nominals()
            return cls(given.name, "nominal", categories, missing=bool((codes < 0).any()))
        else:
            numbers = given.numbers()
        seen = numbers[~np.isnan(numbers)]
        gaps = len(seen) < len(numbers)
        if not len(seen):
            return cls(given.name, kind, missing=gaps, notation=notation)
        low, high = float(seen.min()), float(seen.max())
        center = min(max(float(seen.mean()), low), high)  # rounding may leave the range
        # The step below the largest: above it there may be none.
        step = float(np.spacing(np.nextafter(np.float32(max(abs(low), abs(high))), np.float32(0))))
        scale = max(float(seen.std()), step, float(np.finfo(np.float32).tiny)) if low < high else 1.0
        return cls(given.name, kind, (), low, high, gaps, center, scale, notation)

    def code(self, value: Any) -> float | None:
        """One value as `codes` gives it; None where only that can tell what it is, or what is wrong with it."""
        if self.kind == "nominal":
            try:
                code = self._codes.get(value)
                if code is not None:
                    return code
                missing = value is None or bool(value != value) or value in cells.MISSING
            except TypeError:  # what has no hash, and NA of pandas
                return None
            return math.nan if missing else None
        if isinstance(value, str):
            number = (self.notation or DEFAULT).number(value)
            return number if number is None or not abs(number) > LARGEST else None
        if isinstance(value, float | int) and not isinstance(value, bool):
            if -EXACT <= value <= EXACT:
                return float(value)
            return math.nan if value != value else None
        if isinstance(value, np.integer | np.floating):
            return self.code(value.item())
        return math.nan if value is None else None

    def codes(self, given: Cells, unseen: Unseen = "error") -> Float64[np.ndarray, " rows"]:
        """Cells as numbers: nominal values by their codes, NaN where missing.

        Raises:
            BadInput: If the cells are of another type, a number is infinite, or a value was not there when the column
                was inferred and that is an error.
        """
        if self.kind != "nominal":
            return self._numbers(given)
        categories, codes = given.nominals()
        lookup = np.array([*(self._place(value) for value in categories), -1], np.int64)
        found = lookup[codes]
        if unseen == "error" and (found == -2).any():
            row = int(np.flatnonzero(found == -2)[0])
            value = categories[int(codes[row])]
            remedy = near(str(value), map(str, self.categories)) if self.categories else "It had no value then"
            if len(self.categories) > 20 and remedy.startswith("Choose"):
                remedy = f"There are {len(self.categories)} values, such as {self.categories[0]!r}"
            remedy += "" if remedy.endswith("?") else "."
            remedy += " With unseen='missing', deploy and Mimic take it for missing"
            got = Words(f"{value!r} in row {row}")
            rule = "one of the values that were there when the columns were inferred"
            raise must(
                f"column {self.name!r}",
                "the rows",
                rule,
                got,
                remedy,
            )
        return np.where(found < 0, np.nan, found.astype(np.float64))

    def _place(self, value: Scalar) -> int:
        """The code of a category; -1 for a missing one, -2 for one that is not known."""
        code = self._codes.get(value)
        return int(code) if code is not None else -1 if isinstance(value, str) and value in cells.MISSING else -2

    def _numbers(self, given: Cells) -> Float64[np.ndarray, " rows"]:
        """Cells as numbers, some or all of which may be written as texts."""
        if given.problem is not None:
            found = [self._read(value, row) for row, value in enumerate(given.values)]
            numbers = np.array(found, np.float64)
            return Cells(given.name, numbers, np.isnan(numbers)).numbers()
        if given.kind != "nominal" or given.empty:
            return given.numbers()
        categories, codes = given.nominals()
        if not all(isinstance(value, str) for value in categories):
            return given.numbers()  # which refuses it
        first = {int(code): row for row, code in reversed(list(enumerate(codes)))} if len(categories) else {}
        lookup = [self._read(value, first[code]) if code in first else np.nan for code, value in enumerate(categories)]
        values = np.array([*lookup, np.nan])[codes]
        return Cells(given.name, values, np.isnan(values)).numbers()

    def _read(self, value: Any, row: int) -> float:
        """One number, which may be written as a text.

        Raises:
            BadInput: If it is none.
        """
        number = (
            (self.notation or DEFAULT).number(value) if isinstance(value, str) else self.code(cells.as_python(value))
        )
        if number is not None:
            return number
        missing = value is None or not isinstance(value, bool | int | float | np.generic | str)
        if missing:
            return math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        how = "" if self.notation is None else f" (written with {self.notation})"
        remedy = "Convert it: these were numbers when the columns were inferred"
        got = Words(f"{cells.as_python(value)!r} in row {row}")
        raise must(f"column {self.name!r}", "the rows", f"of numbers{how}", got, remedy)

    def __str__(self) -> str:
        gaps = " or missing" if self.missing else ""
        if self.kind == "nominal":
            return f"nominal of {len(self.categories)} values{gaps}"
        span = "" if self.low is None else f" from {self.low:g} to {self.high:g}"
        how = "" if self.notation is None or self.notation == DEFAULT else f", written with {self.notation}"
        return f"{self.kind}{span}{gaps}{how}"

    def to_json(self) -> dict[str, Any]:
        """The column as a plain document."""
        document = {name: getattr(self, name) for name in _FIELDS}
        notation = {} if self.notation is None else {"notation": self.notation.to_json()}
        return document | {"categories": list(self.categories)} | notation

    @classmethod
    def from_json(cls, document: object) -> Column:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        remedy = "Write it again with to_json"
        if not isinstance(document, Mapping) or set(document) - {"notation"} != set(_FIELDS):
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
        written = document.get("notation")
        return cls(
            document["name"],
            document["kind"],
            tuple(categories),
            missing=document["missing"],
            notation=None if written is None else Notation.from_json(written),
            **floats,
        )


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
    _last: list[tuple[Any, list[int]]] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.columns:
            raise BadInput("Columns needs at least one column. Give some.")
        cells.distinct(self.names)

    @classmethod
    def infer(
        cls,
        rows: Any,
        *,
        nominal: Sequence[str | int] = (),
        names: Sequence[str] | None = None,
        texts: bool = False,
        written: Mapping[str, Reading] | None = None,
    ) -> Columns:
        """What the columns of a table are.

        Strings, bools, categoricals of pandas and dictionaries of Arrow are nominal (the latter two with all the values
        that they declare), whole numbers ``integer``, floats ``number``. Objects are looked at one by one; None and NaN
        are missing. A column without any value is read as numbers. The columns of an array are called ``column 0``,
        ``column 1`` and so on.

        Args:
            rows: A NumPy array ``[rows, columns]`` of numbers, bools, strings or objects, a pandas DataFrame, anything
                that Arrow can read as a table, a list of dicts (a row each), or a dict of lists.
            nominal: Columns of numbers that are mere names, by name or by place.
            names: What the columns of an array are called.
            texts: Whether strings that are all numbers as people write them, such as ``1.234,50`` or ``12 %``, are read
                as numbers, see `attar.tables.notation.readings`; values such as ``?`` and ``n/a`` are missing there.
                `Column.notation` says how they are written, and `encode` reads them in this way.
            written: The columns of which that is known from more rows than these, see `written`.

        Raises:
            BadInput: If ``names`` are not as many as the columns, or given for a table that names its own; there is no
                column or no row, two columns have one name, there is no column of a name; or a column holds something
                else, values of several types, infinity, whole numbers above 2**53, or, with ``texts``, numbers but for
                a few values.
        """
        given = cells.read(rows)
        if names is not None:
            if cells.named(rows) or len(names) != len(given):
                rule = "given for arrays alone" if cells.named(rows) else f"one for each of the {len(given)} columns"
                raise must("names", "infer", rule, list(names), "Rename the columns of a table itself, and all of them")
            given = [replace(column, name=name) for column, name in zip(given, names, strict=True)]
        chosen = set(cells.positions(nominal, [column.name for column in given]))
        found = dict(written or {})
        if texts:
            found |= _written([given], {given[place].name for place in chosen}, False, None, ".")
        return cls(
            tuple(
                Column.of(column, nominal=place in chosen, reading=None if place in chosen else found.get(column.name))
                for place, column in enumerate(given)
            )
        )

    def encode(self, rows: Any, *, unseen: Unseen = "error") -> Float64[np.ndarray, "rows columns"]:
        """A table as a matrix: numbers as they are, nominal values by their codes, NaN where missing.

        Args:
            rows: What `infer` takes, a dict of values (one row), or a Series of pandas whose index names the columns
                (one row). Columns that have names are found by name, in any order; those of an array by place. Numbers
                may be written as texts, in the column's notation. How many values are missing in columns that had all
                of theirs is logged.
            unseen: What to do with a nominal value that was not there when the columns were inferred: an error, or to
                take it for missing.

        Raises:
            BadInput: If there are other columns than these, or a column holds something that this one cannot.
        """
        if unseen not in get_args(Unseen):
            raise must("unseen", "encode", "'error' or 'missing'", unseen, near(str(unseen), get_args(Unseen)))
        matrix = self._few(rows)
        if matrix is None:
            given = cells.read(rows)
            order = self._order([column.name for column in given], named=cells.named(rows))
            coded = [column.codes(given[place], unseen) for column, place in zip(self.columns, order, strict=True)]
            matrix = np.ascontiguousarray(np.stack(coded, axis=1))
        self._log_gaps(matrix)
        return matrix

    def _few(self, rows: Any) -> Float64[np.ndarray, "rows columns"] | None:
        """What `encode` gives for a few rows, quickly; None where it must look closer."""
        given = cells.few(rows, _FEW)
        if given is None:
            return None
        names, values = given
        # The names of a DataFrame are an object of their own, which rows of one table share.
        last, order = self._last[0] if self._last else (None, [])
        if names is None:
            if len(values[0]) != len(self):
                return None
            order = list(range(len(self)))
        elif last is not names and not (type(last) is type(names) is tuple and last == names):
            known = {str(name): place for place, name in enumerate(names)}
            if not len(known) == len(names) == len(self) or any(name not in known for name in self.names):
                return None
            order = [known[name] for name in self.names]
            self._last[:] = [(names, order)]
        coded = [[column.code(row[place]) for column, place in zip(self.columns, order, strict=True)] for row in values]
        if any(code is None for row in coded for code in row):
            return None
        return np.array(coded, np.float64)

    def _log_gaps(self, matrix: Float64[np.ndarray, "rows columns"]) -> None:
        """Log how many values are missing in columns that had all of theirs."""
        gaps = np.isnan(matrix)
        if not gaps.any():
            return
        counts = gaps.sum(0).tolist()
        found = {one.name: count for one, count in zip(self.columns, counts, strict=True) if count and not one.missing}
        if found:
            listed = ", ".join(f"{count} of {name!r}" for name, count in list(found.items())[:10])
            more = f" and of {len(found) - 10} more columns" if len(found) > 10 else ""
            log.warning(
                "of %d rows, %d values are missing or names never seen, in columns that had all of theirs (%s%s): "
                "numbers count as the column's middle, names as none that is known",
                len(matrix),
                sum(found.values()),
                listed,
                more,
            )

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
        decoded = [
            forms.DecodedColumn(column.name, column.kind, column.categories, matrix[:, place].astype(np.float64))
            for place, column in enumerate(self.columns)
        ]
        if isinstance(like, str):
            if like not in forms.WRITERS:
                raise must("like", "decode", "a form of a table, or rows", like, near(like, forms.WRITERS))
            return forms.WRITERS[like](decoded, None)
        pattern = forms.Pattern.of(like)
        order = self._order(pattern.names, named=cells.named(like))
        arranged = [one for _, one in sorted(zip(order, decoded, strict=True), key=lambda pair: pair[0])]
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
        return f"Columns({', '.join(map(_describe_column, self.columns))})"

    def _order(self, names: Sequence[str], *, named: bool) -> list[int]:
        """Where each of these columns is among those of a table."""
        if not named:
            if len(names) != len(self):
                rule = f"{len(self)}, as when they were inferred"
                raise must("number of columns", "the rows", rule, len(names), "Give the same columns in the same order")
            return list(range(len(self)))
        places = {name: place for place, name in enumerate(names)}
        if missing := [name for name in self.names if name not in places]:
            close = near(missing[0], names)
            remedy = close if close.endswith("?") else f"Add {missing[0]!r}, with None where it is not known."
            raise BadInput(f"The rows have no column {missing[0]!r}; they have {shown(list(names))}. {remedy}")
        own = set(self.names)
        if extra := [name for name in names if name not in own]:
            raise BadInput(f"The rows have columns that are not known: {shown(extra)}. Leave them out.")
        return [places[name] for name in self.names]


def written(
    tables: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    skip: Sequence[str] = (),
    digits: bool = False,
    decimal: Decimal | None = None,
    usual: Decimal = ".",
) -> dict[str, Reading]:
    """The columns of texts that are numbers as people write them in all of some tables.

    Args:
        tables: What `Columns.infer` takes, with the same columns.
        names: What the columns of arrays are called.
        skip: Columns whose values are names, whatever they look like.
        digits: Whether texts of digits alone are numbers, too; they may be codes.
        decimal: What stands before fractions, where a column leaves that open.
        usual: The same, where other columns do not tell either.

    Raises:
        BadInput: If a table cannot be read, or a column is of numbers but for a few values.
    """
    given = [cells.read(rows) for rows in tables]
    if names is not None:
        given = [[replace(one, name=name) for one, name in zip(each, names, strict=False)] for each in given]
    return _written(given, set(skip), digits, decimal, usual)


def _written(
    given: Sequence[Sequence[Cells]], skip: set[str], digits: bool, decimal: Decimal | None, usual: Decimal
) -> dict[str, Reading]:
    """What `written` gives for tables that were read."""
    texts: dict[str, dict[str, None]] = {}
    names = set(skip)
    for one in (one for each in given for one in each):
        found = one.texts()
        if found is not None:
            texts.setdefault(one.name, {}).update(dict.fromkeys(found[0]))
        elif one.kind == "nominal" and not one.empty:
            names.add(one.name)
    different = {name: list(found) for name, found in texts.items() if name not in names}
    read = readings(different, decimal=decimal, usual=usual)
    read = {name: one for name, one in read.items() if digits or not one.digits_only}
    for name, reading in read.items():
        if reading.wrong:
            value = shown(different[name][reading.wrong[0]], 60)
            more = f" and {len(reading.wrong) - 1} more such values" if len(reading.wrong) > 1 else ""
            raise BadInput(
                f"Column {name!r} holds numbers, but also {value}{more}. Repair them, leave them empty where the "
                "number is not known, or name the column in nominal if its values are names."
            )
    return read


def _numbers(given: Cells, notation: Notation) -> Float64[np.ndarray, " rows"]:
    """The numbers that texts are; numbers stay what they are."""
    if given.kind != "nominal" or given.empty:
        return given.numbers()
    categories, codes = given.nominals()
    found = [notation.number(value) if isinstance(value, str) else None for value in categories]
    values = np.array([*(math.nan if value is None else value for value in found), math.nan])[codes]
    return Cells(given.name, values, np.isnan(values)).numbers()


def _describe_column(column: Column) -> str:
    return f"{column.name!r}: {column}"
