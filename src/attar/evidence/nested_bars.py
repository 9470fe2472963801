"""Bars in bars: a size before and after, one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from attar.evidence.charts import layered, number_axis

_LINE = 24
_AROUND = 52


def nested(
    rows: Sequence[Mapping[str, Any]], *, before: str, after: str, title: str, unit: str = "", description: str
) -> dict[str, Any]:
    """A broad faint bar for each size before, and in it a slender one for the size after; both begin at zero.

    Args:
        rows: From top to bottom, at least one: ``name`` (no two alike), ``before`` and ``after`` (the figures), and for
            the tooltip ``before_shown``, ``after_shown`` and ``ratio_shown``.
        before: What the broad bars are, for the tooltip.
        after: What the slender ones are.
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
        alt.Tooltip("before_shown:N", title=before),
        alt.Tooltip("after_shown:N", title=after),
        alt.Tooltip("ratio_shown:N", title="smaller"),
    ]
    on = alt.Chart(alt.NamedData(name="rows"))

    def bars(field: str, **look: Any) -> alt.Chart:
        x = alt.X(f"{field}:Q", title=title, axis=axis, scale=alt.Scale(zero=True, nice=True))
        chart: alt.Chart = on.mark_bar(cornerRadius=1, **look).encode(x=x, y=y, tooltip=tooltip)
        return chart

    layers = [
        bars("before", height=14, color="var(--faint)", opacity=0.45),
        # However small it is, it is seen.
        bars("after", height=6, color="var(--student)", minBandSize=2, stroke="var(--student)", strokeWidth=0.5),
    ]
    return layered(layers, {"rows": [dict(row) for row in rows]}, _LINE * len(rows) + _AROUND, description)
