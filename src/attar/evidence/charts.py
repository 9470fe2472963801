"""The charts of the pages, as Vega-Lite specifications that take their colors from the page.

Colors are the page's CSS variables, so that a chart follows the page from light to dark and on to paper without being
drawn again. No text of the user's is ever part of an expression: names and reasons travel as data only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt

from attar import formatting

ROLES = ("teacher", "baseline", "student")
"""Who is who in every chart, in the order of the legend; each is a CSS variable of the page with its color."""

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
_POINTS_OF_A_CURVE = 300
_JUDGED = (
    ("accuracy", "validation accuracy", "~%"),
    ("rmse", "validation RMSE", "~g"),
    ("log_loss", "validation log loss", "~g"),
)
"""What epochs may be chosen by: field, title, form of its numbers."""
_HEIGHT = 300
SERIES_COLORS = 8
"""How many colors the page has for series, as the CSS variables ``--series-0``, ``--series-1`` and so on."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of the page.

    Attributes:
        title: What is drawn.
        note: What a reader must know to read it; may be empty.
        spec: The Vega-Lite specification, plain JSON values.
        full_width: Whether it wants the whole width of the page.
    """

    title: str
    note: str
    spec: dict[str, Any]
    full_width: bool = False


def role(model: Mapping[str, Any]) -> str:
    """The role whose color a model wears: a candidate is a form of the student, a member a part of the teacher.

    Example:
        >>> role({"kind": "candidate"}), role({"kind": "baseline"}), role({"kind": "member"})
        ('student', 'baseline', 'teacher')
    """
    kind = model.get("kind")
    return kind if kind in ROLES else "teacher" if kind == "member" else "student"


def frontier(
    models: Sequence[Mapping[str, Any]],
    cost: Literal["latency", "bytes"],
    *,
    winner: str | None,
    asked: float | None,
    split: Literal["test", "validation"] = "test",
) -> Chart | None:
    """Quality against what it costs, one point a model.

    Args:
        models: The models of the evidence document.
        cost: What runs along x: the median latency of one example, or the bytes on disk.
        winner: Name of the model to ring.
        asked: The accuracy below which a model was not wanted, as a fraction; None draws no line.
        split: On which examples the accuracies are.

    Returns:
        None if no model has both figures.
    """
    rows = [row for model in models if (row := _point(model, cost, winner, split)) is not None]
    if not rows:
        return None
    note = _lay_out(rows, asked)
    low, high = _padded_log([row["x"] for row in rows])
    unit = _LATENCY_LABEL if cost == "latency" else _BYTES_LABEL
    x = alt.X(
        "x:Q",
        title="median latency of one example" if cost == "latency" else "bytes on disk",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=_log_ticks(low, high), labelExpr=unit, labelOverlap="greedy"),
    )
    axis = alt.Axis(format="~%", title=f"accuracy on {split}")
    y = alt.Y("y:Q", scale=alt.Scale(zero=False, nice=True), axis=axis)
    color = alt.Color("role:N", scale=_role_colors(), legend=None)
    fill = alt.Fill("role:N", scale=_role_colors(), legend=None)
    shape = alt.Shape("shape:N", scale=None, legend=None)
    tooltip = [
        alt.Tooltip("name:N", title="model"),
        alt.Tooltip("quality:N", title=f"accuracy on {split}"),
        alt.Tooltip("latency:N", title="latency, batch 1"),
        alt.Tooltip("bytes:N", title="size"),
        alt.Tooltip("outcome:N"),
    ]
    data: dict[str, list[dict[str, Any]]] = {
        "asked": [{"y": asked}] if asked is not None else [],
        "best": _best_so_far(rows),
        "intervals": [row for row in rows if row["high"] is not None],
        "winner": [row for row in rows if row["winner"]],
        "refused": [row for row in rows if row["refused"]],
        "accepted": [row for row in rows if not row["refused"]],
        **{align: [row for row in rows if row["align"] == align] for align in ("left", "center", "right")},
    }
    # Vega warns of a layer without records, so that only the others are built.
    on = {name: alt.Chart(alt.NamedData(name=name)) for name, records in data.items() if records}
    layers: list[alt.Chart] = []
    if "asked" in on:
        layers.append(on["asked"].mark_rule(color="var(--faint)", strokeDash=[2, 4]).encode(y=y))
    if "best" in on:
        layers.append(
            on["best"].mark_line(color="var(--faint)", interpolate="step-after", strokeWidth=1).encode(x=x, y=y)
        )
    if "intervals" in on:
        whiskers = on["intervals"].mark_rule(strokeWidth=1.5, opacity=0.55)
        layers.append(whiskers.encode(x=x, y=alt.Y("low:Q", axis=axis), y2="high:Q", color=color))
    if "winner" in on:
        layers.append(on["winner"].mark_point(size=330, strokeWidth=1.25, opacity=0.9).encode(x=x, y=y, color=color))
    if "refused" in on:
        hollow = on["refused"].mark_point(size=75, strokeWidth=1.5, fill="var(--paper)", opacity=1)
        layers.append(hollow.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip))
    if "accepted" in on:
        full = on["accepted"].mark_point(size=80, strokeWidth=0, opacity=0.92)
        layers.append(full.encode(x=x, y=y, fill=fill, shape=shape, tooltip=tooltip))
    for align in ("left", "center", "right"):
        if align in on:
            text = on[align].encode(x=x, y="top:Q", text="label:N")
            font: dict[str, Any] = {"align": align, "dy": -9, "fontSize": 12, "fontWeight": 600}
            # Under the letters a rim of paper, so that the whiskers of neighbors do not cross them.
            layers.append(text.mark_text(**font, stroke="var(--paper)", strokeWidth=4, strokeJoin="round"))
            layers.append(text.mark_text(**font).encode(color=color))
    title = "Accuracy against latency" if cost == "latency" else "Accuracy against size"
    return Chart(
        title, note, layered(layers, {name: data[name] for name in on}, _HEIGHT, f"{title}, one point per model.")
    )


def learning(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Chart]:
    """Validation accuracy of all runs in one chart, then the loss of each role in its own.

    Losses of different objectives are not on one scale, so they do not share an axis.

    Args:
        curves: Per run, named ``role/number``, one record an epoch.
    """
    rows = [row for name in curves for row in _curve(name, curves[name])]
    charts = []
    for field, title, number in _JUDGED:
        judged = [row for row in rows if row[field] is not None]
        if judged:
            spec = _lines(judged, field, title, number, height=280)
            charts.append(Chart(title[0].upper() + title[1:], "", spec, full_width=True))
    for name in ROLES:
        losses = [row for row in rows if row["role"] == name and row["loss"] is not None]
        if losses:
            spec = _lines(losses, "loss", "training loss", "~g", height=170)
            charts.append(Chart(f"Loss of the {name}", "", spec))
    return charts


def series(
    points: Sequence[Mapping[str, Any]],
    levels: Sequence[Mapping[str, Any]],
    *,
    x_title: str,
    y_title: str,
    unit: str = "",
    log: bool = False,
    description: str,
) -> dict[str, Any] | None:
    """Lines with whiskers; those of a paper are dashed and their points hollow.

    Args:
        points: In the order of x within a series: ``series`` (a number that holds the line together), ``name``,
            ``paper`` (whether a paper says it), ``color`` (a number), ``x``, ``y``, ``low`` and ``high`` (ends of the
            whisker, or None), and for the tooltip ``x_shown`` and ``y_shown``.
        levels: Horizontal lines to compare with, each with ``name`` and ``y``.
        x_title: What runs along x.
        y_title: What runs along y.
        unit: Unit of y, as in `number_axis`.
        log: Whether x is logarithmic; points at or below zero are then left out.
        description: The chart in words, for those who do not see it.

    Returns:
        The specification, or None if nothing is left to draw.
    """
    rows = [{**point, "color": _series_color(point)} for point in points if not log or point["x"] > 0]
    if not rows:
        return None
    if log:
        low, high = _padded_log([row["x"] for row in rows])
        x_scale = alt.Scale(type="log", domain=[low, high], nice=False)
        x_axis = alt.Axis(values=_log_ticks(low, high), labelExpr=_NUMBER_LABEL, labelOverlap="greedy")
    else:
        x_scale = alt.Scale(zero=False, nice=False, padding=16)
        x_axis = alt.Axis(labelExpr=_NUMBER_LABEL, labelOverlap="greedy")
    x = alt.X("x:Q", title=x_title, scale=x_scale, axis=x_axis)
    y_scale = alt.Scale(zero=False, nice=True)
    y = alt.Y("y:Q", title=y_title, scale=y_scale, axis=number_axis(unit))
    color = alt.Color("color:N", scale=None, legend=None)
    tooltip = [
        alt.Tooltip("name:N", title="series"),
        alt.Tooltip("source:N", title="from"),
        alt.Tooltip("x_shown:N", title="x"),
        alt.Tooltip("y_shown:N", title="y"),
    ]
    for row in rows:
        row["source"] = "the paper" if row["paper"] else "ours"
    names = _names_of_levels(levels, rows)
    data: dict[str, list[dict[str, Any]]] = {
        "levels": [{"y": level["y"]} for level in levels],
        "whiskers": [row for row in rows if row["low"] is not None],
        "paper": [row for row in rows if row["paper"]],
        "ours": [row for row in rows if not row["paper"]],
    }
    data |= {f"names {side}": [name for name in names if name["side"] == side] for side in ("left", "right")}
    on = {name: alt.Chart(alt.NamedData(name=name)) for name, records in data.items() if records}
    layers: list[alt.Chart] = []
    if "levels" in on:
        layers.append(on["levels"].mark_rule(color="var(--faint)", strokeDash=[2, 4]).encode(y=y))
    if "whiskers" in on:
        whiskers = on["whiskers"].mark_rule(strokeWidth=1.5, opacity=0.55)
        layers.append(whiskers.encode(x=x, y=alt.Y("low:Q", axis=number_axis(unit)), y2="high:Q", color=color))
    if "paper" in on:
        line = on["paper"].mark_line(strokeWidth=1.5, strokeDash=[6, 4], opacity=0.75)
        layers.append(line.encode(x=x, y=y, color=color, detail="series:N"))
        hollow = on["paper"].mark_point(size=40, strokeWidth=1.5, fill="var(--paper)", opacity=1, shape="diamond")
        layers.append(hollow.encode(x=x, y=y, stroke=alt.Stroke("color:N", scale=None, legend=None), tooltip=tooltip))
    if "ours" in on:
        layers.append(on["ours"].mark_line(strokeWidth=2).encode(x=x, y=y, color=color, detail="series:N"))
        full = on["ours"].mark_point(size=45, filled=True, opacity=1)
        layers.append(full.encode(x=x, y=y, color=color, tooltip=tooltip))
    for side in ("left", "right"):
        if f"names {side}" in on:
            named = on[f"names {side}"].encode(y=y, text="name:N", x=alt.value(4 if side == "left" else "width"))
            font: dict[str, Any] = {"align": side, "dy": -7, "fontSize": 11, "limit": 330}
            layers.append(named.mark_text(**font, stroke="var(--paper)", strokeWidth=4, strokeJoin="round"))
            layers.append(named.mark_text(**font, color="var(--soft)"))
    return layered(layers, {name: data[name] for name in on}, _HEIGHT, description)


def dots(rows: Sequence[Mapping[str, Any]], *, title: str, unit: str = "", description: str) -> dict[str, Any] | None:
    """One line a row, with a dot for our figure, a whisker for its spread, and a hollow diamond for the paper's.

    Args:
        rows: From top to bottom: ``row`` (its name), ``x`` and ``paper`` (the figures, or None), ``low`` and ``high``
            (ends of the whisker, or None), and for the tooltip ``x_shown`` and ``paper_shown``.
        title: What runs along x.
        unit: Unit of x, as in `number_axis`.
        description: The chart in words, for those who do not see it.

    Returns:
        The specification, or None if nothing is known.
    """
    known = [row for row in rows if row["x"] is not None or row["paper"] is not None]
    if not known:
        return None
    keys = ("x", "paper", "low", "high")
    values = [row[key] for row in known for key in keys if row[key] is not None]
    axis, scale = number_axis(unit), alt.Scale(zero=False, nice=True, padding=12)
    # What spans decades and is never zero is read by its ratios.
    if min(values) > 0 and max(values) / min(values) > _SPANS_DECADES:
        low, high = _padded_log(values)
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
        axis = number_axis(unit, values=_log_ticks(low, high), labelOverlap="greedy")
    order = [str(row["row"]) for row in known]
    y_axis = alt.Axis(grid=True, labelLimit=200)
    y = alt.Y("row:N", title=None, sort=order, axis=y_axis)
    tooltip = [
        alt.Tooltip("row:N", title="row"),
        alt.Tooltip("x_shown:N", title="ours"),
        alt.Tooltip("paper_shown:N", title="paper"),
    ]
    data = {
        "whiskers": [row for row in known if row["low"] is not None],
        "paper": [row for row in known if row["paper"] is not None],
        "ours": [row for row in known if row["x"] is not None],
    }
    on = {name: alt.Chart(alt.NamedData(name=name)) for name, records in data.items() if records}
    layers: list[alt.Chart] = []
    if "whiskers" in on:
        whiskers = on["whiskers"].mark_rule(strokeWidth=1.5, opacity=0.55, color="var(--student)")
        layers.append(whiskers.encode(y=y, x=alt.X("low:Q", title=title, scale=scale, axis=axis), x2="high:Q"))
    if "ours" in on:
        full = on["ours"].mark_point(size=70, filled=True, color="var(--student)", opacity=1)
        layers.append(full.encode(y=y, x=alt.X("x:Q", title=title, scale=scale, axis=axis), tooltip=tooltip))
    if "paper" in on:
        hollow = on["paper"].mark_point(
            size=90, strokeWidth=1.5, fill="transparent", stroke="var(--soft)", shape="diamond", opacity=1
        )
        x = alt.X("paper:Q", title=title, scale=scale, axis=axis)
        layers.append(hollow.encode(y=y, x=x, tooltip=tooltip))
    return layered(layers, {name: data[name] for name in on}, 26 * len(set(order)) + 44, description)


def number_axis(unit: str, **options: Any) -> alt.Axis:
    """An axis whose labels carry their unit.

    Args:
        unit: "%", "accuracy" or "points" (of a fraction), "bytes", "ms", "s", "x"; any other is a plain number.
        options: More of the axis.
    """
    return alt.Axis(labelExpr=_LABELS.get(unit, _NUMBER_LABEL), **options)


def _series_color(point: Mapping[str, Any]) -> str:
    return f"var(--series-{point['color'] % SERIES_COLORS})"


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
            named[-1].update(name=f"{named[-1]['name']}, {name}", y=y)
        else:
            named.append({"name": name, "y": y})
    for one in named:
        # A name stands above its line.
        middle = one["y"] + line / 2
        room = [
            min((abs(row["y"] - middle) for row in rows if row["x"] in side), default=0.0) for side in (left, right)
        ]
        one["side"] = "right" if room[1] >= min(room[0], 2 * line) else "left"
    return named


def _point(model: Mapping[str, Any], cost: str, winner: str | None, split: str) -> dict[str, Any] | None:
    quality = model.get("quality" if split == "test" else "validation") or {}
    accuracy = quality.get("accuracy")
    latency = (model.get("latency") or {}).get("1") or {}
    num_bytes = model.get("size_bytes")
    x = latency.get("median_ms") if cost == "latency" else num_bytes
    if accuracy is None or not x or x <= 0:
        return None
    examples = quality.get("examples")
    interval = quality.get("interval")
    low, high = interval or (None, None)
    spread = f" ({formatting.percent_interval(interval, examples)})" if interval else ""
    is_winner = winner is not None and model.get("name") == winner
    refused = model.get("refused")
    return {
        "name": str(model.get("name")),
        "role": role(model),
        "kind": model.get("kind"),
        "x": float(x),
        "y": float(accuracy),
        "low": low,
        "high": high,
        "winner": is_winner,
        "refused": bool(refused),
        "shape": "circle",
        "label": None,
        "align": None,
        "top": None,
        "quality": formatting.percent(accuracy, examples) + spread,
        "latency": formatting.milliseconds(latency["median_ms"])
        if latency.get("median_ms") is not None
        else "not measured",
        "bytes": formatting.size(num_bytes) if num_bytes is not None else "not known",
        "outcome": f"refused: {refused}" if refused else "winner" if is_winner else "accepted",
    }


def _lay_out(rows: list[dict[str, Any]], asked: float | None) -> str:
    """Names the points that matter, and lifts those far below all others to the lower edge; says so in the note."""
    low, high = _padded_log([row["x"] for row in rows])
    named: set[str] = set()
    for row in rows:
        kind = row["kind"] if row["kind"] in ("teacher", "baseline") else None
        label = ("nearest" if row["refused"] else "winner") if row["winner"] else kind
        if label is None or label in named:
            continue
        named.add(label)
        row["label"] = label
        row["top"] = row["y"] if row["high"] is None else row["high"]
        place = math.log(row["x"] / low) / math.log(high / low)
        row["align"] = "left" if place < 0.15 else "right" if place > 0.85 else "center"
    good = [row for row in rows if not row["refused"]] or rows
    tops = [value for row in good for value in (row["y"], row["low"], row["high"]) if value is not None]
    tops += [asked] if asked is not None else []
    floor = min(tops) - 0.1 * max(max(tops) - min(tops), 0.01)
    span = max(tops) - floor
    below = [row for row in rows if row["y"] < floor - span]
    for row in below:
        row.update(y=floor, low=None, high=None, shape="triangle-down")
    return "Models far below all others are drawn as triangles at the lower edge." if below else ""


def _best_so_far(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The accepted models that no other beats in both respects, from cheap to dear."""
    best: list[dict[str, Any]] = []
    for row in sorted((row for row in rows if not row["refused"]), key=lambda row: (row["x"], -row["y"])):
        if not best or row["y"] > best[-1]["y"]:
            best.append({"x": row["x"], "y": row["y"]})
    return best


def _curve(name: str, epochs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records of one run, thinned to what a screen can show; the last epoch is always among them."""
    if not epochs:
        return []
    who = name.split("/", 1)[0]
    step = math.ceil(len(epochs) / _POINTS_OF_A_CURVE)
    shown = [epochs[index] for index in range((len(epochs) - 1) % step, len(epochs), step)]
    rows = []
    for epoch in shown:
        terms = epoch.get("terms") or {}
        rate = epoch.get("learning_rate")
        rows.append(
            {
                "run": name,
                "role": who if who in ROLES else "student",
                "epoch": epoch.get("epoch"),
                "loss": epoch.get("loss"),
                **{field: epoch.get(f"validation_{field}") for field, _, _ in _JUDGED},
                "terms": ", ".join(
                    f"{term} {formatting.small(value)}" for term, value in terms.items() if value is not None
                ),
                "rate": formatting.small(rate) if rate is not None else "",
            }
        )
    return rows


def _lines(rows: list[dict[str, Any]], field: str, title: str, number: str, *, height: int) -> dict[str, Any]:
    rows = [
        {**row, "shown": formatting.percent(row[field], 10_000) if field == "accuracy" else f"{row[field]:.4g}"}
        for row in rows
    ]
    lengths: dict[str, int] = {}
    for row in rows:
        lengths[row["run"]] = lengths.get(row["run"], 0) + 1
    base = alt.Chart(alt.NamedData(name="epochs")).encode(
        x=alt.X(
            "epoch:Q", title="epoch", scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(tickMinStep=1, format="d")
        ),
        y=alt.Y(
            f"{field}:Q", title=title, scale=alt.Scale(zero=False, nice=False, padding=8), axis=alt.Axis(format=number)
        ),
        color=alt.Color("role:N", scale=_role_colors(), legend=None),
    )
    tooltip = [
        alt.Tooltip("run:N", title="run"),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("shown:N", title=title),
    ]
    tooltip += [
        alt.Tooltip(f"{name}:N", title=shown)
        for name, shown in (("terms", "terms"), ("rate", "learning rate"))
        if any(row[name] for row in rows)
    ]
    # A run of one epoch has no line: its point must be seen. Elsewhere the points are there for the tooltips.
    visible = 0.9 if min(lengths.values()) == 1 else 0
    layers = [
        base.mark_line(strokeWidth=1.1, opacity=0.8).encode(detail="run:N"),
        base.mark_point(size=60, filled=True, opacity=visible).encode(tooltip=tooltip),
    ]
    return layered(layers, {"epochs": rows}, height, f"{title} by epoch, one line per run.")


def layered(layers: list[alt.Chart], data: Mapping[str, Any], height: int, description: str) -> dict[str, Any]:
    """The specification of a chart of layers, in the look of the page and as wide as its place.

    Args:
        layers: From below to above, each on named data.
        data: The records of each name.
        height: In pixels.
        description: The chart in words, for those who do not see it.
    """
    chart = alt.layer(
        *layers,
        width="container",
        height=height,
        description=description,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        config=_LOOK,
    )
    spec: dict[str, Any] = chart.to_dict()
    # Named data keeps the records out of the library's transformers, whose limit on rows is meant for notebooks.
    spec["datasets"] = dict(data)
    return spec


def _role_colors() -> alt.Scale:
    return alt.Scale(domain=list(ROLES), range=[f"var(--{name})" for name in ROLES])


def _padded_log(values: Sequence[formatting.Number]) -> tuple[float, float]:
    """A domain with air on both sides, at least a factor of three wide."""
    low, high = min(values), max(values)
    padding = max((high / low) ** 0.08, 1.15)
    if high / low < 3:
        padding = max(padding, math.sqrt(3 * low / high))
    return low / padding, high * padding


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two bounds: 1, 2 and 5 of each decade, or decades alone where there are many.

    Example:
        >>> _log_ticks(0.8, 30.0)
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
_SPANS_DECADES = 30
# The height of a name, as a share of the height of a chart.
_LINE_OF_TEXT = 0.06
