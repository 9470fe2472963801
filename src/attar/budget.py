"""What may be lost and used: limits on quality, bytes, latency, memory and arithmetic, read, compared, in words.

A limit is an upper bound on one quantity, absolute ("50 kB") or relative to what the teacher takes ("0.05x"). The loss
of quality is the teacher's score minus the model's, on the same examples; every other quantity is the model's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from attar import formatting
from attar.errors import BadInput, near, shown

What = Literal["quality_loss", "bytes", "latency", "memory", "macs"]
"""What may be limited: keys of ``[budget]``."""

Prefer = Literal["latency", "bytes", "quality"]
"""What may decide among models that are within all limits."""

PREFERRED: Mapping[Prefer, str] = {"latency": "the fastest", "bytes": "the smallest", "quality": "the best"}
"""What is preferred, in words."""

_ROUNDING = 1e-12
"""0.95 - 0.94 is more than 0.01 in floats: exactly what was asked is within."""

_LARGEST, _LONGEST = 1e18, 60


@dataclass(frozen=True, slots=True)
class Score:
    """What a budget has to know of the score of which something may be lost.

    Attributes:
        name: What people call it.
        points: Whether it is a share of 1, whose differences are told in points. Any other is an error, of which less
            is better: as a score it has a minus, and what may be lost of it is a share of the teacher's.
        unit: What differences are counted in where they are no points and it is no error: ``bits``.
    """

    name: str
    points: bool = True
    unit: str = ""

    @property
    def lost(self) -> str:
        """What follows an amount that was lost.

        Example:
            >>> Score("accuracy").lost, Score("RMSE", points=False).lost
            ('of accuracy lost', 'more RMSE')
        """
        return f"more {self.name}" if self.is_error else f"of {self.name} lost"

    @property
    def is_error(self) -> bool:
        """Whether less is better."""
        return not self.points and not self.unit

    def shown(self, difference: float) -> str:
        """A difference of scores, for people."""
        if self.unit:
            return f"{formatting.trimmed(difference)} {self.unit}"
        return _points(difference) if self.points else formatting.trimmed(difference)

    def figure(self, score: float) -> float:
        """The figure that a score stands for: an error without the minus that it has as a score."""
        return -score if self.is_error else score

    def level(self, score: float) -> str:
        """A score itself, for people.

        Example:
            >>> Score("accuracy").level(0.5), Score("RMSE", points=False).level(-0.25)
            ('50.00%', '0.25')
        """
        return f"{score:.2%}" if self.points else f"{self.figure(score):.4g}"

    def amount(self, difference: float) -> str:
        """A difference of scores without its unit, to two significant digits, of points at most two decimals."""
        if not self.points:
            return formatting.significant(difference, 2)
        text = formatting.significant(100 * difference, 2) if abs(difference) >= 0.001 else f"{100 * difference:.2f}"
        return text.replace("-", "\N{MINUS SIGN}")


ACCURACY = Score("accuracy")


@dataclass(frozen=True, slots=True)
class _Quantity:
    """One thing that may be limited.

    Attributes:
        units: Unit to how many of the quantity's own unit it is; the own unit has 1.
        unitless: Whether a number without a unit is clear: it is in the own unit.
        example: How a limit is written.
        noun: What it is called; of a loss, the score says it.
        after: What follows an amount of it in a sentence.
        shown: An amount in the own unit, for people.
    """

    units: Mapping[str, float]
    unitless: bool
    example: str
    noun: str
    after: str
    shown: Callable[[float], str]


def _points(difference: float) -> str:
    text = formatting.trimmed(100 * difference)
    return f"{text} point{'' if text == '1' else 's'}"


_BYTES = {"": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_TIMES = {"ns": 1e-6, "us": 1e-3, "\N{MICRO SIGN}s": 1e-3, "ms": 1.0, "s": 1e3}
_COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_SCORES = {"": 1.0, "%": 0.01, "point": 0.01, "points": 0.01}

_QUANTITIES: Mapping[What, _Quantity] = {
    "quality_loss": _Quantity(_SCORES, True, "1%", "", "", _points),
    "bytes": _Quantity(_BYTES, True, "50 kB", "size on disk", "on disk", formatting.size),
    "latency": _Quantity(_TIMES, False, "1 ms", "latency at batch 1", "at batch 1", formatting.milliseconds),
    "memory": _Quantity(_BYTES, False, "20 MB", "peak memory", "of memory", formatting.size),
    "macs": _Quantity(_COUNTS, True, "3 M", "multiply-adds", "multiply-adds", formatting.count),
}
"""Own units: a difference of scores, bytes, milliseconds, bytes, multiply-adds for one example."""

_WRITTEN: Mapping[What, Sequence[str]] = {
    "quality_loss": ("%",),
    "bytes": ("GB", "MB", "kB", "B"),
    "latency": ("s", "ms", "\N{MICRO SIGN}s", "ns"),
    "memory": ("GB", "MB", "kB", "B"),
    "macs": ("T", "G", "M", "k"),
}
"""The units in which limits are written, the largest first."""

_SPACES = {ord(one): " " for one in "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"}
"""Between a number and its unit where somebody copied it, from a report of Attar too."""

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)", re.DOTALL | re.ASCII)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so much of one thing.

    Attributes:
        what: Of which.
        amount: How much in its own unit (a difference of scores, bytes, milliseconds, multiply-adds), or, where
            ``relative``, how many times what the teacher takes; of a loss of quality, times the teacher's score.
        relative: Whether it is relative to the teacher.
    """

    what: What
    amount: float
    relative: bool = False

    @classmethod
    def read(cls, what: What, given: object) -> Limit:
        """A limit as people write it: a number with its unit as text, or a plain number where the unit is clear.

        Args:
            what: What is limited.
            given: For example ``"50 kB"``, ``"1%"``, ``"0.05x"``, ``0.01`` (of quality), ``50_000`` (of bytes).

        Raises:
            BadInput: If it is none of these, or not above 0 (a loss of quality may be 0). The sentence is meant to go
                on after the name of the key.

        Example:
            >>> Limit.read("bytes", "50 kB").amount, str(Limit.read("latency", "0.10 x"))
            (50000.0, '0.1x')
            >>> Limit.read("bytes", "50 KB")
            Traceback (most recent call last):
            attar.errors.BadInput: must have a unit that is known; got '50 KB'. Did you mean 'kB'?
        """
        quantity = _QUANTITIES[what]
        write = f"Write for example {quantity.example!r} or '0.05x'"
        if isinstance(given, Limit):
            return given
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise _must("be a number with its unit", given, write)
        text = given.translate(_SPACES).strip() if isinstance(given, str) else _digits(given)
        found = None if len(text) > _LONGEST else _NUMBER.fullmatch(text)
        if found is None or re.search(r"\d", found[2]):
            raise _must("be a number with its unit", given, write)
        number, unit = float(found[1]), found[2].replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
        if number < 0 or (number == 0 and what != "quality_loss"):
            raise _must("be at least 0" if what == "quality_loss" else "be greater than 0", given, write)
        relative = unit in ("x", "\N{MULTIPLICATION SIGN}")
        if not unit and not quantity.unitless:
            raise _must("have a unit", given, write)
        if not relative and unit not in quantity.units:
            share = f"Write '{_digits(number / 100)}x' for that share of the teacher's"
            raise _must("have a unit that is known", given, share if unit == "%" else _near(unit, quantity.units))
        amount = number if relative else number * quantity.units[unit]
        if not amount <= _LARGEST or (amount < 1 / _LARGEST and number > 0):
            raise _must("be of a size that occurs", given, write)
        if what == "quality_loss" and not relative:
            if not unit and amount >= 1:
                raise _must("be below 1 where it has no unit", given, "Write '1%' for one point, '100%' for all of it")
            if amount > 1:
                raise _must("be at most 100%", given, write)
        return cls(what, amount, relative)

    def at(self, teacher: float | None) -> float | None:
        """The limit in the own unit; None where it is relative to a figure that is not known.

        Args:
            teacher: What the teacher takes; of a loss of quality, the teacher's score.
        """
        if not self.relative:
            return self.amount
        return None if teacher is None else self.amount * abs(teacher)

    def keeps(self, found: float | None, teacher: float | None) -> bool:
        """Whether a figure is within the limit; one that was not measured is not.

        Args:
            found: In the own unit: the loss, or what the model takes.
            teacher: As for `at`.
        """
        bound = self.at(teacher)
        return (
            found is not None
            and bound is not None
            and (found <= bound or math.isclose(found, bound, rel_tol=_ROUNDING, abs_tol=_ROUNDING))
        )

    def of(self, score: Score) -> Limit:
        """The limit where this is the score: percentages of an error are relative to the teacher's error."""
        return replace(self, relative=True) if score.is_error and self.what == "quality_loss" else self

    def shown(self, amount: float, score: Score = ACCURACY) -> str:
        """An amount of what is limited, with its unit, for people."""
        return score.shown(amount) if self.what == "quality_loss" else _QUANTITIES[self.what].shown(amount)

    def bound(self, teacher: float | None, score: Score = ACCURACY) -> str:
        """The limit for people; a relative one with what it comes to, where that is known.

        Example:
            >>> Limit.read("quality_loss", 0.02).bound(0.95), Limit.read("latency", "0.5x").bound(None)
            ('2 points', '0.5x')
        """
        at = self.at(teacher)
        if not self.relative:
            return score.shown(self.amount) if self.what == "quality_loss" else str(self)
        return str(self) if at is None else f"{self.shown(at, score)} ({self} the teacher's)"

    def noun(self, score: Score = ACCURACY) -> str:
        """What is limited, in words."""
        if self.what == "quality_loss":
            return f"more {score.name}" if score.is_error else f"{score.name} lost"
        return _QUANTITIES[self.what].noun

    def after(self, score: Score = ACCURACY) -> str:
        """What follows an amount of it in a sentence."""
        return score.lost if self.what == "quality_loss" else _QUANTITIES[self.what].after

    def asked(self, score: Score = ACCURACY, teacher: float | None = None) -> str:
        """What is asked, in words.

        Example:
            >>> Limit.read("quality_loss", "1%").asked(), Limit.read("bytes", "0.05x").asked()
            ('at most 1 point of accuracy lost', "at most 0.05x the teacher's size on disk")
        """
        if not self.relative:
            return f"at most {self.bound(None, score)} {self.after(score)}"
        at = self.at(teacher)
        known = "" if at is None else f" (about {self.shown(at, score)})"
        if self.what == "quality_loss" and score.is_error:
            return f"at most {self} the teacher's {score.name} more{known}"
        return f"at most {self} the teacher's {self.noun(score)}{known}"

    def excess(self, found: float | None, teacher: float | None, score: Score = ACCURACY) -> str:
        """By how much a figure is beyond the limit: words that follow the model's name and a colon.

        Args:
            found: As for `keeps`.
            teacher: As for `at`.
            score: Of which something may be lost.

        Example:
            >>> Limit.read("bytes", "50 kB").excess(61_200.0, None).replace(chr(160), " ")
            '61.2 kB on disk, 11.2 kB over the 50 kB that were asked for'
        """
        at = self.at(teacher)
        if found is None:
            return f"its {self.noun(score)} was not measured, and a limit was asked for"
        if at is None:
            return f"the teacher's {self.noun(score)} is not known, and {self} of it was asked for"
        over, bound = self.shown(found - at, score), self.bound(teacher, score)
        if self.what == "quality_loss":
            lost = f"{score.shown(found)} {score.lost} on validation"
            return f"{lost}, {over} above the {bound} that may be lost"
        asked = "was" if re.match(r"1\b(?!\.)", bound) else "were"
        return f"{self.shown(found)} {self.after()}, {over} over the {bound} that {asked} asked for"

    def __str__(self) -> str:
        """The limit as `read` takes it; it comes back exactly.

        Example:
            >>> [str(Limit.read(*one)) for one in (("bytes", 50_000), ("quality_loss", 0.015), ("macs", "3e6"))]
            ['50 kB', '1.5%', '3 M']
        """
        if self.relative:
            return f"{_digits(self.amount)}x"
        units = _QUANTITIES[self.what].units
        for unit in _WRITTEN[self.what]:
            text = _digits(round(self.amount / units[unit], 9))
            fits = self.amount >= units[unit] or unit == "%"
            if fits and float(text) * units[unit] == self.amount:
                return f"{text}{unit}" if unit == "%" else f"{text} {unit}"
        own = {"latency": " ms", "bytes": " B", "memory": " B"}.get(self.what, "")
        return f"{_digits(self.amount)}{own}"


def asked(limits: Iterable[Limit], prefer: Prefer | None, score: Score = ACCURACY) -> str:
    """A budget in words.

    Example:
        >>> asked([Limit.read("quality_loss", "1%"), Limit.read("bytes", "0.1x")], "bytes")
        "at most 1 point of accuracy lost, at most 0.1x the teacher's size on disk; of those within, the smallest"
    """
    phrases = ", ".join(limit.of(score).asked(score) for limit in limits)
    return phrases if prefer is None else f"{phrases}; of those within, {PREFERRED[prefer]}"


def _must(rule: str, given: object, remedy: str) -> BadInput:
    return BadInput(f"must {rule}; got {shown(given)}. {remedy}{'' if remedy.endswith('?') else '.'}")


def _near(unit: str, units: Iterable[str]) -> str:
    """The units that differ by their case alone, or look alike, or all."""
    names = [*filter(None, units), "x"]
    same = next((name for name in names if name.lower() == unit.lower()), None)
    return f"Did you mean {same!r}?" if same is not None else near(unit, names)


def _digits(number: formatting.Number) -> str:
    """A number in the fewest digits that give it back, without a zero behind the point."""
    try:
        return repr(float(number)).removesuffix(".0")
    except OverflowError:
        return repr(math.inf)
