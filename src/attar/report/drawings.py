"""Small drawings that need no chart library: where each of their lines lies, in a box of 100 by 100."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attar.evidence.panel import Histogram, Interval
from attar.formatting import significant

# The bars of a histogram end here, and below them is room for two rows of spans.
_FLOOR = 80.0
_SPANS_AT = (88.0, 95.0)
_SEEN = 0.2
"""A span that is longer than that can be seen."""


def interval(of: Interval) -> dict[str, float]:
    """Where a difference, its interval and zero (always in the middle) lie on a line from 0 to 100."""
    reach = 1.15 * max(abs(of.low), abs(of.high), abs(of.middle), 1e-6)
    low, middle, high = (round(50 + 50 * value / reach, 2) for value in (of.low, of.middle, of.high))
    return {"low": low, "middle": middle, "high": high}


def stems(values: Sequence[float]) -> list[dict[str, float]]:
    """The numbers of an example that is no image, as bars up and down from zero."""
    reach = max((abs(value) for value in values), default=0.0) or 1.0
    width = 100 / max(len(values), 1)
    zero = 50 if min(values, default=0.0) < 0 else 100
    bars = []
    for index, value in enumerate(values):
        height = zero * abs(value) / reach
        top = zero - height if value > 0 else zero
        x, y = round(index * width, 2), round(top, 2)
        bars.append({"x": x, "y": y, "width": round(0.8 * width, 2), "height": round(height, 2)})
    return bars


def histogram(of: Histogram) -> dict[str, Any] | None:
    """The outline of the bars, the marks among them, and the points on a line of their own.

    Returns:
        None where there is nothing to draw: no counts, or no two places that differ.
    """
    ends = [*of.edges[:1], *of.edges[-1:], *(end for low, _, high, _ in of.marks for end in (low, high))]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    if len(of.edges) != len(of.counts) + 1 or not any(of.counts) or not high > low:
        return None

    def across(value: float) -> float:
        return _across(value, low, high - low)

    tallest = max(of.counts)
    steps = [
        f"V{round(_FLOOR * (1 - count / tallest), 2):g}H{across(edge)}"
        for count, edge in zip(of.counts, of.edges[1:], strict=True)
    ]
    marks = []
    for place, (lowest, mean, highest, text) in enumerate(of.marks):
        start, end = across(lowest), across(highest)
        span = {"start": start, "end": end, "y": _SPANS_AT[place % 2]} if end - start > _SEEN else None
        marks.append({"x": across(mean), "span": span, "text": text})
    return {
        "path": f"M{across(of.edges[0])} {_FLOOR:g}{''.join(steps)}V{_FLOOR:g}Z",
        "marks": marks,
        "zero": across(0.0) if low < 0 < high else None,
        "low": significant(low),
        "high": significant(high),
        "points": _points(of.points),
    }


def _points(points: Sequence[float]) -> dict[str, Any] | None:
    if not points:
        return None
    low, high = min(points), max(points)
    places = [_across(point, low, (high - low) or 1.0) for point in sorted(points)]
    return {"places": places, "low": significant(low), "high": significant(high)}


def _across(value: float, low: float, reach: float) -> float:
    """Where a value lies in a drawing 100 wide; not at its very ends, where a line would be cut in half."""
    return round(1 + 98 * (value - low) / reach, 2)
