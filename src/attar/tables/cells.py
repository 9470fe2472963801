"""The cells of one column of a table: values of one type, and where there is none."""

from __future__ import annotations

import datetime
import decimal
import fractions
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attar.errors import BadInput, Words, must

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Bool, Float64, Int64, Shaped

Scalar = bool | int | float | str
"""What a category can be."""

Kind = Literal["number", "integer", "nominal", "date"]

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?")
"""Texts that stand for a missing value in every column; `attar.tables.notation.MARKS` has more for numbers."""

EXACT = 2**53
"""Whole numbers up to this size are exact in float64."""

_KINDS = {"f": "number", "i": "integer", "u": "integer", "M": "date"}

LARGEST = 1e38
"""Networks compute in float32, where what is larger is infinite, or its distance to another number is."""


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of a table.

    Attributes:
        name: What errors call it.
        values: One value for each row, of one type: bool, whole numbers, floats, strings or datetime64; any value where
            missing. With ``categories``: an index into them.
        missing: True where there is no value.
        categories: The values that can occur, of one type, sorted, each once; None where they are not known.
        declared: Whether it was the table that named the categories, and not its rows.
        problem: What is wrong with values of several types, which then stand there as they came; None for all others.
        nan: Whether objects that are missing are NaN, as pandas has them, and not None.
        days: Whether objects are dates of Python that have no time.
    """

    name: str
    values: Shaped[np.ndarray, " rows"]
    missing: Bool[np.ndarray, " rows"]
    categories: tuple[Scalar, ...] | None = None
    declared: bool = False
    problem: BadInput | None = None
    nan: bool = False
    days: bool = False

    @property
    def kind(self) -> Kind:
        """What the column is read as by default; one without any value as numbers."""
        if self.categories is not None:
            return "nominal"
        return _KINDS.get(self.values.dtype.kind, "nominal")  # type: ignore[return-value]

    @property
    def empty(self) -> bool:
        """Whether every value is missing."""
        return bool(self.missing.all())

    def numbers(self) -> Float64[np.ndarray, " rows"]:
        """The values, NaN where missing.

        Raises:
            BadInput: If they are no numbers, are not finite in float32, are above 1e38, or are whole and not exact in
                float64.
        """
        if self.problem is not None:
            raise self.problem
        if self.empty:
            return np.full(len(self.values), np.nan)
        if self.kind in ("nominal", "date"):
            row = int(np.flatnonzero(~self.missing)[0])
            value = self.values[row] if self.categories is None else self.categories[int(self.values[row])]
            got = Words(f"{as_python(value) if self.kind == 'nominal' else str(value)!r} in row {row}")
            remedy = "Convert it: these were numbers when the columns were inferred"
            raise must(f"column {self.name!r}", "the rows", "of numbers", got, remedy)
        if self.kind == "integer":
            wrong = (self.values < -EXACT) | (self.values > EXACT)
            self._refuse(wrong & ~self.missing, "from -2**53 to 2**53", "Name it in nominal, or leave it out")
        with np.errstate(over="ignore"):
            numbers = self.values.astype(np.float64)
        numbers[self.missing] = np.nan
        self._refuse(abs(numbers) > np.finfo(np.float32).max, "finite in float32", "Remove or repair such rows")
        remedy = "Leave it empty where it stands for a number that is not known"
        self._refuse(abs(numbers) > LARGEST, "from -1e38 to 1e38", remedy)
        return numbers

    def nominals(self) -> tuple[tuple[Scalar, ...], Int64[np.ndarray, " rows"]]:
        """The categories, sorted, and each row's index into them, -1 where missing.

        Raises:
            BadInput: If a category is infinite or a date, or a string is no valid Unicode.
        """
        if self.problem is not None:
            raise self.problem
        if self.kind == "date":
            remedy = "Leave it out of nominal, or convert it to strings, which are names"
            raise must(f"column {self.name!r}", "the rows", "of names", Words("dates"), remedy)
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


def is_null(kind: type) -> bool:
    """Whether a type is that of None, or of NA or NaT of pandas, which stand for a value that is not there."""
    return kind is type(None) or (kind.__name__ in ("NAType", "NaTType") and kind.__module__.startswith("pandas."))


def as_python(value: Any) -> Any:
    """A NumPy scalar as the Python object that it stands for; decimals and fractions as floats, spans of time too."""
    if isinstance(value, np.longdouble | decimal.Decimal | fractions.Fraction):  # the first one's item is itself
        return float(value)
    if isinstance(value, datetime.timedelta | np.timedelta64):
        return float(seconds(np.array([value], "timedelta64"))[0])
    return value.item() if isinstance(value, np.generic) else value


def seconds(spans: Shaped[np.ndarray, " rows"]) -> Float64[np.ndarray, " rows"]:
    """Spans of time, such as timedeltas, as numbers of seconds; NaN where there is none."""
    found: Float64[np.ndarray, " rows"] = spans / np.timedelta64(1, "s")
    return found
