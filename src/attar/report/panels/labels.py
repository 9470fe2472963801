"""Names beside the points of a chart, none of them on another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attar.evidence.panel import Layer
from attar.report.scales import padded_log

_LETTER, _HEIGHT = 0.026, 0.065
"""How broad a letter is and how tall a name, as shares of a chart on a narrow page."""

_PIXEL = 0.004
"""How large a pixel of such a chart is."""

_POINT = 5
"""Pixels from the middle of a point to its edge."""

_EDGE = 0.1
"""So near to an edge a name goes away from it."""

Row = Mapping[str, Any]
_Box = tuple[float, float, float, float]


def names(
    wanted: Sequence[Row],
    rows: Sequence[Row],
    *,
    edges: tuple[Sequence[float], Sequence[float]] = ((), ()),
    away: float = 1.5,
) -> list[Layer]:
    """Names of some points, above or under them, where there is room.

    Args:
        wanted: Points to name, with ``x``, ``y``, ``text`` and ``color``, and ``low`` and ``high`` of what is drawn
            through them; the most important first. A name for which there is no room is left out.
        rows: All points of the chart, whose ``x`` are read by their ratios.
        edges: What else lies along x, and along y.
        away: By how many pixels more than it must a name is off its point.

    Returns:
        Layers of the chart, for each way in which a name may lie.
    """
    if not rows:
        return []
    low, high = padded_log([*(row["x"] for row in rows), *edges[0]])
    ends = [end for row in rows for end in _ends(row)] + list(edges[1])
    floor, tall = min(ends), (max(ends) - min(ends)) or 1.0
    apart = _PIXEL * (_POINT + away)

    def place(x: float, y: float) -> tuple[float, float]:
        return math.log(x / low) / math.log(high / low), (y - floor) / tall

    points = [_around(place(row["x"], row["y"])) for row in rows]
    placed: list[_Box] = []
    found: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for row in wanted:
        bottom, top = _ends(row)
        across = place(row["x"], top)[0]
        boxes = {
            (align, under): _box(place(row["x"], bottom if under else top), row["text"], align, under, apart)
            for align, under in _ways(across)
        }
        # A long name may leave the chart, and under the lowest of what is drawn are the figures of the axis.
        inside = {way: box for way, box in boxes.items() if box[0] >= 0 and box[1] <= 1 and box[2] >= 0}
        free = [way for way in (*inside, *boxes) if not any(_meet(boxes[way], other) for other in placed)]
        clear = [way for way in free if way in inside and not any(_meet(boxes[way], other) for other in points)]
        for align, under in (clear or free)[:1]:
            placed.append(boxes[align, under])
            name = {"x": row["x"], "y": bottom if under else top, "text": row["text"], "color": row["color"]}
            found.setdefault((align, under), []).append({**name, "align": align, "under": 1 if under else None})
    return [
        Layer(name=f"{align}-under" if under else align, mark="labels", rows=some, size=away)
        for (align, under), some in sorted(found.items())
    ]


def _ends(row: Row) -> tuple[float, float]:
    low, high = row.get("low"), row.get("high")
    return (row["y"] if low is None else low), (row["y"] if high is None else high)


def _ways(place: float) -> Iterator[tuple[str, bool]]:
    """Side of the name that lies at its point, and whether it is under it; the best first."""
    aligns = ["left"] if place < _EDGE else ["right"] if place > 1 - _EDGE else ["center", "left", "right"]
    for align in aligns:
        yield align, False
        yield align, True


def _box(at: tuple[float, float], text: str, align: str, under: bool, apart: float) -> _Box:
    """Left, right, bottom and top of a name."""
    (x, y), breadth = at, _LETTER * len(text)
    left = {"left": x, "center": x - breadth / 2, "right": x - breadth}[align]
    bottom = y - apart - _HEIGHT if under else y + apart
    return left, left + breadth, bottom, bottom + _HEIGHT


def _around(at: tuple[float, float]) -> _Box:
    half = _PIXEL * _POINT
    return at[0] - half, at[0] + half, at[1] - half, at[1] + half


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
