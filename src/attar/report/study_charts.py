"""What the charts of a study are drawn from: lines beside a paper's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attar.evidence.panel import Axis, Chart, Layer

SERIES_COLORS = 8
"""How many colors the page has for series, as the CSS variables ``--series-0``, ``--series-1`` and so on."""

# The height of a name, as a share of the height of a chart.
_LINE_OF_TEXT = 0.06


def series(
    points: Sequence[Mapping[str, Any]], levels: Sequence[Mapping[str, Any]], *, title: str, x: Axis, y: Axis
) -> Chart:
    """Lines with whiskers; those of a paper are dashed and their points hollow.

    Args:
        points: In the order of x within a series: ``series`` (a number that holds the line together), ``name``,
            ``paper`` (whether a paper says it), ``color`` (a number), ``x``, ``y``, ``low`` and ``high`` (ends of the
            whisker, or None), and for the tooltip ``x_shown`` and ``y_shown``.
        levels: Horizontal lines to compare with, each with ``name`` and ``y``.
        title: What is drawn.
        x: What runs along x; points at or below zero are left out where it is read by ratios.
        y: What runs along y.
    """
    paper = [_row(point, "the paper", "diamond") for point in points if point["paper"]]
    ours = [_row(point, "ours", "circle") for point in points if not point["paper"]]
    if x.log:
        paper, ours = ([row for row in rows if row["x"] > 0] for rows in (paper, ours))
    whiskers = [row for row in (*paper, *ours) if row["low"] is not None]
    tooltip = {"name": "series", "source": "from", "x_shown": "x", "y_shown": "y"}
    names = _names_of_levels(levels, [*paper, *ours]) if paper or ours else []
    layers = [
        Layer(name="levels", mark="levels", rows=[{"y": level["y"], "color": "faint"} for level in levels], size=1),
        Layer(name="whiskers", mark="whiskers", rows=whiskers),
        Layer(name="paper lines", mark="line", rows=paper, size=1.5, dashed=True, opacity=0.75),
        Layer(name="paper", mark="points", rows=paper, tooltip=tooltip, size=40, hollow=True),
        Layer(name="lines", mark="line", rows=ours, size=2),
        Layer(name="ours", mark="points", rows=ours, tooltip=tooltip, size=45),
        *(
            Layer(name=f"names {side}", mark="labels", rows=[name for name in names if name["align"] == side])
            for side in ("left", "right")
        ),
    ]
    description = f"{title}, one line per series; the numbers are in the table below it."
    return Chart(title=title, x=x, y=y, layers=layers, description=description)


def _row(point: Mapping[str, Any], source: str, shape: str) -> dict[str, Any]:
    row = {key: value for key, value in point.items() if key != "paper"}
    color = f"series-{point['color'] % SERIES_COLORS}"
    return {**row, "series": str(point["series"]), "color": color, "source": source, "shape": shape}


def _names_of_levels(levels: Iterable[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The names of the levels, each on the side with more room; those that would write over each other are one."""
    ordered = sorted(levels, key=lambda level: float(level["y"]))
    ends = [row[key] for row in rows for key in ("y", "low", "high") if row[key] is not None]
    ends += [level["y"] for level in ordered]
    line = _LINE_OF_TEXT * (max(ends) - min(ends))
    places = sorted({row["x"] for row in rows})
    middle = len(places) // 2
    right, left = places[middle:], places[: len(places) - middle]
    named: list[dict[str, Any]] = []
    for level in ordered:
        name, y = str(level["name"]), level["y"]
        if named and y - named[-1]["y"] < line:
            named[-1].update(text=f"{named[-1]['text']}, {name}", y=y)
        else:
            named.append({"text": name, "y": y, "color": "soft"})
    for one in named:
        # A name stands above its line.
        middle = one["y"] + line / 2
        room = [
            min((abs(row["y"] - middle) for row in rows if row["x"] in side), default=0.0) for side in (left, right)
        ]
        one["align"] = "right" if room[1] >= min(room[0], 2 * line) else "left"
    return named
