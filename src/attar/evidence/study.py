"""The page of a study: several runs beside a paper's own figures, in one HTML file that opens without a network.

What is ours and what the paper's never share a cell. Every part of the document may be absent and is then left out;
a figure that is not known is a dash.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from attar import formatting
from attar.evidence import charts, html
from attar.evidence.page_common import ABSENT, Charts, fact_lines, shown_date, without_none

_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
# Units that stay as they are: factor, suffix, and the decimals that a figure has at least.
_FIXED = {"%": (100.0, "%", 1), "accuracy": (100.0, "%", 1), "points": (100.0, "", 2), "rmse": (1.0, "", 3)}
# Columns of figures that fit in the usual type.
_COLUMNS = 8
# Below this a figure is shown as a power of ten.
_TINY = 1e-4
# Units that change with the size of a figure, from small to large.
_LADDERS = {
    "bytes": ((1.0, "B"), (1e-3, "kB"), (1e-6, "MB"), (1e-9, "GB"), (1e-12, "TB")),
    "ms": ((1e3, "µs"), (1.0, "ms"), (1e-3, "s")),
    "s": ((1e6, "µs"), (1e3, "ms"), (1.0, "s")),
}


def render_study(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the page of a study as one self-contained HTML file.

    The file is written whole or not at all, and makes no request when opened. Its links lead to the paper and, along
    relative paths, to the reports of the runs.

    Args:
        document: Plain JSON values; every part may be absent or None, and NaN is None. ``name``, ``title``,
            ``created``, ``attar``, ``command``, ``seconds``, ``rule`` (how choices were made), ``remarks`` and
            ``warnings`` (lists of text), ``machine`` (as in the evidence of a run) and:

            - ``paper``: ``citation``, ``address``, ``how_sure`` (how well its figures are known).
            - ``tables``: each ``title``, ``caption``, ``columns`` (``key``, ``title``, ``unit``, ``better``: "lower",
              "higher" or None, which highlights nothing) and ``rows`` (``name`` and ``cells``: per key of a column
              ``mean``, ``sd``, ``n`` seeds, ``interval``, ``paper``, ``note``).
            - ``charts``: each ``title``, ``caption``, ``x`` (``title``, ``log``), ``y`` (``title``, ``unit``),
              ``series`` (``name``, ``source``: "ours" or "paper", ``points``: ``x``, ``y``, ``sd``, ``n``) and
              ``levels`` (``name``, ``y``).
            - ``dot_plots``: tables that are drawn, one chart a column, with their figures folded away below.
            - ``runs``: each ``name``, ``headline``, ``report`` (relative path) and ``met``.

            Figures with the unit "%", "accuracy" or "points" are fractions, as all evidence is; "x" are ratios,
            "bytes", "ms" and "s" are scaled to what is readable, "rmse" and "" are plain, and any other unit is written
            behind its figures.
        path: Where to write; folders on the way are made.

    Raises:
        BadInput: If the document holds something that JSON cannot.
    """
    content = _content(without_none(html.as_json(document, "render_study")))
    html.write("study.html.jinja", content, path)


def _content(document: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the template prints."""
    drawn = Charts()
    paper = document.get("paper", {})
    seconds = document.get("seconds")
    return {
        "name": document.get("name", "Study"),
        "title": document.get("title") or document.get("name") or "Study",
        "created": shown_date(document.get("created")),
        "attar": document.get("attar"),
        "command": document.get("command"),
        "took": None if seconds is None else formatting.seconds(seconds),
        "rule": document.get("rule"),
        "paper": {key: paper.get(key) for key in ("citation", "address", "how_sure")} if paper else None,
        "link": _address(paper.get("address")),
        "remarks": document.get("remarks", []),
        "tables": [_table(table) for table in document.get("tables", [])],
        "lines": [_figure(chart, drawn) for chart in document.get("charts", [])],
        "dot_plots": [_dot_plots(table, drawn) for table in document.get("dot_plots", [])],
        "runs": [_run(run) for run in document.get("runs", [])],
        "warnings": document.get("warnings", []),
        "machine": fact_lines(document.get("machine", {})),
        "charts": drawn.specs,
    }


def _address(address: str | None) -> str | None:
    """An address that a browser may be sent to, or None: no address can be a script."""
    return address if address and address.startswith(("https://", "http://")) else None


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    report = run.get("report")
    # Quoted, a colon cannot make a scheme of what stands before it; a slash at the beginning would leave the folder.
    relative = report if report and not report.startswith("/") and "://" not in report else None
    return {
        "name": run.get("name", ABSENT),
        "headline": run.get("headline"),
        "met": run.get("met"),
        "report": report,
        "link": quote(relative, errors="replace") if relative else None,
    }


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table ready to print: its columns, one or two wide, its rows, and its notes under their marks."""
    columns, rows = table.get("columns", []), table.get("rows", [])
    marks: dict[str, int] = {}
    counted = Counter(
        cell["n"]
        for row in rows
        for cell in row.get("cells", {}).values()
        if "n" in cell and cell.get("mean") is not None
    )
    # The usual number stands once below the table, another one in its cell.
    usual = counted.most_common(1)[0][0] if counted else None
    laid = []
    for column in columns:
        cells = [row.get("cells", {}).get(column.get("key"), {}) for row in rows]
        laid.append(_column(column, cells, marks, usual))
    return {
        "title": table.get("title"),
        "caption": table.get("caption"),
        "columns": [
            {
                "title": column.get("title", column.get("key", ABSENT)),
                "better": column.get("better"),
                "paper": any(cell["paper"] is not None for cell in cells),
            }
            for column, cells in zip(columns, laid, strict=True)
        ],
        "rows": [
            {"name": row.get("name", ABSENT), "cells": [cells[index] for cells in laid]}
            for index, row in enumerate(rows)
        ],
        "beside": any(cell["paper"] is not None for cells in laid for cell in cells),
        "wide": len(laid) + sum(any(cell["paper"] is not None for cell in cells) for cells in laid) > _COLUMNS,
        "spread": any(cell["spread"] is not None for cells in laid for cell in cells),
        "intervals": any(cell["interval"] is not None for cells in laid for cell in cells),
        "seeds": usual,
        "mixed": len(counted) > 1,
        "best": any(cell["best"] for cells in laid for cell in cells),
        "notes": list(marks),
    }


def _column(
    column: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], marks: dict[str, int], seeds: int | None
) -> list[dict[str, Any]]:
    """The cells of a column; a note gets the next mark, or that of the same note before."""
    unit = column.get("unit", "")
    decimals = _decimals(cells, unit)
    means = [cell["mean"] for cell in cells if "mean" in cell]
    best = {"lower": min, "higher": max}[column["better"]](means) if len(means) > 1 and "better" in column else None
    shown = []
    for cell in cells:
        mean, sd, count, interval = (cell.get(key) for key in ("mean", "sd", "n", "interval"))
        note = cell.get("note")
        ours = None if mean is None else _figure_text(mean, unit, decimals)
        shown.append(
            {
                "ours": ours,
                "spread": None if mean is None or sd is None else _spread(sd, unit, mean, decimals),
                "interval": None if interval is None else _interval(interval, unit, decimals),
                "seeds": count if mean is not None and count != seeds else None,
                "paper": _quoted(cell["paper"], unit) if "paper" in cell else None,
                # Figures that read the same are equally good.
                "best": ours is not None and best is not None and ours == _figure_text(best, unit, decimals),
                "mark": marks.setdefault(note, len(marks) + 1) if note else None,
            }
        )
    return shown


def _interval(interval: Sequence[formatting.Number], unit: str, decimals: int | None) -> str:
    """Both bounds; a unit that both share stands once.

    The spread of a few seeds may reach where no accuracy is: beyond 0% and 100%.
    """
    if unit == "accuracy":
        interval = [min(max(bound, 0), 1) for bound in interval]
    low, high = (_figure_text(bound, unit, decimals) for bound in interval)
    behind = {_scale(bound, unit)[1] for bound in interval}
    return f"{low.removesuffix(behind.pop()) if len(behind) == 1 else low} to {high}".replace(" ", _SPACE)


def _decimals(cells: Iterable[Mapping[str, Any]], unit: str) -> int | None:
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


def _figure_text(value: formatting.Number, unit: str, decimals: int | None) -> str:
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


def _spread(sd: formatting.Number, unit: str, mean: formatting.Number, decimals: int | None) -> str:
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


def _quoted(value: formatting.Number, unit: str) -> str:
    """The paper's figure with the digits that it has in the document."""
    if unit in _LADDERS:
        return _figure_text(value, unit, None)
    factor, suffix = _scale(value, unit)
    least = _FIXED[unit][2] if unit == "rmse" else 0
    text = f"{factor * value:.10g}"
    decimals = len(text.partition(".")[2]) if "e" not in text else 6
    sign = "+" if unit == "points" and value > 0 else ""
    return f"{sign}{factor * value:,.{max(least, decimals)}f}".replace("-", _MINUS) + suffix


def _figure(chart: Mapping[str, Any], drawn: Charts) -> dict[str, Any]:
    """A line chart: its place on the page, its legend and its numbers as a table."""
    x, y = chart.get("x", {}), chart.get("y", {})
    unit, log = y.get("unit", ""), bool(x.get("log"))
    colors: dict[str, int] = {}
    points: list[dict[str, Any]] = []
    legend: list[dict[str, Any]] = []
    columns: list[dict[float, str]] = []
    left_out = 0
    for number, one in enumerate(chart.get("series", [])):
        name, paper = str(one.get("name", ABSENT)), one.get("source") == "paper"
        color = colors.setdefault(name, len(colors) % charts.SERIES_COLORS)
        legend.append({"name": name, "paper": paper, "color": color})
        known = sorted((p for p in one.get("points", []) if "x" in p and "y" in p), key=lambda point: point["x"])
        left_out += sum(log and point["x"] <= 0 for point in known)
        column: dict[float, str] = {}
        for point in known:
            sd, count = point.get("sd"), point.get("n")
            shown = (
                _quoted(point["y"], unit) if paper else _figure_text(point["y"], unit, _decimals_of_point(point, unit))
            )
            if sd is not None:
                shown += f" ± {_spread(sd, unit, point['y'], _decimals_of_point(point, unit))}"
            column[point["x"]] = shown.replace(" ", _SPACE)
            points.append(
                {
                    "series": number,
                    "name": name,
                    "paper": paper,
                    "color": color,
                    "x": point["x"],
                    "y": point["y"],
                    "low": None if sd is None else point["y"] - sd,
                    "high": None if sd is None else point["y"] + sd,
                    "x_shown": _quoted(point["x"], ""),
                    "y_shown": shown if count is None else f"{shown}, {_seeds(count)}",
                }
            )
        columns.append(column)
    levels = [level for level in chart.get("levels", []) if "y" in level]
    title = str(chart.get("title", "Chart"))
    spec = charts.series(
        points,
        [{"name": level.get("name", ABSENT), "y": level["y"]} for level in levels],
        x_title=str(x.get("title", "")),
        y_title=str(y.get("title", "")),
        unit=unit,
        log=log,
        description=f"{title}, one line per series; the numbers are in the table below it.",
    )
    shown_at = sorted({point["x"] for point in points})
    return {
        "title": title,
        "caption": chart.get("caption"),
        "place": _place(spec, title, drawn),
        "legend": legend,
        "whiskers": any(point["low"] is not None for point in points),
        "left_out": left_out,
        "x_title": x.get("title", "x"),
        "rows": [(_quoted(at, ""), [column.get(at) for column in columns]) for at in shown_at],
        "levels": [(level.get("name", ABSENT), _quoted(level["y"], unit)) for level in levels],
    }


def _decimals_of_point(point: Mapping[str, Any], unit: str) -> int | None:
    return _decimals([{"mean": point["y"], **({"sd": point["sd"]} if "sd" in point else {})}], unit)


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count != 1 else ''}"


def _place(spec: dict[str, Any] | None, title: str, drawn: Charts) -> dict[str, Any] | None:
    return None if spec is None else drawn.add([charts.Chart(title, "", spec)])[0]


def _dot_plots(document: Mapping[str, Any], drawn: Charts) -> dict[str, Any]:
    """A table that is drawn, one chart a column; a column without a figure is left out."""
    table = _table(document)
    places = []
    for index, column in enumerate(document.get("columns", [])):
        unit, title = column.get("unit", ""), str(table["columns"][index]["title"])
        rows = []
        for row, shown in zip(document.get("rows", []), table["rows"], strict=True):
            cell, shown_cell = row.get("cells", {}).get(column.get("key"), {}), shown["cells"][index]
            mean, sd = cell.get("mean"), cell.get("sd")
            spread = [mean - sd, mean + sd] if mean is not None and sd is not None else [None, None]
            low, high = cell.get("interval", spread) if mean is not None else (None, None)
            rows.append(
                {
                    "row": str(shown["name"]),
                    "x": mean,
                    "low": low,
                    "high": high,
                    "paper": cell.get("paper"),
                    "x_shown": (shown_cell["ours"] or ABSENT)
                    + (f" ± {shown_cell['spread']}" if shown_cell["spread"] else ""),
                    "paper_shown": shown_cell["paper"] or ABSENT,
                }
            )
        spec = charts.dots(
            rows, title=title, unit=unit, description=f"{title}, one line per row of the table below it."
        )
        if (place := _place(spec, title, drawn)) is not None:
            places.append(place)
    return {"table": table, "places": places}
