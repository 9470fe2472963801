"""A chart of a panel as a Vega-Lite specification that takes its colors from the page.

Colors are the page's CSS variables, so that a chart follows the page from light to dark and on to paper without being
drawn again. No text of the user's is ever part of an expression: names and reasons travel as data only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import altair as alt
from altair.utils import schemapi

from attar.evidence.panel import Axis, Chart, Layer
from attar.report.scales import padded_log

_FONT = 'ui-sans-serif, system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
_LOOK = alt.Config(
    background="transparent",
    font=_FONT,
    padding=4,
    axis=alt.AxisConfig(
        labelColor="var(--soft)",
        titleColor="var(--soft)",
        titleFontWeight="normal",
        titleFontSize=12,
        titlePadding=10,
        labelFontSize=11,
        labelPadding=6,
        domain=False,
        ticks=False,
        gridColor="var(--line)",
        gridWidth=1,
        tickCount=6,
    ),
    axisX=alt.AxisConfig(grid=False, domain=True, domainColor="var(--line)"),
    view=alt.ViewConfig(stroke=None),
)
_SMALLEST = 1e-9
"""What is read by its ratios is at least that."""


def draw(chart: Chart) -> dict[str, Any] | None:
    """The specification of a chart, in the look of the page and as wide as its place.

    Args:
        chart: What is drawn. Rows that have no place on an axis that is read by ratios are left out.

    Returns:
        Plain JSON values; None where nothing is left to draw.
    """
    data = {layer.name: rows for layer in chart.layers if (rows := _drawable(layer, chart))}
    # Vega warns of a layer without records, so that only the others are built. Levels alone have no chart.
    drawn = [layer for layer in chart.layers if layer.name in data]
    if not any(layer.mark != "levels" for layer in drawn):
        return None
    # Altair holds each part against the schema when it is made, and the whole again, which takes longer than all the
    # rest of a page; that what is made here keeps to the schema, the tests say.
    with schemapi.debug_mode(False):
        x = _channel(alt.X, chart.x, _values(drawn, data, _keys(chart, "x")), beside=chart.y)
        y = _channel(alt.Y, chart.y, _values(drawn, data, _keys(chart, "y")), beside=chart.x)
        layers = [one for layer in drawn for one in _layer(layer, data[layer.name], x, y, chart.y.names is not None)]
        layered = alt.layer(
            *layers,
            width="container",
            height=chart.height,
            description=chart.description,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
            config=_LOOK,
        )
        spec: dict[str, Any] = layered.to_dict(validate=False)
    # Named data keeps the records out of the library's transformers, whose limit on rows is meant for notebooks.
    spec["datasets"] = data
    return spec


def _keys(chart: Chart, way: str) -> tuple[str, ...]:
    """The names of all that lies along an axis: whiskers lie along y, or along x where y has names."""
    along = "x" if chart.y.names is not None else "y"
    return (way, "low", "high") if way == along else (way,)


def _drawable(layer: Layer, chart: Chart) -> list[dict[str, Any]]:
    """The rows of a layer that have a place, with their colors as the page knows them."""
    read_by_ratios = [key for axis, way in ((chart.x, "x"), (chart.y, "y")) if axis.log for key in _keys(chart, way)]
    rows = []
    for row in layer.rows:
        ratios = [value for key in read_by_ratios if (value := row.get(key)) is not None]
        if all(isinstance(value, int | float) and value >= _SMALLEST for value in ratios):
            rows.append({**row, "color": f"var(--{row.get('color', 'faint')})"})
    return rows


def _values(drawn: Sequence[Layer], data: dict[str, list[dict[str, Any]]], keys: Sequence[str]) -> list[float]:
    """All figures that lie along an axis."""
    rows = (row for layer in drawn for row in data[layer.name])
    return [float(row[key]) for row in rows for key in keys if isinstance(row.get(key), int | float)]


_Channel = Callable[..., Any]
"""Field to channel, with further settings."""


def _channel(kind: type[alt.X] | type[alt.Y], axis: Axis, values: Sequence[float], *, beside: Axis) -> _Channel:
    """What encodes a field along an axis."""
    if axis.names is not None:
        names = alt.Axis(grid=False, labelLimit=220) if axis.zero else alt.Axis(grid=True, labelLimit=220)
        return lambda field, **more: kind(f"{field}:N", title=None, sort=list(axis.names or ()), axis=names, **more)
    options: dict[str, Any] = {"labelExpr": _LABELS.get(axis.unit, _NUMBER_LABEL)}
    if axis.log and values:
        low, high = padded_log(values)
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
        options |= {"values": log_ticks(low, high), "labelOverlap": "greedy"}
    elif kind is alt.Y or beside.names is not None:
        least: dict[str, Any] = {} if axis.low is None else {"domainMin": axis.low, "clamp": False}
        scale = alt.Scale(zero=axis.zero, nice=True, padding=0 if axis.zero or kind is alt.Y else 12, **least)
    else:
        scale = alt.Scale(zero=axis.zero, nice=False, padding=0 if axis.integer else 16)
    if axis.integer:
        options |= {"tickMinStep": 1, "format": "d"}
        del options["labelExpr"]
    if beside.names is not None:
        options |= {"grid": axis.zero, "labelOverlap": "greedy"}
    drawn = alt.Axis(**options)
    return lambda field, **more: kind(f"{field}:Q", title=axis.title or None, scale=scale, axis=drawn, **more)


def _layer(layer: Layer, rows: list[dict[str, Any]], x: _Channel, y: _Channel, sideways: bool) -> Iterator[alt.Chart]:
    """What Altair draws of a layer."""
    on = alt.Chart(alt.NamedData(name=layer.name))
    color = alt.Color("color:N", scale=None, legend=None)
    fill = alt.Fill("color:N", scale=None, legend=None)
    tooltip = [alt.Tooltip(field=field, type="nominal", title=title) for field, title in layer.tooltip.items()]
    more = {"tooltip": tooltip} if tooltip else {}
    dash: dict[str, Any] = {"strokeDash": [6, 4]} if layer.dashed else {}
    if layer.mark == "levels":
        across = {"x": x("x")} if "x" in rows[0] else {"y": y("y")}
        yield on.mark_rule(strokeDash=[2, 4], strokeWidth=layer.size).encode(**across, color=color)
    elif layer.mark == "region":
        one = rows[0]
        right = {"x": x("x"), "x2": alt.value(0)} if "x" in one else {}
        edge = alt.value("height") if one.get("down") else alt.value(0)
        up = {"y": y("y"), "y2": edge} if "y" in one else {}
        yield on.mark_rect(opacity=layer.opacity).encode(**right, **up, fill=fill)
    elif layer.mark in ("line", "steps"):
        steps: dict[str, Any] = {"interpolate": "step-after"} if layer.mark == "steps" else {}
        line = on.mark_line(strokeWidth=layer.size, opacity=layer.opacity, clip=layer.clipped, **dash, **steps)
        yield line.encode(x=x("x"), y=y("y"), color=color, detail="series:N")
        if tooltip:
            points = on.mark_point(size=60, filled=True, opacity=layer.points, clip=layer.clipped)
            yield points.encode(x=x("x"), y=y("y"), color=color, **more)
    elif layer.mark == "whiskers":
        ends = {"y": y("y"), "x": x("low"), "x2": "high"} if sideways else {"x": x("x"), "y": y("low"), "y2": "high"}
        yield on.mark_rule(strokeWidth=layer.size, opacity=0.55).encode(**ends, color=color)
    elif layer.mark == "rings":
        yield on.mark_point(size=layer.size, strokeWidth=1.25, opacity=0.9).encode(x=x("x"), y=y("y"), color=color)
    elif layer.mark == "points":
        shapes = {"shape": alt.Shape("shape:N", scale=None, legend=None)} if "shape" in rows[0] else {}
        if layer.hollow:
            hollow = on.mark_point(size=layer.size, strokeWidth=1.5, fill="var(--paper)", opacity=layer.opacity)
            yield hollow.encode(x=x("x"), y=y("y"), color=color, **shapes, **more)
        else:
            full = on.mark_point(size=layer.size, strokeWidth=0, opacity=layer.opacity)
            yield full.encode(x=x("x"), y=y("y"), fill=fill, **shapes, **more)
    elif layer.mark == "bars":
        # However small it is, it is seen.
        bars = on.mark_bar(height=layer.size, cornerRadius=1, opacity=layer.opacity, minBandSize=2)
        yield bars.encode(x=x("x"), y=y("y"), color=color, **more)
    else:
        yield from _labels(layer, on, rows, x, y, color)


def _labels(
    layer: Layer, on: alt.Chart, rows: list[dict[str, Any]], x: _Channel, y: _Channel, color: alt.Color
) -> Iterator[alt.Chart]:
    """Words beside their places, or at the edge of the chart; all rows of a layer are aligned alike."""
    align = rows[0].get("align") or "center"
    place = x("x") if "x" in rows[0] else alt.value(4 if align == "left" else "width")
    text = on.encode(x=place, y=y("y"), text="text:N")
    away = 7.5 + layer.size
    down = 9 + away if rows[0].get("under") else -away
    font: dict[str, Any] = {"align": align, "dy": down, "fontSize": 12, "fontWeight": 600}
    if "x" not in rows[0]:
        font = {"align": align, "dy": -7, "fontSize": 11, "limit": 330}
    # Under the letters a rim of paper, so that lines do not cross them.
    yield text.mark_text(**font, stroke="var(--paper)", strokeWidth=4, strokeJoin="round")
    yield text.mark_text(**font).encode(color=color)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two bounds: 1, 2 and 5 of each decade, or decades alone where there are many.

    Example:
        >>> log_ticks(0.8, 30.0)
        [1.0, 2.0, 5.0, 10.0, 20.0]
    """
    steps = (1, 2, 5) if high / low < 1e3 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    # Through text, as 10.0 ** -1 * 2 has rounding in it.
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


_LATENCY_LABEL = (
    "datum.value >= 1000 ? format(datum.value / 1000, '~r') + ' s' : "
    "datum.value >= 1 ? format(datum.value, '~r') + ' ms' : format(datum.value * 1000, '~r') + ' \N{MICRO SIGN}s'"
)
_BYTES_LABEL = (
    "datum.value >= 1e9 ? format(datum.value / 1e9, '~r') + ' GB' : "
    "datum.value >= 1e6 ? format(datum.value / 1e6, '~r') + ' MB' : "
    "datum.value >= 1e3 ? format(datum.value / 1e3, '~r') + ' kB' : format(datum.value, '~r') + ' B'"
)
_SECONDS_LABEL = (
    "datum.value >= 1 ? format(datum.value, '~r') + ' s' : "
    "datum.value >= 1e-3 ? format(datum.value * 1e3, '~r') + ' ms' : "
    "format(datum.value * 1e6, '~r') + ' \N{MICRO SIGN}s'"
)
_NUMBER_LABEL = (
    "abs(datum.value) >= 1e6 ? format(datum.value / 1e6, '~r') + 'M' : "
    "abs(datum.value) >= 1e3 ? format(datum.value / 1e3, '~r') + 'k' : format(datum.value, ',~r')"
)
_PERCENT_LABEL = "format(100 * datum.value, '~r') + '%'"
_LABELS = {
    "%": _PERCENT_LABEL,
    "accuracy": _PERCENT_LABEL,
    "points": "format(100 * datum.value, '~r')",
    "bytes": _BYTES_LABEL,
    "ms": _LATENCY_LABEL,
    "s": _SECONDS_LABEL,
    "x": "format(datum.value, '~r') + '\N{MULTIPLICATION SIGN}'",
}
