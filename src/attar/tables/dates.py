"""Dates and times of a column as numbers: days since the first one, and which circles a network sees them on.

A date is one number to all that handles rows (synthesis, the store, a float32 input): the days since ``origin``. What
returns, the season, the day of the week and the time of day, is the place on a circle, its sine and cosine, which the
network computes itself (`attar.network.rows.Rows`), so that a deployed file takes dates as they come.
"""

from __future__ import annotations

import datetime
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attar.errors import BadInput, Words, must

if TYPE_CHECKING or "jaxtyping" in sys.modules:  # an artifact that takes rows of tables runs without it
    from jaxtyping import Float64, Shaped

YEAR, WEEK, DAY = 365.2425, 7.0, 1.0
"""Periods in days: the mean year of the Gregorian calendar, so that a date is at most a day from its place in it."""

_MICROSECONDS = 86_400_000_000
"""In a day."""

_STEPS = (86_400.0, 3600.0, 60.0, 1.0, 1e-6)
"""How fine times can be, in seconds, the coarsest first."""

_FURTHEST = 3_652_059
"""Days from the first to the last date that Python knows: no origin lies further from 1970."""


@dataclass(frozen=True, slots=True)
class Dates:
    """How the dates of a column are written as numbers.

    Attributes:
        origin: The day that is 0, in days since 1970-01-01 UTC.
        step: Seconds between dates that can be told apart: those of a day, an hour, a minute, a second or less.
        periods: In days, of the circles on which a network sees a date.

    Raises:
        BadInput: If one of them is out of its range.
    """

    origin: int
    step: float
    periods: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if abs(self.origin) > _FURTHEST:
            raise must("origin", "Dates", "days since 1970 of the years 1 to 9999", self.origin, "Infer it again")
        if self.step not in _STEPS:
            raise must(
                "step", "Dates", f"one of {', '.join(f'{one:g}' for one in _STEPS)}", self.step, "Infer it again"
            )
        if not all(math.isfinite(one) and one > 0 for one in self.periods) or len(self.periods) > 3:
            raise must("periods", "Dates", "at most 3 numbers of days above 0", self.periods, "Infer it again")

    @classmethod
    def of(cls, dates: Shaped[np.ndarray, " rows"]) -> Dates:
        """How dates, none of them missing, are written: as finely as they are, on the circles that they go around.

        A season shows from half a year on, a day of the week from two weeks on, and a time of day where there are
        several.
        """
        numbers = dates.astype("datetime64[us]").astype(np.int64)
        origin, span = int(numbers.min() // _MICROSECONDS), int(numbers.max() - numbers.min()) / _MICROSECONDS
        step = next(one for one in _STEPS if one == _STEPS[-1] or not (numbers % round(one * 1e6)).any())
        times = len(np.unique(numbers % _MICROSECONDS)) > 1
        circles = ((YEAR, span >= YEAR / 2), (WEEK, span >= 2 * WEEK), (DAY, times))
        return cls(origin, step, tuple(period for period, wanted in circles if wanted))

    def days(self, dates: Shaped[np.ndarray, " rows"]) -> Float64[np.ndarray, " rows"]:
        """Days since the origin, NaN where a date is missing."""
        missing = np.isnat(dates)
        micro = np.where(missing, np.datetime64(self.origin, "D"), dates).astype("datetime64[us]").astype(np.int64)
        found: Float64[np.ndarray, " rows"] = (micro - self.origin * _MICROSECONDS) / _MICROSECONDS
        found[missing] = np.nan
        return found

    def day(self, moment: np.datetime64) -> float:
        """What `days` gives for one date, ``datetime64[us]``, as quickly as a deployed network answers."""
        if np.isnat(moment):
            return math.nan
        micro = int(moment.astype(np.int64)) - self.origin * _MICROSECONDS
        return float(micro) / float(_MICROSECONDS)  # as NumPy divides whole numbers

    def dates(self, days: Float64[np.ndarray, " rows"]) -> Shaped[np.ndarray, " rows"]:
        """The dates that numbers of days are, to the nearest step, ``datetime64[us]``; NaT where one is NaN."""
        missing = np.isnan(days)
        micro = round(self.step * 1e6)
        steps = np.rint(np.where(missing, 0.0, days) * (float(_MICROSECONDS) / micro)).astype(np.int64)
        found: Shaped[np.ndarray, " rows"] = (steps * micro + self.origin * _MICROSECONDS).astype("datetime64[us]")
        found[missing] = np.datetime64("NaT")
        return found

    def text(self, days: float) -> str:
        """One date for people."""
        unit: Literal["D", "m", "s"] = "D" if self.step == _STEPS[0] else "m" if self.step >= 60 else "s"
        return str(np.datetime_as_string(self.dates(np.array([days]))[0], unit=unit)).replace("T", " ")

    def to_json(self) -> dict[str, Any]:
        """This as a plain document."""
        return {"origin": self.origin, "step": self.step, "periods": list(self.periods)}

    @classmethod
    def from_json(cls, document: object) -> Dates:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        remedy = "Write it again with to_json"
        if not isinstance(document, Mapping) or set(document) != {"origin", "step", "periods"}:
            raise must("dates", "Column", "an object of origin, step and periods", document, remedy)
        origin, step, periods = document["origin"], document["step"], document["periods"]
        numbers = isinstance(periods, list | tuple) and all(map(_is_number, periods))
        if type(origin) is not int or not _is_number(step) or not numbers:
            raise must("dates", "Column", "of a whole number, a number and a list of numbers", document, remedy)
        return cls(origin, float(step), tuple(map(float, periods)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def moment(value: object) -> np.datetime64 | None:
    """One date or time, without a zone in UTC; None for what is none.

    Args:
        value: A date or datetime of Python, a `numpy.datetime64`, a Timestamp of pandas, or a text in the form of
            ISO 8601, such as ``2024-05-31`` or ``2024-05-31T12:00``.
    """
    if isinstance(value, np.datetime64):
        exact: np.datetime64 = value.astype("datetime64[us]")
        return exact
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime.datetime) and value == value:  # NaT of pandas is one, and unlike itself
        zone = value.utcoffset()
        naive = value.replace(tzinfo=None, fold=0)
        try:
            naive = naive if zone is None else naive - zone
        except OverflowError:
            return None
        return np.datetime64(datetime.datetime(*naive.timetuple()[:6], naive.microsecond), "us")
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return np.datetime64(value, "us")
    return None


def moments(name: str, values: Any, missing: Any) -> Shaped[np.ndarray, " rows"]:
    """Objects as ``datetime64[us]``, NaT where missing.

    Raises:
        BadInput: Naming the first that is no date.
    """
    found = np.full(len(values), np.datetime64("NaT"), "datetime64[us]")
    for row, value in enumerate(values):
        if not missing[row]:
            found[row] = moment_in(name, value, row)
    return found


def moment_in(name: str, value: object, row: int) -> np.datetime64:
    """What `moment` gives for a value of a column.

    Raises:
        BadInput: Naming the row, if it is no date.
    """
    found = moment(value)
    if found is None:
        raise not_a_date(name, value, row)
    return found


def not_a_date(name: str, value: object, row: int) -> BadInput:
    """The error for a value in a column of dates that is none."""
    remedy = "Convert it: these were dates when the columns were inferred"
    rule = "of dates, such as 2024-05-31 or 2024-05-31T12:00"
    return must(f"column {name!r}", "the rows", rule, Words(f"{value!r} in row {row}"), remedy)


_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"

_TIME = re.compile(r"[T ,]+\d{1,2}:\d\d.*", re.ASCII)
"""What follows a date that has a time."""

_ORDERS = (
    re.compile(r"(\d{1,2})([./ -])(\d{1,2})\2\d{4}", re.ASCII),
    re.compile(r"(\d{1,2})([/ -])(\d{1,2})\2\d\d", re.ASCII),
    re.compile(r"(\d\d)(\.)(\d\d)\.\d\d", re.ASCII),  # 1.2.13 is a version rather
    re.compile(r"\d{4}([./ -])(\d{1,2})\1(\d{1,2})", re.ASCII),
    re.compile(rf"\d{{1,2}}[. -]{{1,2}}{_MONTH}[., -]{{1,2}}(?:\d\d|\d{{4}})", re.ASCII | re.IGNORECASE),
    re.compile(rf"{_MONTH}\.? \d{{1,2}},? (?:\d\d|\d{{4}})", re.ASCII | re.IGNORECASE),
)
"""Day, month and year in the orders in which people write them."""


def is_date_text(text: str) -> bool:
    """Whether a text is a date as people write it, in whatever order of day, month and year.

    Example:
        >>> [is_date_text(one) for one in ("05/31/2024", "31.05.24 12:00", "31 May 2024", "1.2.13", "40/1/24")]
        [True, True, True, False, False]
    """
    date = _TIME.sub("", text.strip()[:60])
    found = next(filter(None, (one.fullmatch(date) for one in _ORDERS)), None)
    if found is None:
        return False
    numbers = sorted(int(one) for one in found.groups() if one.isdecimal())
    return not numbers or (1 <= numbers[0] <= 12 and numbers[1] <= 31)
