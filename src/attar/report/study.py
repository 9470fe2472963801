"""The page of a study: several runs beside a paper's own figures, in one HTML file that opens without a network.

What is ours and what the paper's never share a cell. Every part of the document may be absent and is then left out;
a figure that is not known is a dash.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from attar import formatting
from attar.evidence.panel import Axis, Chart
from attar.formatting import ABSENT
from attar.report import charts, html
from attar.report.panels.common import TONES, fact_lines, plural, without_none
from attar.report.study_charts import SERIES_COLORS, series
from attar.report.study_figures import decimals_of, figure_text, interval_text, quoted, spread_text

# Columns of figures that fit in the usual type.
_COLUMNS = 8


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
            - ``runs``: each ``name``, ``headline``, ``report`` (relative path) and ``outcome``.

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
    drawn: list[dict[str, Any]] = []
    paper = document.get("paper", {})
    seconds = document.get("seconds")
    return {
        "name": document.get("name", "Study"),
        "title": document.get("title") or document.get("name") or "Study",
        "created": None if document.get("created") is None else formatting.moment(document["created"]),
        "attar": document.get("attar"),
        "command": document.get("command"),
        "took": None if seconds is None else formatting.seconds(seconds),
        "rule": document.get("rule"),
        "paper": {key: paper.get(key) for key in ("citation", "address", "how_sure")} if paper else None,
        "link": _address(paper.get("address")),
        "remarks": document.get("remarks", []),
        "tables": [_table(table) for table in document.get("tables", [])],
        "lines": [_figure(chart, drawn) for chart in document.get("charts", [])],
        "runs": [_run(run) for run in document.get("runs", [])],
        "warnings": document.get("warnings", []),
        "machine": fact_lines(document.get("machine", {})),
        "charts": drawn,
    }


def _address(address: str | None) -> str | None:
    """An address that a browser may be sent to, or None: no address can be a script."""
    return address if address and address.startswith(("https://", "http://")) else None


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    report, outcome = run.get("report"), run.get("outcome")
    outcome = outcome if isinstance(outcome, str) else None
    # Quoted, a colon cannot make a scheme of what stands before it; a slash at the beginning would leave the folder.
    relative = report if report and not report.startswith("/") and "://" not in report else None
    return {
        "name": run.get("name", ABSENT),
        "headline": run.get("headline"),
        "outcome": outcome,
        "tone": TONES.get(outcome, "faint"),
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
    decimals = decimals_of(cells, unit)
    means = [cell["mean"] for cell in cells if "mean" in cell]
    best = {"lower": min, "higher": max}[column["better"]](means) if len(means) > 1 and "better" in column else None
    shown = []
    for cell in cells:
        mean, sd, count, interval = (cell.get(key) for key in ("mean", "sd", "n", "interval"))
        note = cell.get("note")
        ours = None if mean is None else figure_text(mean, unit, decimals)
        shown.append(
            {
                "ours": ours,
                "spread": None if mean is None or sd is None else spread_text(sd, unit, mean, decimals),
                "interval": None if interval is None else interval_text(interval, unit, decimals),
                "seeds": count if mean is not None and count != seeds else None,
                "paper": quoted(cell["paper"], unit) if "paper" in cell else None,
                # Figures that read the same are equally good.
                "best": ours is not None and best is not None and ours == figure_text(best, unit, decimals),
                "mark": marks.setdefault(note, len(marks) + 1) if note else None,
            }
        )
    return shown


def _figure(chart: Mapping[str, Any], drawn: list[dict[str, Any]]) -> dict[str, Any]:
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
        color = colors.setdefault(name, len(colors) % SERIES_COLORS)
        legend.append({"name": name, "paper": paper, "color": color})
        known = sorted((p for p in one.get("points", []) if "x" in p and "y" in p), key=lambda point: point["x"])
        left_out += sum(log and point["x"] <= 0 for point in known)
        column: dict[float, str] = {}
        for point in known:
            sd, count = point.get("sd"), point.get("n")
            shown = (
                quoted(point["y"], unit) if paper else figure_text(point["y"], unit, _decimals_of_point(point, unit))
            )
            if sd is not None:
                shown += f" ± {spread_text(sd, unit, point['y'], _decimals_of_point(point, unit))}"
            column[point["x"]] = shown.replace(" ", "\N{NO-BREAK SPACE}")
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
                    "x_shown": quoted(point["x"], ""),
                    "y_shown": shown if count is None else f"{shown}, {plural(count, 'seed')}",
                }
            )
        columns.append(column)
    levels = [level for level in chart.get("levels", []) if "y" in level]
    title = str(chart.get("title", "Chart"))
    drawn_as = series(
        points,
        [{"name": level.get("name", ABSENT), "y": level["y"]} for level in levels],
        title=title,
        x=Axis(title=str(x.get("title", "")), log=log),
        y=Axis(title=str(y.get("title", "")), unit=unit),
    )
    shown_at = sorted({point["x"] for point in points})
    return {
        "title": title,
        "caption": chart.get("caption"),
        "place": _place(drawn_as, drawn),
        "legend": legend,
        "whiskers": any(point["low"] is not None for point in points),
        "left_out": left_out,
        "x_title": x.get("title", "x"),
        "rows": [(quoted(at, ""), [column.get(at) for column in columns]) for at in shown_at],
        "levels": [(level.get("name", ABSENT), quoted(level["y"], unit)) for level in levels],
    }


def _decimals_of_point(point: Mapping[str, Any], unit: str) -> int | None:
    return decimals_of([{"mean": point["y"], **({"sd": point["sd"]} if "sd" in point else {})}], unit)


def _place(chart: Chart, drawn: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The number of a chart among all of the page; None where there is nothing to draw."""
    if (spec := charts.draw(chart)) is None:
        return None
    drawn.append(spec)
    return {"number": len(drawn) - 1}
