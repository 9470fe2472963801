"""Bars in bars: how much of a whole is left, one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from attar.evidence.charts import layered, number_axis

_LINE = 24
_AROUND = 52


def nested(
    rows: Sequence[Mapping[str, Any]], *, whole: str, part: str, title: str, unit: str = "", description: str
) -> dict[str, Any]:
    """A broad faint bar for each whole, and in it a slender one for what is left; both begin at zero.

    Args:
        rows: From top to bottom, at least one: ``name`` (no two alike), ``whole`` and ``part`` (the figures), and for
            the tooltip ``whole_shown``, ``part_shown`` and ``ratio_shown``.
        whole: What the broad bars are, for the tooltip.
        part: What the slender ones are.
        title: What runs along x.
        unit: Unit of x, as in `number_axis`.
        description: The chart in words, for those who do not see it.

    Returns:
        The specification.
    """
    assert rows, "there is nothing to draw"
    axis = number_axis(unit, grid=True, labelOverlap="greedy")
    y = alt.Y("name:N", title=None, sort=None, axis=alt.Axis(grid=False, labelLimit=220))
    tooltip = [
        alt.Tooltip("name:N", title="tensor"),
        alt.Tooltip("whole_shown:N", title=whole),
        alt.Tooltip("part_shown:N", title=part),
        alt.Tooltip("ratio_shown:N", title="smaller"),
    ]
    on = alt.Chart(alt.NamedData(name="rows"))

    def bars(field: str, **look: Any) -> alt.Chart:
        x = alt.X(f"{field}:Q", title=title, axis=axis, scale=alt.Scale(zero=True, nice=True))
        chart: alt.Chart = on.mark_bar(cornerRadius=1, **look).encode(x=x, y=y, tooltip=tooltip)
        return chart

    layers = [
        bars("whole", height=14, color="var(--faint)", opacity=0.45),
        # However little is left, it is seen.
        bars("part", height=6, color="var(--student)", minBandSize=2, stroke="var(--student)", strokeWidth=0.5),
    ]
    return layered(layers, {"rows": [dict(row) for row in rows]}, _LINE * len(rows) + _AROUND, description)
