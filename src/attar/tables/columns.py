"""What the columns of a table hold: the bridge between a user's rows and a plain matrix of numbers."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from attar.errors import BadInput, must, near, shown
from attar.tables import forms
from attar.tables.cells import Cells
from attar.tables.column import Column, Unseen
from attar.tables.names import by_place, distinct, positions
from attar.tables.notation import Decimal, Reading, readings
from attar.tables.read import read_cells
from attar.tables.rows import few_rows, has_names

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Bool, Float, Float64, Int64

log = logging.getLogger(__name__)

_LISTED = 10
"""Columns that an error names, at most."""

_FEW = 4
"""Rows that are encoded value by value; beyond that it is quicker column by column."""


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
        distinct(self.names)

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
        that they declare), whole numbers ``integer``, floats ``number``, dates and times ``date``. Objects are looked
        at one by one; None and NaN are missing. A column without any value is read as numbers. The columns of an array
        are called ``column 0``, ``column 1`` and so on.

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
        given = read_cells(rows)
        if names is not None:
            if has_names(rows) or len(names) != len(given):
                rule = "given for arrays alone" if has_names(rows) else f"one for each of the {len(given)} columns"
                raise must("names", "infer", rule, list(names), "Rename the columns of a table itself, and all of them")
            given = [replace(column, name=name) for column, name in zip(given, names, strict=True)]
        chosen = set(positions(nominal, [column.name for column in given]))
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
        matrix = self._encoded(rows, unseen)
        self._log_gaps(np.isnan(matrix).sum(0), len(matrix))
        return matrix

    def encode_blocks(
        self, blocks: Iterable[Any], *, unseen: Unseen = "error"
    ) -> Iterator[Float64[np.ndarray, "rows columns"]]:
        """The matrices of blocks of rows, of a table that is not in memory at once.

        Args:
            blocks: Each what `encode` takes. What is missing in columns that had all of their values is logged once.
            unseen: As in `encode`.

        Raises:
            BadInput: As `encode`; rows are counted within the whole table.
        """
        gaps, done = np.zeros(len(self), np.int64), 0
        for rows in blocks:
            try:
                matrix = self._encoded(rows, unseen)
            except BadInput as error:
                if not done:
                    raise
                raise type(error)(f"{error} (Rows are counted from row {done:,} on.)") from error
            gaps += np.isnan(matrix).sum(0)
            done += len(matrix)
            yield matrix
        self._log_gaps(gaps, done)

    def _encoded(self, rows: Any, unseen: Unseen) -> Float64[np.ndarray, "rows columns"]:
        matrix = self._few(rows)
        if matrix is None:
            given = read_cells(rows)
            order = self._order([column.name for column in given], named=has_names(rows))
            coded = [column.codes(given[place], unseen) for column, place in zip(self.columns, order, strict=True)]
            matrix = np.ascontiguousarray(np.stack(coded, axis=1))
        return matrix

    def _few(self, rows: Any) -> Float64[np.ndarray, "rows columns"] | None:
        """What `encode` gives for a few rows, quickly; None where it must look closer."""
        given = few_rows(rows, _FEW)
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

    def _log_gaps(self, gaps: Int64[np.ndarray, " columns"], rows: int) -> None:
        """Log how many values are missing in columns that had all of theirs."""
        if not gaps.any():
            return
        counts = gaps.tolist()
        found = {one.name: count for one, count in zip(self.columns, counts, strict=True) if count and not one.missing}
        if found:
            listed = ", ".join(f"{count} of {name!r}" for name, count in list(found.items())[:10])
            more = f" and of {len(found) - 10} more columns" if len(found) > 10 else ""
            log.warning(
                "of %d rows, %d values are missing or names never seen, in columns that had all of theirs (%s%s): "
                "numbers count as the column's middle, names as none that is known",
                rows,
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
            forms.DecodedColumn(column, matrix[:, place].astype(np.float64))
            for place, column in enumerate(self.columns)
        ]
        if isinstance(like, str):
            if like not in forms.WRITERS:
                raise must("like", "decode", "a form of a table, or rows", like, near(like, forms.WRITERS))
            return forms.WRITERS[like](decoded, None)
        pattern = forms.Pattern.of(like)
        order = self._order(pattern.names, named=has_names(like))
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
            return self.columns[positions([which], self.names, "name")[0]]
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
            raise self._lacking(missing, names)
        own = set(self.names)
        if extra := [name for name in names if name not in own]:
            raise BadInput(f"The rows have columns that are not known: {shown(extra)}. Leave them out.")
        return [places[name] for name in self.names]

    def _lacking(self, missing: Sequence[str], names: Sequence[str]) -> BadInput:
        """The error for rows whose columns are called otherwise, by what may have happened to them."""
        if list(self.names) == by_place(len(self)):
            remedy = f"The columns were read off an array, which has no names: give an array of {len(self)} columns."
        elif len(missing) == len(names) == len(self):
            remedy = "If they are the same columns, in the same order, give them these names."
        elif len(missing) == 1:
            close = near(missing[0], names)
            remedy = close if close.endswith("?") else f"Add {missing[0]!r}, with None where it is not known."
        else:
            remedy = "Add them, with None where a value is not known."
        listed = [*map(repr, missing[:_LISTED])] + [f"{len(missing) - _LISTED} more"] * (len(missing) > _LISTED)
        return BadInput(f"The rows have no column {' or '.join(listed)}; they have {shown(list(names))}. {remedy}")


def written(
    tables: Iterable[Any],
    *,
    names: Sequence[str] | None = None,
    skip: Sequence[str] = (),
    digits: bool = False,
    decimal: Decimal | None = None,
    usual: Decimal = ".",
) -> dict[str, Reading]:
    """The columns of texts that are numbers as people write them in all of some tables.

    Args:
        tables: What `Columns.infer` takes, with the same columns or with others; one after the other is read.
        names: What the columns of arrays are called.
        skip: Columns whose values are names, whatever they look like.
        digits: Whether texts of digits alone are numbers, too; they may be codes.
        decimal: What stands before fractions, where a column leaves that open.
        usual: The same, where other columns do not tell either.

    Raises:
        BadInput: If a table cannot be read, or a column is of numbers but for a few values.
    """
    given: Iterable[Sequence[Cells]] = (read_cells(rows) for rows in tables)
    if names is not None:
        given = ([replace(one, name=name) for one, name in zip(each, names, strict=False)] for each in given)
    return _written(given, set(skip), digits, decimal, usual)


def _written(
    given: Iterable[Sequence[Cells]], skip: set[str], digits: bool, decimal: Decimal | None, usual: Decimal
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


def _describe_column(column: Column) -> str:
    return f"{column.name!r}: {column}"
