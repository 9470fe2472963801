"""Numbers formatted for people: three significant digits, a unit, and true minus signs.

Every function takes a number and returns text whose number and unit do not break apart at the end of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

Number = float | int
"""Read from JSON, 1.0 may have become 1."""

ABSENT = "\N{EN DASH}"
"""Stands where a figure was not measured."""

_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_TIMES = "\N{MULTIPLICATION SIGN}"
_SUPERSCRIPTS = str.maketrans("0123456789-", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b")
# From here on one example moves an accuracy by at most a twentieth of a point: a second decimal means something.
_TWO_DECIMALS_FROM = 2000


def significant(value: Number, digits: int = 3) -> str:
    """A number to some significant digits, never in exponent form.

    Example:
        >>> significant(0.012345), significant(1.5), significant(41.16), significant(12345.6)
        ('0.0123', '1.50', '41.2', '12346')
    """
    if value == 0:
        return "0"
    # The exponent of the rounded number: 0.9996 is 1.00, not 1.000.
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])
    decimals = max(0, digits - 1 - exponent)
    return f"{value:.{decimals}f}".replace("-", _MINUS)


def trimmed(value: Number, digits: int = 3) -> str:
    """A number to some significant digits, without zeros at its end.

    Example:
        >>> trimmed(60.02), trimmed(1.5), trimmed(100), trimmed(0)
        ('60', '1.5', '100', '0')
    """
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(fraction: Number, examples: int | None = None) -> str:
    """A fraction as a percentage, with as many decimals as the number of examples carries.

    Example:
        >>> percent(0.91524, examples=10_000), percent(0.91524, examples=360)
        ('91.52%', '91.5%')
    """
    return f"{100 * fraction:.{_decimals(examples)}f}%".replace("-", _MINUS)


def percent_interval(interval: Sequence[Number], examples: int | None = None) -> str:
    """An interval of fractions, in percent.

    Example:
        >>> percent_interval((0.901, 0.925), examples=360).split()
        ['90.1', 'to', '92.5%']
    """
    low, high = interval
    return f"{percent(low, examples)[:-1]} to {percent(high, examples)}".replace(" ", _SPACE)


def points(difference: Number, examples: int | None = None) -> str:
    """A difference of two fractions in percentage points, signed.

    Example:
        >>> points(0.0042, examples=10_000), points(0.0042), points(0.0)
        ('+0.42', '+0.4', '0.0')
    """
    text = f"{100 * difference:+.{_decimals(examples)}f}"
    # A difference that rounds to nothing has no sign.
    return text[1:] if not any(digit in text for digit in "123456789") else text.replace("-", _MINUS)


def size(num_bytes: Number) -> str:
    """A number of bytes in decimal units (1 kB = 1000 B).

    Example:
        >>> [text.split() for text in (size(812), size(45_300), size(1_234_567))]
        [['812', 'B'], ['45.3', 'kB'], ['1.23', 'MB']]
    """
    return _scaled(num_bytes, 1000.0, ("B", "kB", "MB", "GB", "TB"), integer_first=True)


def count(number: Number) -> str:
    """A count of parameters, multiply-adds or rows, with a million as M and a thousand million as G.

    Example:
        >>> [text.split() for text in (count(812), count(45_300), count(1_234_567))]
        [['812'], ['45.3', 'k'], ['1.23', 'M']]
    """
    return _scaled(number, 1000.0, ("", "k", "M", "G", "T"), integer_first=True)


def grouped(number: int) -> str:
    """A whole number with its digits in threes.

    Example:
        >>> grouped(60_000), grouped(812)
        ('60,000', '812')
    """
    return f"{number:,}".replace("-", _MINUS)


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "layer"), plural(1200, "layer")
        ('1 layer', '1,200 layers')
    """
    return f"{grouped(count)} {noun}{'s' if count != 1 else ''}"


def milliseconds(duration_ms: Number) -> str:
    """A short time, given in milliseconds, as µs, ms or s.

    Example:
        >>> [milliseconds(duration).split() for duration in (0.0823, 12.345, 2100)]
        [['82.3', 'µs'], ['12.3', 'ms'], ['2.10', 's']]
    """
    return _scaled(1000.0 * duration_ms, 1000.0, ("µs", "ms", "s"), integer_first=False)


def seconds(duration_s: Number) -> str:
    """A long time, given in seconds, as people say it.

    Example:
        >>> [" ".join(seconds(duration).split()) for duration in (0.82, 12.34, 312, 7384)]
        ['0.8 s', '12.3 s', '5 min 12 s', '2 h 3 min']
    """
    if duration_s < 59.95:
        return f"{duration_s:.1f}{_SPACE}s"
    minutes, rest = divmod(round(duration_s), 60)
    if minutes < 60:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{_SPACE}h {minutes}{_SPACE}min"


def moment(created: str) -> str:
    """A moment in ISO form, to the minute; any other text as it is.

    Example:
        >>> moment("2026-11-20T09:30:12+00:00"), moment("yesterday")
        ('2026-11-20 09:30 UTC', 'yesterday')
    """
    try:
        found = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{found:%Y-%m-%d %H:%M} {found.tzname() or ''}".strip()


def times(ratio: Number) -> str:
    r"""A ratio as so many times.

    Example:
        >>> times(41.16) == "41.2\N{MULTIPLICATION SIGN}"
        True
    """
    return f"{trimmed(ratio)}{_TIMES}"


def compared(ratio: Number, more: str, less: str) -> str:
    r"""How many times more or less of something there is; what comes out as once is no more.

    Args:
        ratio: Above 1 where there is more.
        more: The word for it, such as ``faster``.
        less: Its opposite.

    Example:
        >>> compared(5.95, "faster", "slower") == "5.95\N{MULTIPLICATION SIGN} faster"
        True
        >>> compared(0.8, "faster", "slower") == "1.25\N{MULTIPLICATION SIGN} slower"
        True
        >>> compared(0.999, "faster", "slower")
        'no faster'
    """
    if ratio > 0 and trimmed(max(ratio, 1 / ratio)) == "1":
        return f"no {more}"
    return f"{times(ratio)} {more}" if ratio >= 1 or ratio <= 0 else f"{times(1 / ratio)} {less}"


def small(value: Number) -> str:
    """A number whose order of magnitude is what matters, as a power of ten where it is far from one.

    Example:
        >>> small(1.9e-6), small(0.042), small(0.0)
        ('1.9·10⁻⁶', '0.042', '0')
    """
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return significant(value, 2)
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}\N{MIDDLE DOT}10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", _MINUS)


def _decimals(examples: int | None) -> int:
    return 2 if examples is not None and examples >= _TWO_DECIMALS_FROM else 1


def _scaled(value: Number, step: Number, suffixes: Sequence[str], *, integer_first: bool) -> str:
    value = float(value)
    for place, suffix in enumerate(suffixes):
        last = place == len(suffixes) - 1
        if abs(value) < step * 0.9995 or last:
            number = f"{value:.0f}" if place == 0 and integer_first else significant(value)
            return f"{number}{_SPACE}{suffix}" if suffix else number
        value /= step
    raise AssertionError("the last suffix always returns")
