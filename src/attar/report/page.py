"""The page that shows a run: one HTML file that opens without a network and loads nothing from elsewhere.

All that it shows are the panels of the evidence, in their order; the template draws a kind of block with a macro each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attar import formatting
from attar.errors import BadInput
from attar.evidence.panel import (
    AnyCell,
    Beside,
    Block,
    Cell,
    Chart,
    Column,
    Example,
    Folded,
    Matrix,
    Panel,
    Stack,
    Table,
)
from attar.evidence.panel_json import from_json
from attar.report import charts, drawings, html, png


def render(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of a run as one self-contained HTML file.

    The file is written whole or not at all. It makes no request when opened: styles, scripts, images and data are
    inside, and its Content-Security-Policy forbids everything else, scripts other than its own included.

    Args:
        document: The evidence document, plain JSON values: its ``panels``, and ``name``, ``created``, ``attar`` and
            ``command``, each of which may be absent.
        path: Where to write; folders on the way are made.

    Raises:
        BadInput: If there are no panels, one of them has another form, or JSON cannot hold the document.
    """
    values = html.as_json(document, "render")
    if not values.get("panels"):
        raise BadInput("The evidence has no panels to draw. Run attar compress again: it writes the evidence anew.")
    texts = {key: html.text_of(values, key, "the evidence") for key in ("name", "created", "attar", "command")}
    texts["created"] = None if texts["created"] is None else formatting.moment(texts["created"])
    html.write("report.html.jinja", content(from_json(values["panels"], "the evidence"), **texts), path)


def content(panels: Sequence[Panel], **texts: str | None) -> dict[str, Any]:
    """What the template prints.

    Args:
        panels: In their order; the first one that is the head of the page is its title.
        texts: ``name``, ``created``, ``attar``, ``command``.
    """
    head = next((panel for panel in panels if panel.place == "head"), None)
    below = [panel for panel in panels if panel is not head]
    drawn = {id(chart): spec for chart in _charts(panels) if (spec := charts.draw(chart)) is not None}
    numbers = {chart: number for number, chart in enumerate(drawn)}
    alerts = next((panel for panel in below if panel.name == "warnings"), None)
    sections = list(_rows(below))
    names = {id(row[0]): row[0].name or f"section-{number}" for number, row in enumerate(sections)}
    titled = [(names[id(row[0])], row[0].title) for row in sections if row[0].place != "half"]
    count = 0 if alerts is None else sum(len(getattr(block, "sentences", ())) for block in alerts.blocks)
    return {
        **texts,
        "head": head or Panel(texts.get("name") or "Report", (), place="head"),
        "sections": sections,
        "name_of": lambda panel: names[id(panel)],
        "contents": titled if len(titled) > _FEW else [],
        "alerts": count,
        "number_of": lambda chart: numbers.get(id(chart)),
        "charts": list(drawn.values()),
        "cell_of": _cell,
        "column_of": _column,
        "groups_of": _groups,
        "width_of": _width,
        "details_of": _details,
        "image_of": _image,
        "pairs_of": _pairs,
        "interval_of": drawings.interval,
        "stems_of": drawings.stems,
        "histogram_of": drawings.histogram,
    }


def _rows(panels: Iterable[Panel]) -> Iterator[list[Panel]]:
    """Panels with those that stand beside each other together."""
    beside: list[Panel] = []
    for panel in panels:
        if panel.place == "half":
            beside.append(panel)
            continue
        if beside:
            yield beside
            beside = []
        yield [panel]
    if beside:
        yield beside


def _charts(panels: Iterable[Panel]) -> Iterator[Chart]:
    for panel in panels:
        yield from _charts_in(panel.blocks)


def _charts_in(blocks: Iterable[Block]) -> Iterator[Chart]:
    for block in blocks:
        if isinstance(block, Chart):
            yield block
        elif isinstance(block, Beside | Folded | Stack):
            yield from _charts_in(block.blocks)


def _cell(value: AnyCell) -> Cell:
    """What stands in a table, as a cell: a number with four digits, a dash for what is not known."""
    if isinstance(value, Cell):
        return value
    if value is None:
        return Cell(text=formatting.ABSENT)
    return Cell(text=value if isinstance(value, str) else formatting.trimmed(value, 4))


def _column(columns: Sequence[str | Column], place: int) -> Column:
    """The head of a column; a row may be longer than there are heads."""
    column = columns[place] if place < len(columns) else ""
    return column if isinstance(column, Column) else Column(title=column)


def _groups(table: Table) -> list[tuple[Column, int]]:
    """The upper heads of a table whose columns are in groups, with how many columns each covers; none without groups.

    A column without a group is an upper head itself, and covers no other.
    """
    columns = [_column(table.columns, place) for place in range(len(table.columns))]
    if not any(column.group for column in columns):
        return []
    heads: list[tuple[Column, int]] = []
    for column in columns:
        if column.group and heads and heads[-1][0].group == column.group:
            heads[-1] = (heads[-1][0], heads[-1][1] + 1)
        else:
            heads.append((column, 1))
    return heads


def _width(table: Table) -> str:
    """How broad a table may become: few figures are read more easily when they do not stand far apart."""
    if _groups(table):
        return "grouped dense" if table.dense else "grouped"
    if table.dense:
        return "dense"
    if any(not isinstance(column, str) and column.ends for column in table.columns):
        return "broad"
    return "narrow" if len(table.columns) <= _FEW else "medium"


_FEW = 4


def _details(table: Table) -> str:
    """What the switch above a table shows: how many columns that are not seen at once; nothing where all are."""
    more = sum(isinstance(column, Column) and column.detail for column in table.columns)
    return "" if not more else f"{formatting.plural(more, 'more column')}"


def _pairs(matrix: Matrix) -> list[tuple[str, list[tuple[int, float]]]]:
    """Each row of a matrix by its name: its counts, and their shares of the row."""
    of_rows = ((name, counts, sum(counts) or 1) for name, counts in zip(matrix.names, matrix.counts, strict=False))
    return [(name, [(count, round(count / total, 3)) for count in counts]) for name, counts, total in of_rows]


def _image(example: Example) -> str | None:
    """The address of an image, which is the image itself."""
    if example.pixels is None:
        return None
    try:
        return png.data_uri(example.pixels)
    except ValueError as error:
        raise BadInput(f"An example of the evidence cannot be drawn; {error}") from error
