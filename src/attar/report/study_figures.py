"""Figures of a study as text: in their unit, with the digits that mean something, ours and a paper's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attar import formatting

_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
# Units that stay as they are: factor, suffix, and the decimals that a figure has at least.
_FIXED = {"%": (100.0, "%", 1), "accuracy": (100.0, "%", 1), "points": (100.0, "", 2), "rmse": (1.0, "", 3)}
# Below this a figure is shown as a power of ten.
_TINY = 1e-4
# Units that change with the size of a figure, from small to large.
_LADDERS = {
    "bytes": ((1.0, "B"), (1e-3, "kB"), (1e-6, "MB"), (1e-9, "GB"), (1e-12, "TB")),
    "ms": ((1e3, "µs"), (1.0, "ms"), (1e-3, "s")),
    "s": ((1e6, "µs"), (1e3, "ms"), (1.0, "s")),
}


def interval_text(bounds: Sequence[formatting.Number], unit: str, decimals: int | None) -> str:
    """Both bounds; a unit that both share stands once.

    The spread of a few seeds may reach where no accuracy is: beyond 0% and 100%.
    """
    if unit == "accuracy":
        bounds = [min(max(bound, 0), 1) for bound in bounds]
    low, high = (figure_text(bound, unit, decimals) for bound in bounds)
    behind = {_scale(bound, unit)[1] for bound in bounds}
    return f"{low.removesuffix(behind.pop()) if len(behind) == 1 else low} to {high}".replace(" ", _SPACE)


def decimals_of(cells: Iterable[Mapping[str, Any]], unit: str) -> int | None:
    """The decimals of a column whose unit is fixed: two digits of its largest spread, within reason."""
    if unit not in _FIXED:
        return None
    factor, _, least = _FIXED[unit]
    largest = max((factor * cell["sd"] for cell in cells if "sd" in cell and "mean" in cell), default=0.0)
    return min(max(least, _places(largest, 2)), least + 1) if largest > 0 else least


def _places(value: formatting.Number, digits: int) -> int:
    """How many decimals show so many significant digits."""
    return max(0, digits - 1 - int(f"{abs(value):.{digits - 1}e}".split("e")[1]))


def _scale(value: formatting.Number, unit: str) -> tuple[float, str]:
    """What a figure is multiplied with to be read, and what is written behind it."""
    if unit in _FIXED:
        return _FIXED[unit][:2]
    if unit in _LADDERS:
        fitting = [rung for rung in _LADDERS[unit] if abs(value) * rung[0] >= 0.9995]
        factor, suffix = fitting[-1] if fitting else _LADDERS[unit][0]
        return factor, _SPACE + suffix
    return 1.0, "\N{MULTIPLICATION SIGN}" if unit == "x" else _SPACE + unit if unit else ""


def figure_text(value: formatting.Number, unit: str, decimals: int | None) -> str:
    """Our figure with its unit; where no decimals are given, with three significant digits."""
    factor, suffix = _scale(value, unit)
    scaled = factor * value
    if decimals is None:
        if 0 < abs(scaled) < _TINY:
            return formatting.small(scaled) + suffix
        integer = isinstance(value, int) and factor == 1
        decimals = 0 if integer or scaled == 0 else _places(scaled, 3)
    sign = "+" if unit == "points" and scaled > 0 else ""
    return f"{sign}{scaled:,.{decimals}f}".replace("-", _MINUS) + suffix


def spread_text(sd: formatting.Number, unit: str, mean: formatting.Number, decimals: int | None) -> str:
    """A standard deviation on the scale of its mean, without the unit that stands beside it."""
    factor, _ = _scale(mean, unit)
    scaled = factor * sd
    if decimals is None:
        if 0 < abs(factor * mean) < _TINY:
            return formatting.small(scaled)
        decimals = _places(factor * mean, 3) if mean else 3
    text = f"{scaled:,.{decimals}f}"
    # A small spread is not none.
    return formatting.significant(scaled, 1) if scaled > 0 and not any(digit in text for digit in "123456789") else text


def quoted(value: formatting.Number, unit: str) -> str:
    """The paper's figure with the digits that it has in the document."""
    if unit in _LADDERS:
        return figure_text(value, unit, None)
    factor, suffix = _scale(value, unit)
    least = _FIXED[unit][2] if unit == "rmse" else 0
    text = f"{factor * value:.10g}"
    decimals = len(text.partition(".")[2]) if "e" not in text else 6
    sign = "+" if unit == "points" and value > 0 else ""
    return f"{sign}{factor * value:,.{max(least, decimals)}f}".replace("-", _MINUS) + suffix
