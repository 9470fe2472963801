"""What one column of a table holds, and how its values become numbers."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from attar.errors import BadInput, Words, must, near, shown
from attar.tables.cells import EXACT, LARGEST, MISSING, Cells, Kind, Scalar, as_python, is_null
from attar.tables.dates import Dates, moment, moment_in, moments, not_a_date
from attar.tables.notation import DEFAULT, Notation, Reading

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Float64, Int64

Unseen = Literal["error", "missing"]

_BOOLS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Column:
    """One column, as it was in the rows that it was inferred from.

    Attributes:
        name: What it is called.
        kind: ``number``; ``integer`` for numbers that are whole; ``nominal`` for one of a few values without order;
            ``date`` for dates and times, which are days since the first of them.
        categories: The values of a nominal column, of one type, sorted; a value's code is its place here. Empty
            otherwise.
        low: Smallest number seen; None for a nominal column, and where every value was missing.
        high: Largest number seen; the same.
        missing: Whether there were rows without a value.
        center: Mean of the numbers seen, 0 for a nominal column.
        scale: Standard deviation of the numbers seen, and at least as much as float32 can tell apart; 1 for a constant
            and for a nominal column.
        notation: How numbers that came as texts were written; None where they came as numbers.
        dates: How a column of dates is written as numbers, which ``low``, ``high`` and ``center`` are; None of others.
        nan: As of `Cells`, by which objects come back from numbers as they were. No document says these two.
        days: Likewise.

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
    dates: Dates | None = None
    nan: bool = field(default=False, compare=False)
    days: bool = field(default=False, compare=False)
    _codes: dict[Any, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", {value: float(code) for code, value in enumerate(self.categories)})
        of = f"column {self.name!r}"
        _check_kind(self.name, self.kind)
        if self.categories and self.kind != "nominal":
            raise BadInput(
                f"{of} holds {self.kind}s, which have no categories; got {shown(self.categories)}. Make it nominal."
            )
        if (self.kind == "date") != (self.dates is not None):
            raise must("dates", of, "given where the kind is date, and there alone", self.dates, "Use Columns.infer")
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
        dates: Dates | None = None
        if reading is not None:
            notation, kind = reading.notation, "integer" if reading.integral else "number"
            numbers = _as_numbers(given, notation)
        elif nominal or kind == "nominal":
            categories, codes = given.nominals()
            return cls(given.name, "nominal", categories, missing=bool((codes < 0).any()), nan=given.nan)
        elif kind == "date" and not given.empty:
            dates = Dates.of(given.values[~given.missing])
            numbers = _as_days(given, dates)
        elif kind == "date":
            kind, numbers = "number", given.numbers()
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
        return cls(given.name, kind, (), low, high, gaps, center, scale, notation, dates, days=given.days)

    def code(self, value: Any) -> float | None:
        """One value as `codes` gives it; None where only that can tell what it is, or what is wrong with it."""
        if is_null(type(value)):
            return math.nan
        if self.kind == "nominal":
            try:
                code = self._known(value)
                if code is not None:
                    return code
                return math.nan if bool(value != value) or value in MISSING else None
            except (TypeError, ValueError):  # what has no hash, or is several values
                return None
        if self.dates is not None:
            if isinstance(value, str) and value in MISSING:
                return math.nan
            date = moment(value)
            return None if date is None else self.dates.day(date)
        if isinstance(value, str):
            number = (self.notation or DEFAULT).number(value)
            return number if number is None or not abs(number) > LARGEST else None
        if isinstance(value, float | int) and not isinstance(value, bool):
            if -EXACT <= value <= EXACT:
                return float(value)
            return math.nan if value != value else None
        if isinstance(value, np.timedelta64):  # to NumPy an integer, of any unit
            return None
        if isinstance(value, np.integer | np.floating):
            return self.code(float(value) if isinstance(value, np.longdouble) else value.item())
        return None

    def codes(self, given: Cells, unseen: Unseen = "error") -> Float64[np.ndarray, " rows"]:
        """Cells as numbers: nominal values by their codes, NaN where missing.

        Raises:
            BadInput: If the cells are of another type, a number is infinite, or a value was not there when the column
                was inferred and that is an error.
        """
        if self.dates is not None:
            return self._days(given, self.dates)
        if self.kind != "nominal":
            return self._numbers(given)
        if given.problem is not None:
            known = [self.code(value) for value in given.values]
            if any(one is None for one in known):
                raise given.problem
            return np.array(known, np.float64)
        categories, codes = given.nominals()
        lookup = np.array([*(self._place(value) for value in categories), -1], np.int64)
        found = lookup[codes]
        if unseen == "error" and (found == -2).any():
            row = int(np.flatnonzero(found == -2)[0])
            raise self._not_seen(categories[int(codes[row])], row)
        return np.where(found < 0, np.nan, found.astype(np.float64))

    def _known(self, value: Any) -> float | None:
        """The code of a category, also of a bool or number that comes as a text, as a reader of CSV files gives it."""
        code = self._codes.get(value)
        if code is not None or not isinstance(value, str) or not self.categories or isinstance(self.categories[0], str):
            return code
        read = _BOOLS.get(value.lower()) if isinstance(self.categories[0], bool) else DEFAULT.number(value)
        return self._codes.get(read)

    def _place(self, value: Scalar) -> int:
        """The code of a category; -1 for a missing one, -2 for one that is not known."""
        code = self._known(value)
        return int(code) if code is not None else -1 if isinstance(value, str) and value in MISSING else -2

    def _not_seen(self, value: Scalar, row: int) -> BadInput:
        """The error for a value that was not there when a nominal column was inferred."""
        remedy = near(str(value), map(str, self.categories)) if self.categories else "It had no value then"
        if str(value) in map(str, self.categories):
            then, now = (type(one).__name__ for one in (self.categories[0], value))
            remedy = f"Its values were of type {then} then, and this is of type {now}: convert it"
        if len(self.categories) > 20 and remedy.startswith("Choose"):
            remedy = f"There are {len(self.categories)} values, such as {self.categories[0]!r}"
        remedy += "" if remedy.endswith("?") else "."
        remedy += " With unseen='missing', deploy and Mimic take it for missing"
        rule = "one of the values that were there when the columns were inferred"
        return must(f"column {self.name!r}", "the rows", rule, Words(f"{shown(value, 60)} in row {row}"), remedy)

    def _days(self, given: Cells, dates: Dates) -> Float64[np.ndarray, " rows"]:
        """Cells as days since the first, some or all of which may be written as texts."""
        if given.empty:
            return np.full(len(given.values), np.nan)
        if given.kind == "date":
            return _as_days(given, dates)
        if given.kind == "nominal" and given.problem is None:
            categories, codes = given.nominals()
            lookup = np.full(len(categories) + 1, np.datetime64("NaT"), "datetime64[us]")
            for row, code in _first_rows(codes):
                if categories[code] not in MISSING:
                    lookup[code] = moment_in(self.name, categories[code], row)
            return dates.days(lookup[codes])
        if given.problem is not None:
            marks = [isinstance(one, str) and one in MISSING for one in given.values.tolist()]
            return dates.days(moments(self.name, given.values, given.missing | np.array(marks)))
        row = int(np.flatnonzero(~given.missing)[0])
        raise not_a_date(self.name, as_python(given.values[row]), row)

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
        lookup = np.full(len(categories) + 1, np.nan)
        for row, code in _first_rows(codes):
            lookup[code] = self._read(categories[code], row)
        values = lookup[codes]
        return Cells(given.name, values, np.isnan(values)).numbers()

    def _read(self, value: Any, row: int) -> float:
        """One number, which may be written as a text.

        Raises:
            BadInput: If it is none.
        """
        value = as_python(value)
        number = (self.notation or DEFAULT).number(value) if isinstance(value, str) else self.code(value)
        if number is not None:
            return number
        if isinstance(value, float):
            return value  # `Cells.numbers` says what is wrong with it
        if isinstance(value, int) and not isinstance(value, bool):
            rule, got = "from -2**53 to 2**53", Words(f"{value} in row {row}")
            raise must(f"column {self.name!r}", "the rows", rule, got, "Leave it out, or convert it to a float")
        how = "" if self.notation is None else f" (written {self.notation.how})"
        remedy = "Convert it: these were numbers when the columns were inferred"
        got = Words(f"{value!r} in row {row}")
        raise must(f"column {self.name!r}", "the rows", f"of numbers{how}", got, remedy)

    def __str__(self) -> str:
        gaps = " or missing" if self.missing else ""
        if self.kind == "nominal":
            return f"nominal of {len(self.categories)} values{gaps}"
        if self.dates is not None and self.low is not None and self.high is not None:
            return f"date from {self.dates.text(self.low)} to {self.dates.text(self.high)}{gaps}"
        span = "" if self.low is None else f" from {self.low:g} to {self.high:g}"
        how = "" if self.notation is None or self.notation == DEFAULT else f", written {self.notation.how}"
        return f"{self.kind}{span}{gaps}{how}"

    def to_json(self) -> dict[str, Any]:
        """The column as a plain document."""
        document = {name: getattr(self, name) for name in _FIELDS}
        notation = {} if self.notation is None else {"notation": self.notation.to_json()}
        dates = {} if self.dates is None else {"dates": self.dates.to_json()}
        return document | {"categories": list(self.categories)} | notation | dates

    @classmethod
    def from_json(cls, document: object) -> Column:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        remedy = "Write it again with to_json"
        if not isinstance(document, Mapping) or set(document) - {"notation", "dates"} != set(_FIELDS):
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
        written, dates = document.get("notation"), document.get("dates")
        return cls(
            document["name"],
            document["kind"],
            tuple(categories),
            missing=document["missing"],
            notation=None if written is None else Notation.from_json(written),
            dates=None if dates is None else Dates.from_json(dates),
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


def _first_rows(codes: Int64[np.ndarray, " rows"]) -> list[tuple[int, int]]:
    """The first row of each code but -1, with the code, by rows: so that an error names the first row that is wrong."""
    found, rows = np.unique(codes, return_index=True)
    return sorted((row, code) for row, code in zip(rows.tolist(), found.tolist(), strict=True) if code >= 0)


def _as_days(given: Cells, dates: Dates) -> Float64[np.ndarray, " rows"]:
    """Cells of dates as days, NaN where missing: of objects any date stands there."""
    found = dates.days(given.values)
    found[given.missing] = np.nan
    return found


def _as_numbers(given: Cells, notation: Notation) -> Float64[np.ndarray, " rows"]:
    """The numbers that texts are; numbers stay what they are."""
    if given.kind != "nominal" or given.empty:
        return given.numbers()
    categories, codes = given.nominals()
    found = [notation.number(value) if isinstance(value, str) else None for value in categories]
    values = np.array([*(math.nan if value is None else value for value in found), math.nan])[codes]
    return Cells(given.name, values, np.isnan(values)).numbers()
