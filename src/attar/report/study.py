"""The page of a study: several runs beside a paper's own figures, in one HTML file that opens without a network.

What is ours and what the paper's never share a cell. Every part of the document may be absent and is then left out;
a figure that is not known is a dash.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from attar import formatting
from attar.evidence.panel import (
    AnyCell,
    Axis,
    Beside,
    Block,
    Cell,
    Column,
    Facts,
    Folded,
    Items,
    Legend,
    Line,
    Panel,
    Shape,
    Stack,
    Table,
    Text,
)
from attar.formatting import ABSENT, plural
from attar.report import html, study_runs
from attar.report.page import content
from attar.report.panels.common import fact_lines, without_none
from attar.report.study_charts import SERIES_COLORS, series
from attar.report.study_figures import decimals_of, figure_text, interval_text, quoted, spread_text

# Columns of figures that fit in the usual type.
_COLUMNS = 8

_SPACE = "\N{NO-BREAK SPACE}"

_UNREAD = {"memory": "from memory", "notes": "from notes"}
"""What marks figures of a paper that were not read in it, by where they were found."""


def render_study(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the page of a study as one self-contained HTML file.

    The file is written whole or not at all, and makes no request when opened. Its links lead to the paper and, along
    relative paths, to the reports of the runs.

    Args:
        document: Plain JSON values; every part may be absent or None, and NaN is None. ``name``, ``title``,
            ``created``, ``attar``, ``command``, ``seconds``, ``rule`` (how choices were made), ``remarks`` and
            ``warnings`` (lists of text), ``machine`` (as in the evidence of a run) and:

            - ``paper``: ``citation``, ``address``, ``how_sure`` (how well its figures are known), ``source``
              ("paper", "notes" or "memory": what was not read in the paper is marked).
            - ``tables``: each ``title``, ``caption``, ``columns`` (``key``, ``title``, ``unit``, ``better``: "lower",
              "higher" or None, which highlights nothing) and ``rows`` (``name``, ``title`` and ``cells``: per key of a
              column ``mean``, ``sd``, ``n`` seeds, ``interval``, ``paper``, ``note``).
            - ``charts``: each ``title``, ``caption``, ``x`` (``title``, ``log``), ``y`` (``title``, ``unit``),
              ``series`` (``name``, ``source``: "ours" or "paper", ``points``: ``x``, ``y``, ``sd``, ``n``) and
              ``levels`` (``name``, ``y``).
            - ``runs``: each ``name``, ``title`` (what people call it), ``headline``, ``report`` (relative path),
              ``outcome``, ``metric`` (``name``, ``title``, ``unit``, ``higher_is_better``), ``ships`` and ``teacher``
              (``name``, ``size_bytes``, ``quality``, as in the evidence of a run), ``smaller`` and ``faster`` (ratios).

            Figures with the unit "%", "accuracy" or "points" are fractions, as all evidence is; "x" are ratios,
            "bytes", "ms" and "s" are scaled to what is readable, "rmse" and "" are plain, and any other unit is written
            behind its figures.
        path: Where to write; folders on the way are made.

    Raises:
        BadInput: If the document holds something that JSON cannot.
    """
    values = without_none(html.as_json(document, "render_study"))
    texts = {key: html.text_of(values, key, "the study") for key in ("name", "created", "attar", "command")}
    texts["created"] = None if texts["created"] is None else formatting.moment(texts["created"])
    texts["name"] = texts["name"] or "Study"
    html.write("report.html.jinja", content(_panels(values), **texts), path)


def _panels(document: Mapping[str, Any]) -> list[Panel]:
    """All that the page shows, in its order."""
    runs, tables = document.get("runs", []), document.get("tables", [])
    unread = _UNREAD.get(document.get("paper", {}).get("source"), "")
    curves = [_curve(chart, unread) for chart in document.get("charts", [])]
    sections: list[tuple[str, Sequence[Block]]] = [
        ("Size and quality", study_runs.chart(runs)),
        *((str(table.get("title") or "Figures"), _table(table, unread)) for table in tables),
        ("Curves", [Beside(curves)] if len(curves) > 1 else curves),
        ("Runs", [study_runs.table(runs)] if runs else ()),
        ("Remarks", _sentences(document.get("remarks"))),
        ("Warnings", _sentences(document.get("warnings"), alerts=True)),
        ("Machine and versions", [Facts(facts)] if (facts := fact_lines(document.get("machine", {}))) else ()),
    ]
    title = str(document.get("title") or document.get("name") or "Study")
    return [
        Panel(title, [Text(found, "say")] if (found := study_runs.finding(runs)) else (), place="head"),
        *_answers(document, len(runs)),
        *(Panel(of, blocks, name="warnings" if of == "Warnings" else "") for of, blocks in sections if blocks),
    ]


def _answers(document: Mapping[str, Any], runs: int) -> list[Panel]:
    """Whose figures ours are held against, and how ours came about."""
    paper, rule, seconds = document.get("paper", {}), document.get("rule"), document.get("seconds")
    of_paper: list[Block] = []
    if citation := paper.get("citation"):
        of_paper.append(Text(str(citation), "body"))
    if address := paper.get("address"):
        of_paper.append(Line([Cell(text=str(address), link=_address(address))]))
    if sure := paper.get("how_sure"):
        of_paper.append(Text(f"Its figures: {sure}"))
    measured: list[Block] = [] if not rule else [Text(str(rule)[:1].upper() + str(rule)[1:], "body")]
    if seconds is not None:
        over = f" over {plural(runs, 'run')}" if runs else ""
        measured.append(Text(f"Took {formatting.seconds(seconds)}{over}."))
    both = (("The paper", of_paper), ("How it was measured", measured))
    return [Panel(title, blocks, place="half") for title, blocks in both if blocks]


def _sentences(given: Sequence[object] | None, *, alerts: bool = False) -> list[Block]:
    return [Items([str(one) for one in given], alerts)] if given else []


def _address(address: object) -> str:
    """An address that a browser may be sent to, or none: no address can be a script."""
    return str(address) if str(address).startswith(("https://", "http://")) else ""


def _table(table: Mapping[str, Any], unread: str) -> list[Block]:
    """A table with its caption above and what its signs mean below."""
    columns, rows = table.get("columns", []), table.get("rows", [])
    caption: list[Block] = [Text(str(table["caption"]))] if table.get("caption") else []
    if not columns or not rows:
        return [*caption, Text("Nothing was measured.")]
    given = [[row.get("cells", {}).get(column.get("key"), {}) for row in rows] for column in columns]
    counted = Counter(cell["n"] for cells in given for cell in cells if "n" in cell and cell.get("mean") is not None)
    # The usual number stands once below the table, another one in its cell.
    usual = counted.most_common(1)[0][0] if counted else None
    marks: dict[str, int] = {}
    heads: list[str | Column] = [""]
    laid: list[list[AnyCell]] = []
    for column, cells in zip(columns, given, strict=True):
        title, better = str(column.get("title", column.get("key", ABSENT))), column.get("better")
        note = f"{better} is better" if better else ""
        laid.append(_ours(column, cells, marks, usual))
        if any("paper" in cell for cell in cells):
            heads += [
                Column(title="ours", note=note, group=title),
                Column(title="paper", note=unread, group=title, quoted=True),
            ]
            unit = column.get("unit", "")
            laid.append([quoted(cell["paper"], unit) if "paper" in cell else None for cell in cells])
        else:
            heads.append(Column(title=title, note=note))
    named = [study_runs.title_of(row) for row in rows]
    lines: list[list[AnyCell]] = [[name, *cells] for name, *cells in zip(named, *laid, strict=True)]
    known = [cell for cells in given for cell in cells if cell.get("mean") is not None]
    signs = _signs(
        usual,
        mixed=len(counted) > 1,
        spread=any("sd" in cell for cell in known),
        interval=any("interval" in cell for cells in given for cell in cells),
        strong=any(isinstance(cell, Cell) and cell.strong for cells in laid for cell in cells),
    )
    drawn = Table(heads, lines, notes=list(marks), dense=len(laid) > _COLUMNS)
    return [*caption, drawn, *([Text(signs)] if signs else [])]


def _signs(seeds: int | None, *, mixed: bool, spread: bool, interval: bool, strong: bool) -> str:
    """What the signs in a table mean."""
    sentences = []
    if seeds is not None:
        count = f"mean of {plural(seeds, 'seed')}" if seeds != 1 else "1 seed"
        around = ", ± one standard deviation" if spread else ""
        sentences.append(f"Ours: {count}{' unless stated otherwise' if mixed else ''}{around}.")
    elif spread:
        sentences.append("Ours: mean ± one standard deviation.")
    if interval:
        sentences.append("Ranges are 95% intervals.")
    if strong:
        sentences.append("Bold: the best of ours in its column.")
    return " ".join(sentences)


def _ours(
    column: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], marks: dict[str, int], seeds: int | None
) -> list[AnyCell]:
    """Our figures of a column; a note gets the next mark, or that of the same note before."""
    unit = column.get("unit", "")
    decimals = decimals_of(cells, unit)
    means = [cell["mean"] for cell in cells if "mean" in cell]
    best = {"lower": min, "higher": max}[column["better"]](means) if len(means) > 1 and "better" in column else None
    best_text = None if best is None else figure_text(best, unit, decimals)
    shown: list[AnyCell] = []
    for cell in cells:
        mean, sd, count, interval = (cell.get(key) for key in ("mean", "sd", "n", "interval"))
        note = cell.get("note")
        ours = None if mean is None else figure_text(mean, unit, decimals)
        below = [] if mean is None or sd is None else [f"±{_SPACE}{spread_text(sd, unit, mean, decimals)}"]
        if interval is not None:
            below.append(interval_text(interval, unit, decimals))
        if mean is not None and count is not None and count != seeds:
            below.append(plural(count, "seed").replace(" ", _SPACE))
        shown.append(
            Cell(
                text=ABSENT if ours is None else ours,
                note="\n".join(below),
                tone="faint" if ours is None else "",
                # Figures that read the same are equally good.
                strong=ours is not None and ours == best_text,
                mark=marks.setdefault(str(note), len(marks) + 1) if note else None,
            )
        )
    return shown


def _curve(chart: Mapping[str, Any], unread: str) -> Stack:
    """A line chart with its title, its legend and, folded, its numbers as a table."""
    x, y = chart.get("x", {}), chart.get("y", {})
    unit, log = y.get("unit", ""), bool(x.get("log"))
    colors: dict[str, int] = {}
    points: list[dict[str, Any]] = []
    entries: list[tuple[Shape, str, str]] = []
    heads: list[str | Column] = [str(x.get("title", "x"))]
    columns: list[dict[float, str]] = []
    left_out, origin = 0, ", ".join(filter(None, ("paper", unread)))
    for number, one in enumerate(chart.get("series", [])):
        name, paper = str(one.get("name", ABSENT)), one.get("source") == "paper"
        color = colors.setdefault(name, len(colors) % SERIES_COLORS)
        sign: Shape = "dashed" if paper else "line"
        entries.append((sign, f"series-{color}", f"{name} ({origin})" if paper else name))
        heads.append(Column(title=name, note=origin if paper else "", quoted=paper))
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
                    "x_shown": quoted(point["x"], ""),
                    "y_shown": shown if count is None else f"{shown}, {plural(count, 'seed')}",
                }
            )
        columns.append(column)
    levels = [level for level in chart.get("levels", []) if "y" in level]
    title = str(chart.get("title", "Chart"))
    drawn = series(
        points,
        [{"name": level.get("name", ABSENT), "y": level["y"]} for level in levels],
        title=title,
        x=Axis(title=str(x.get("title", "")), log=log),
        y=Axis(title=str(y.get("title", "")), unit=unit),
    )
    blocks: list[Block] = [Text(title, "heading")]
    drawable = any(not log or point["x"] > 0 for point in points)
    blocks += [Legend(entries), replace(drawn, title="")] if drawable else [Text("Nothing to draw.")]
    below = [str(chart["caption"])] if chart.get("caption") else []
    if any(point["low"] is not None for point in points):
        below.append("Whiskers are one standard deviation to each side.")
    if left_out:
        there = "are" if left_out != 1 else "is"
        missing = f"{plural(left_out, 'point')} at or below zero"
        below.append(f"{missing} cannot be on a logarithmic axis and {there} only in the numbers.")
    if below:
        blocks.append(Text(" ".join(below)))
    places = sorted({point["x"] for point in points})
    numbers: list[Block] = []
    if places:
        rows: list[Sequence[AnyCell]] = [[quoted(at, ""), *(column.get(at) for column in columns)] for at in places]
        numbers.append(Table(heads, rows))
    if levels:
        named = [f"{level.get('name', ABSENT)} {quoted(level['y'], unit)}" for level in levels]
        numbers.append(Text(f"Levels: {'; '.join(named)}."))
    if numbers:
        blocks.append(Folded("The numbers", numbers))
    return Stack(blocks)


def _decimals_of_point(point: Mapping[str, Any], unit: str) -> int | None:
    return decimals_of([{"mean": point["y"], **({"sd": point["sd"]} if "sd" in point else {})}], unit)
