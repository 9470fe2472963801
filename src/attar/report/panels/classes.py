"""Class by class: where the student gained and lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attar import formatting
from attar.evidence.long_table import long_table
from attar.evidence.panel import AnyCell, Cell, Column, Panel, Text, Tone
from attar.report.panels.common import Figures, known

_JUDGED = (("iou", "intersection over union"), ("f1", "F1"), ("accuracy", "accuracy"))
"""By what a class is judged: the first of these that its figures have."""


def classes(teacher: Figures | None, baseline: Figures | None, student: Figures | None) -> list[Panel]:
    """Accuracy per class (of labels F1, of maps intersection over union), the class that lost most first.

    The change is the student's against the teacher, or against the baseline where there is no teacher.

    Args:
        teacher: Its entry among the models; None, or without figures per class, where there are none.
        baseline: The same.
        student: The same; without it there is no panel.
    """
    if student is None or not _per_class(student):
        return []
    figure, title = next((one for one in _JUDGED if one[0] in next(iter(_per_class(student).values()))), _JUDGED[-1])
    columns = {"teacher": _per_class(teacher), "baseline": _per_class(baseline), "student": _per_class(student)}
    present = [name for name in columns if columns[name]]
    against = present[0] if len(present) > 1 else None
    found: list[dict[str, Any]] = []
    for name, figures in columns["student"].items():
        accuracies = {column: columns[column].get(name, {}).get(figure) for column in present}
        mine, theirs = accuracies["student"], accuracies[against] if against else None
        change = mine - theirs if mine is not None and theirs is not None else None
        found.append({"name": name, "examples": figures.get("examples"), "of": accuracies, "change": change})
    found.sort(key=lambda row: (row["change"] is None, row["change"] or 0.0, row["of"]["student"] or 0.0))
    reach = max(0.01, *(abs(row["change"]) for row in found if row["change"] is not None), 0.0)
    rows = [_row(row, reach, against is not None) for row in found]
    heads = [Column(title="Class"), Column(title="Examples")]
    heads += [Column(title=name.capitalize(), dot=name) for name in present]
    if against:
        heads += [Column(title="Change", note="in points"), Column(ends=("loss", "gain"))]
    note = f"Student here: {student.get('name')}."
    note = note if figure == "accuracy" else f"{note} Figures are the {title} of each class in all examples together."
    note += f" The change is against the {against}." if against else ""
    first = "The class that lost most comes first." if against else "The weakest class comes first."
    return [Panel("Class by class", [*long_table(heads, rows, "class", "classes"), Text(f"{note} {first}")])]


def _row(row: Mapping[str, Any], reach: float, compared: bool) -> list[AnyCell]:
    count, change = row["examples"], row["change"]
    cells: list[AnyCell] = [row["name"], known(formatting.grouped, count)]
    cells += [known(formatting.percent, value, count) for value in row["of"].values()]
    if compared:
        tone: Tone = "" if not change else "bad" if change < 0 else "good"
        cells.append(Cell(text=known(formatting.points, change, count), tone=tone))
        cells.append(Cell(swing=None if change is None else round(change / reach, 4)))
    return cells


def _per_class(model: Figures | None) -> Mapping[str, Figures]:
    per_class: Mapping[str, Figures] = (model or {}).get("quality", {}).get("per_class", {})
    return per_class
