"""How people write numbers: decimal commas, thousands in groups, currencies and units, marks of missing values."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from attar.errors import must

Decimal = Literal[".", ","]

MARKS = frozenset(
    (
        "|na|n/a|n.a.|#n/a|#na|<na>|nan|-nan|nat|null|(null)|none|nil|nul|missing|unknown|undefined|void|empty|blank|tbd|"
        "?|??|???|-|--|---|\u2013|\u2014|.|..|...|*|\\n|n.d.|nd|not available|not applicable|no data|no value|"
        "#value!|#div/0!|#ref!|#num!|#name?|#null!"
    ).split("|")
)
"""What stands for a missing value in a column of numbers, in lower case."""

LONGEST = 400
"""Characters in a number, at most."""

LIKELY, ENOUGH = 0.9, 20
"""Share and number of the values that must be numbers before the others count as mistakes."""

_CODES = (
    "USD|EUR|GBP|JPY|CNY|RMB|INR|CHF|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|RUB|UAH|TRY|ILS|BRL|MXN|ARS|CLP|COP|PEN|CAD|"
    "AUD|NZD|SGD|HKD|TWD|KRW|THB|IDR|MYR|PHP|VND|PKR|BDT|LKR|ZAR|NGN|KES|EGP|MAD|AED|SAR|QAR|KWD|BTC"
)
_SIGNS = "$\u00a2\u00a3\u00a4\u00a5\u0e3f\u20a0-\u20c0"
"""Of currencies, as a set of characters in a pattern."""

_BEFORE = rf"(?:[A-Z]{{0,2}}[{_SIGNS}]|{_CODES}|kr\.?|K\u010d|z\u0142|Fr\.?|Rs\.?|RM|Rp\.?)"
_AFTER = (
    rf"(?:[%\u2030]|[{_SIGNS}]|\u00b0[A-Za-z]?|[^\W\d_]{{1,5}}(?:/[^\W\d_]{{1,4}})?[.\u00b2\u00b3]?|[\u2032\u2033'\"])"
)
_MINUS = "-\u2212"
_WRITTEN = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+\u2212])?\s*(?P<before>{_BEFORE})?\s*(?P<inner>[-+\u2212])?"
    r"(?P<body>[0-9](?:[0-9.,'\u2019\s]*[0-9])?[.,]?|[.,][0-9]+)"
    rf"(?P<exponent>[eE][-+]?[0-9]{{1,3}})?(?:(?<=[.,])[-\u2013\u2014])?\s*(?P<after>{_AFTER})?\s*(?P<close>\))?"
)


@dataclass(frozen=True, slots=True)
class Notation:
    """How the numbers of one column are written.

    Attributes:
        decimal: What stands before the fraction.
        group: What stands between groups of digits: ``","``, ``"."``, ``" "`` or ``"'"``; empty for nothing.
        unit: What stands before or after the numbers, such as ``%`` or ``EUR``; a number is not changed by it.
        sure: False where the values could be read in two ways and a rule decided.

    Raises:
        BadInput: If these are none, or decimal and group are the same.

    Example:
        >>> Notation(",", ".", "EUR").number("1.234,50 EUR")
        1234.5
        >>> Notation().number("n/a"), Notation().number("red")
        (nan, None)
    """

    decimal: Decimal = "."
    group: str = ""
    unit: str = ""
    sure: bool = True

    def __post_init__(self) -> None:
        right = self.decimal in (".", ",") and self.group in ("", ".", ",", " ", "'") and self.group != self.decimal
        if not right:
            got = (self.decimal, self.group)
            raise must("decimal and group", "Notation", "two different separators", got, "Use '.' and ','")

    def number(self, text: str) -> float | None:
        """The number that a text stands for: NaN where it says that there is none, None if it is no such number.

        Zeros in front change nothing: that the column is one of numbers has been decided.
        """
        if is_mark(text):
            return math.nan
        tokens = _tokens(text, padded=True)
        return None if tokens is None else self._number(tokens)

    def _number(self, tokens: _Tokens) -> float | None:
        """The number that the parts of a text are."""
        if tokens.unit and self.unit and tokens.unit != self.unit:
            return None
        if (self.unit == "%") != (tokens.unit == "%") and tokens.body.strip("0.,"):
            return None
        if self.group or self == DEFAULT:
            return _value(tokens, self.decimal, self.group)
        # No number had a thousand yet: what is no decimal mark can stand between groups alone.
        groups = ("," if self.decimal == "." else ".", " ", "'")
        group = next((one for one in groups if one in tokens.body), "")
        return _value(tokens, self.decimal, group)

    def to_json(self) -> dict[str, Any]:
        """The notation as a plain document."""
        return {"decimal": self.decimal, "group": self.group, "unit": self.unit, "sure": self.sure}

    @classmethod
    def from_json(cls, document: object) -> Notation:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        kinds = {"decimal": str, "group": str, "unit": str, "sure": bool}
        if (
            not isinstance(document, Mapping)
            or document.keys() != kinds.keys()
            or not all(isinstance(document[key], kind) for key, kind in kinds.items())
            or document["decimal"] not in get_args(Decimal)
        ):
            raise must(
                "notation", "Column", f"an object of {', '.join(kinds)}", document, "Write it again with to_json"
            )
        return cls(document["decimal"], document["group"], document["unit"], document["sure"])

    @property
    def how(self) -> str:
        """What follows "written".

        Example:
            >>> Notation(",", "").how, Notation(".", "", "%").how
            ('with decimal comma', 'in %')
        """
        text = str(self)
        return text if text.startswith("in ") else f"with {text}"

    def __str__(self) -> str:
        words = ["decimal comma"] if self.decimal == "," else []
        names = {".": "points", ",": "commas", " ": "spaces", "'": "apostrophes"}
        words += [f"{names[self.group]} between thousands"] if self.group else []
        words += [f"in {self.unit}"] if self.unit else []
        return ", ".join(words) or "decimal point"


DEFAULT = Notation()
"""A decimal point, and nothing between thousands."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the texts of one column are as numbers.

    Attributes:
        notation: How they are written.
        values: One number for each text, NaN where it stands for a missing value.
        integral: Whether none of them has a fraction.
        digits_only: Whether they are nothing but digits.
        wrong: Places of the texts that are no numbers; their values are NaN.
    """

    notation: Notation
    values: list[float]
    integral: bool
    digits_only: bool
    wrong: tuple[int, ...] = ()


def is_mark(text: str) -> bool:
    """Whether a text stands for a missing number."""
    return len(text) <= 16 and text.strip().lower() in MARKS


def readings(
    texts: Mapping[str, Sequence[str]], *, decimal: Decimal | None = None, usual: Decimal = "."
) -> dict[str, Reading]:
    """Which columns of texts are numbers, and how they are written.

    A column is of numbers if all of its texts, but for marks of missing values, are numbers in one notation, with one
    unit at most; or nearly all of them, of which the others are then `Reading.wrong`. Digits that begin with a needless
    zero are no number but a code. "1,234" alone can be read in two ways. What decides is, in this order: another value
    of the column that can be read in one way only, ``decimal``, the other columns, ``usual``.

    Args:
        texts: By the name of the column, its different texts.
        decimal: What stands before fractions, where a column leaves that open.
        usual: The same, where no other column tells either.

    Returns:
        The columns that are of numbers.
    """
    found = {name: _Column.of(values) for name, values in texts.items()}
    columns = {name: column for name, column in found.items() if column is not None}
    votes = Counter(column.decimal for column in columns.values() if column.decimal is not None)
    most = votes.most_common()
    elected: Decimal = most[0][0] if most and (len(most) == 1 or most[0][1] > most[1][1]) else usual  # type: ignore[assignment]
    read = {name: column.reading(decimal or elected) for name, column in columns.items()}
    return {name: reading for name, reading in read.items() if reading is not None}


def is_number(text: str) -> bool:
    """Whether a text is a number in some notation.

    Example:
        >>> is_number("1.234,50 EUR"), is_number("total")
        (True, False)
    """
    return _tokens(text) is not None


@dataclass(frozen=True, slots=True)
class _Tokens:
    """A written number taken apart: its sign, its digits with all that stands between them, exponent and unit."""

    negative: bool
    body: str
    exponent: str
    unit: str


def _tokens(text: str, *, padded: bool = False) -> _Tokens | None:
    """A text taken apart; None if it is no number in any notation, as digits that begin with a needless zero are none.

    Args:
        text: What is written.
        padded: Whether such digits are one.
    """
    if len(text) > LONGEST:
        return None
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        return None
    before, after = match["before"] or "", match["after"] or ""
    if (match["open"] is None) != (match["close"] is None) or (before and after and before != after):
        return None
    if match["sign"] and match["inner"]:
        return None
    body = re.sub(r"\s", " ", match["body"]).replace("\u2019", "'")
    if not padded and re.match(r"0[0-9]", body):
        return None
    sign = match["sign"] or match["inner"] or ""
    return _Tokens(
        (sign in _MINUS if sign else False) != (match["open"] is not None),
        body.rstrip(".,"),
        match["exponent"] or "",
        before or after,
    )


def _value(tokens: _Tokens, decimal: str, group: str) -> float | None:
    """The number in a notation; None if it is none there."""
    before, point, after = tokens.body.partition(decimal)
    if not (after.isdigit() if point else True) or not after.isascii():
        return None
    if group and group in before:
        # India groups by two, after the first three.
        if not re.fullmatch(rf"[0-9]{{1,3}}(?:{re.escape(group)}[0-9]{{2,3}})*{re.escape(group)}[0-9]{{3}}", before):
            return None
        before = before.replace(group, "")
    if before and not (before.isdigit() and before.isascii()):
        return None
    number = float(f"{before or '0'}.{after or '0'}{tokens.exponent}")
    return -number if tokens.negative else number


def _decimal(body: str) -> str | None:
    """What stands before the fraction, as this number alone shows it; empty if it could be either, None if neither."""
    marks = [mark for mark in body if mark in ".,"]
    if not marks:
        return None
    last = marks[-1]
    if len(set(marks)) == 2:
        return last
    other = "," if last == "." else "."
    if len(marks) > 1:
        return other
    before, _, after = body.partition(last)
    grouped = len(after) == 3 and 1 <= len(before) <= 3 and before != "0"
    return "" if grouped else last


@dataclass(frozen=True, slots=True)
class _Column:
    """The different texts of a column that may be numbers."""

    texts: Sequence[str]
    tokens: list[_Tokens | None]
    marks: list[bool]
    unit: str
    group: str
    decimal: str | None

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Column | None:
        """The column; None where its texts are clearly names."""
        step = max(1, len(texts) // 64)
        sample = [text for text in texts[::step] if not is_mark(text)]
        if sum(_tokens(text) is not None for text in sample) < min(LIKELY, 0.5) * len(sample):
            return None
        marks = [is_mark(text) for text in texts]
        tokens = [None if mark else _tokens(text) for text, mark in zip(texts, marks, strict=True)]
        there = [one for one in tokens if one is not None]
        if not there:
            return None
        unit_counts = Counter(one.unit for one in there if one.unit)
        unit = unit_counts.most_common(1)[0][0] if unit_counts else ""
        seen = {_decimal(one.body) for one in there} - {None, ""}
        spaced = next((mark for mark in (" ", "'") if any(mark in one.body for one in there)), "")
        decimal = next(iter(seen)) if len(seen) == 1 else None
        if spaced and not seen:  # with groups of their own, whatever else stands there is a fraction
            singles = {mark for one in there for mark in one.body if mark in ".,"}
            decimal = next(iter(singles)) if len(singles) == 1 else None
        return None if len(seen) > 1 else cls(texts, tokens, marks, unit, spaced, decimal)

    def reading(self, fallback: Decimal) -> Reading | None:
        """The numbers, where the column leaves open what a comma is by what is used elsewhere."""
        decimal: Decimal = self.decimal or fallback  # type: ignore[assignment]
        other = "," if decimal == "." else "."
        there = [one for one in self.tokens if one is not None]
        used = any(other in one.body for one in there)
        open_ = self.decimal is None and any(_decimal(one.body) == "" for one in there)
        notation = Notation(decimal, self.group or (other if used else ""), self.unit, sure=not open_)
        values, wrong = [], []
        for place, (tokens, mark) in enumerate(zip(self.tokens, self.marks, strict=True)):
            value = math.nan if mark else None if tokens is None else notation._number(tokens)
            if value is None:
                wrong.append(place)
            values.append(math.nan if value is None else value)
        count = len(self.texts) - sum(self.marks)
        if wrong and (count - len(wrong) < ENOUGH or count - len(wrong) < LIKELY * count):
            return None
        fractions = any(decimal in one.body or one.exponent for one in there)
        digits_only = all(one.body.isdigit() and not one.unit and not one.exponent for one in there)
        return Reading(notation, values, not fractions, digits_only, tuple(wrong))
