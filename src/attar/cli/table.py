"""Evidence as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from attar.evidence.compare import HELPED
from attar.evidence.panel import AnyCell, Cell, Column
from attar.evidence.panel import Table as PanelTable
from attar.formatting import count, milliseconds, size
from attar.outcome import Outcome
from attar.report.panels.common import Metric, metrics_of


def say(console: Console, sentence: str, style: str = "") -> None:
    """Print a sentence: between words a line ends where the terminal does, and nowhere where there is none."""
    console.print(sentence, style=style, soft_wrap=not console.is_terminal, markup=False)


def models_table(evidence: Mapping[str, Any], width: int = 80) -> Table:
    """One row per measured model: the winner marked, the refused ones named as such.

    Args:
        evidence: The evidence document.
        width: Columns of the terminal; from 110 on there is room for intervals, multiply-adds and the large batch.
    """
    detailed, metric = width >= 110, metrics_of(evidence)[0]
    table = Table(
        title=f"{evidence['name']}: {evidence['task']['test']:,} test examples of {evidence['task']['data']}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("model", overflow="fold")  # it makes room: the name of a model may be long, and figures must show
    for heading in (
        metric.title,
        *(("95% interval",) if detailed else ()),
        "size",
        *(("MACs",) if detailed else ()),
        "batch 1",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    if detailed:
        table.add_column("batch 64", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for model in evidence["models"]:
        won = model["name"] == evidence["winner"]
        table.add_row(
            model["name"],
            *_figures(model, metric, evidence["task"]["test"], detailed),
            _outcome(model, won),
            style="bold" if won else "dim" if model.get("refused") else None,
        )
    return table


def _outcome(model: Mapping[str, Any], won: bool) -> str:
    """Whether a model ships; a winner that is refused is the nearest of all that are."""
    refused = bool(model.get("refused"))
    return ("nearest" if refused else "ships") if won else "refused" if refused else ""


def _figures(model: Mapping[str, Any], metric: Metric, examples: int, detailed: bool) -> list[str]:
    """The cells of one model between its name and its outcome, empty where nothing was measured."""
    quality, latency = model.get("quality"), model.get("latency") or {}
    cells = {
        "quality": quality and metric.text(quality[metric.name], examples),
        "interval": quality and metric.interval(quality["interval"], examples),
        "size": model.get("size_bytes") and size(model["size_bytes"]),
        "macs": model.get("macs") and count(model["macs"]),
        "1": "1" in latency and milliseconds(latency["1"]["median_ms"]),
        "64": "64" in latency and milliseconds(latency["64"]["median_ms"]),
    }
    shown = cells if detailed else ("quality", "size", "1")
    return [cells[name] or "" for name in shown]


COLORS: dict[Outcome | None, str] = {
    "met": "green",
    None: "",
    "met on validation only": "yellow",
    "not met": "red",
}
"""The color of what became of the budget."""


def budget_line(evidence: Mapping[str, Any]) -> str:
    """What became of the budget, as a sentence."""
    return str(evidence["budget"]["sentence"])


def verdict_line(evidence: Mapping[str, Any]) -> str:
    """The comparison with the baseline, as a sentence."""
    ruling = evidence["verdict"]
    if ruling is None:
        return "No baseline was trained: whether distillation helped is not known."
    metric = metrics_of(evidence)[0]
    share = metric.is_share or metric.higher_is_better
    seeds = ruling.get("seeds", 1)
    over = f", {seeds} seeds" if seeds > 1 else ""
    numbers = (ruling["difference"], *ruling["interval"])
    # The score of an error is the error of each example with a minus, squared where its mean has a root.
    in_bits = metric.unit == "bits"
    share = share and not in_bits
    sign = 1 if in_bits else -1
    difference, low, high = (f"{100 * one:+.2f}" if share else f"{sign * one:+.3g}" for one in numbers)
    low, high = (low, high) if share or in_bits else (high, low)
    unit = "bits" if in_bits else "points" if share else "squared error" if metric.name == "rmse" else metric.title
    return (
        f"On test, against the same network without a teacher: {ruling['sentence']} ({difference} {unit}, "
        f"95% interval {low} to {high}; p = {ruling['p_value']:.2g}, {ruling['examples']:,} test "
        f"examples{over}).{_beside_choice(evidence, str(ruling['sentence']))}"
    )


def _beside_choice(evidence: Mapping[str, Any], ruling: str) -> str:
    """Why the baseline ships although the student is better on test, as a sentence; empty where it is not so."""
    kinds = {model["name"]: model.get("kind") for model in evidence["models"]}
    if ruling != HELPED or kinds.get(evidence["winner"]) != "baseline":
        return ""
    return (
        " What ships is chosen on validation, where it did not help, and before test is read: that the two differ "
        "tells that validation is small."
    )


_STYLES = {"good": "green", "partly": "yellow", "bad": "red", "faint": "dim"}


def panel_table(panel: PanelTable, width: int = 80) -> Table:
    """A table of a report on the terminal: what stands in small type on the page is dim here.

    Lines end between words. Where the longest words side by side are wider than the terminal, rows stand below each
    other, a line for each of their cells.

    Args:
        panel: The table.
        width: Columns of the terminal; from 110 on there is room for the small type of its heads.
    """
    narrow = width < 110
    heads = [column if isinstance(column, Column) else Column(title=column) for column in panel.columns]
    words = [head.words or place == 0 for place, head in enumerate(heads)]
    titles = [_with_note(head.title, "" if narrow else head.note) for head in heads]
    rows = [[_cell(found, narrow and not word) for found, word in zip(row, words, strict=True)] for row in panel.rows]
    longest = [_longest(column, word) for column, word in zip(zip(titles, *rows, strict=True), words, strict=True)]
    # Between two columns are two spaces, and one is at either edge.
    if sum(longest) + 2 * len(longest) > width:
        return _below(heads, panel.rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title, word, least in zip(titles, words, longest, strict=True):
        table.add_column(
            title,
            justify="left" if word else "right",
            no_wrap=not word,
            overflow="fold",
            min_width=least,
        )
    for row in rows:
        table.add_row(*row)
    return table


def _below(heads: Sequence[Column], rows: Sequence[Sequence[AnyCell]]) -> Table:
    """The rows of a table below each other: of each cell the title of its column, and what is in it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            table.add_row()
        for head, found in zip(heads, row, strict=True):
            text = _cell(found, False)
            table.add_row(head.title, Text("  ").join(text.split("\n")))
    return table


def _longest(column: Iterable[Text], words: bool) -> int:
    """Characters of the longest word of a column, or of its longest line if figures are in it."""
    return max(len(one) for text in column for one in (text.plain.split() if words else text.plain.split("\n")) or [""])


def _cell(found: AnyCell, broken: bool) -> Text:
    """A cell; where lines are broken, what stands behind a comma in its note has one of its own."""
    cell = found if isinstance(found, Cell) else Cell(text="" if found is None else str(found))
    return _with_note(cell.text, cell.note.replace(", ", ",\n") if broken else cell.note, _STYLES.get(cell.tone, ""))


def _with_note(text: str, note: str, style: str = "") -> Text:
    words = Text(text, style=style)
    return words.append(f"\n{note}", style="dim") if note else words
