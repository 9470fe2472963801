"""The layers of a teacher and of the student that a search found, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attar import formatting
from attar.evidence.panel import AnyCell, Beside, Block, Cell, Column, Folded, Panel, Stack, Table, Text
from attar.formatting import plural
from attar.report.panels.common import Figures, listed

_SHOWN = 24
"""Layers that are seen before the table is unfolded."""

_TIMES = "\N{MULTIPLICATION SIGN}"
_TO = "\N{RIGHTWARDS ARROW}"


def layers(found: Figures) -> list[Panel]:
    """Which layers there are, and what became of the teacher's; none where they are not known.

    Args:
        found: ``search`` of the evidence.
    """
    sides: Figures = found.get("layers", {})
    teacher: Sequence[Figures] = sides.get("teacher", [])
    student: Sequence[Figures] = sides.get("student", [])
    if not student:
        return []
    title = "Teacher and student, layer by layer" if teacher else "The student, layer by layer"
    if teacher and all("became" in layer for layer in teacher):
        return [Panel(title, _paired(teacher, student), name="layers")]
    sides_shown: list[Block] = [
        Stack([Text(f"{name}: {_total(some)}", "heading"), *_rows_of(_COLUMNS, _listed(some), ())])
        for name, some in (("Teacher", teacher), ("Student", student))
        if some
    ]
    note = "Layers with weights, and their multiply-adds for one example."
    return [Panel(title, [Beside(sides_shown) if len(sides_shown) > 1 else sides_shown[0], Text(note)], name="layers")]


_COLUMNS = ("Layer", Column(title="Size", words=True), "Parameters", "MACs")


def _listed(some: Sequence[Figures]) -> list[list[AnyCell]]:
    return [
        [Cell(text=layer["name"] or "the network", note=_kind(layer)), _size(layer), *_counts(layer)]
        for layer in some
        if layer["parameters"] or layer["macs"]
    ]


def _paired(teacher: Sequence[Figures], student: Sequence[Figures]) -> list[Block]:
    """Each layer of the teacher beside what is left of it."""
    now = {layer["name"]: layer for layer in student}
    weighted = [layer for layer in teacher if layer["parameters"] or layer["macs"]]
    others = [layer for layer in teacher if not (layer["parameters"] or layer["macs"])]
    columns = [
        Column(title="Layer"),
        *(
            Column(title=title, group=group, words=title == "Size", dot=None)
            for group in ("Teacher", "Student")
            for title in ("Size", "Parameters", "MACs")
        ),
        Column(title="What became of it", words=True),
    ]
    rows: list[list[AnyCell]] = []
    for layer in weighted:
        left = now.get(layer["name"])
        ours: list[AnyCell] = ["", "", ""] if left is None else [_size(left), *_counts(left)]
        became = Cell(text=layer["became"], tone="faint" if layer["became"] == "kept" else "")
        rows.append([Cell(text=layer["name"], note=_kind(layer)), _size(layer), *_counts(layer), *ours, became])
    refused = [place for place, layer in enumerate(weighted) if layer["became"] == "removed"]
    gone = [layer for layer in teacher if layer["became"] == "removed"]
    text = f"The teacher has {_total(teacher)}; the student {_total(student)}."
    text += f" Of {plural(len(teacher), 'layer')} {len(gone)} {'is' if len(gone) == 1 else 'are'} removed."
    if others:
        unweighted = [layer["name"] for layer in others if layer["became"] == "removed"]
        text += f" {plural(len(others), 'layer')} without weights {'is' if len(others) == 1 else 'are'} not shown"
        text += f"; removed of these: {listed([repr(name) for name in unweighted])}." if unweighted else "."
    return [Text(text), *_rows_of(columns, rows, refused, dense=True)]


def _rows_of(
    columns: Sequence[str | Column], rows: Sequence[Sequence[AnyCell]], refused: Sequence[int], *, dense: bool = False
) -> list[Block]:
    """A table; of many rows the last ones folded."""
    first, rest = rows[:_SHOWN], rows[_SHOWN:]
    blocks: list[Block] = [Table(columns, first, refused=[one for one in refused if one < _SHOWN], dense=dense)]
    if rest:
        later = [one - _SHOWN for one in refused if one >= _SHOWN]
        table = Table(columns, rest, refused=later, dense=dense)
        blocks.append(Folded(f"{plural(len(rest), 'more layer')}", [table]))
    return blocks


def _total(some: Sequence[Figures]) -> str:
    parameters, macs = (formatting.count(sum(layer[key] for layer in some)) for key in ("parameters", "macs"))
    return f"{parameters} parameters and {macs} multiply-adds".replace("\N{NO-BREAK SPACE} ", " ")


def _kind(layer: Mapping[str, Any]) -> str:
    return str(layer["kind"]).replace("_", " ")


def _size(layer: Mapping[str, Any]) -> str:
    """Kernel and channels of a layer.

    Example:
        >>> _size({"kernel": 3, "inputs": 16, "outputs": 32}).replace("\\N{MULTIPLICATION SIGN}", "x")
        '3x3, 16 \N{RIGHTWARDS ARROW} 32'
    """
    kernel = f"{layer['kernel']}{_TIMES}{layer['kernel']}" if layer["kernel"] else ""
    channels = f"{layer['inputs']} {_TO} {layer['outputs']}" if layer["outputs"] else ""
    return ", ".join(filter(None, (kernel, channels)))


def _counts(layer: Mapping[str, Any]) -> list[str]:
    return [formatting.count(layer["parameters"]), formatting.count(layer["macs"])]
