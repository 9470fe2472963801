"""Others of a search's Pareto set that were trained, deployed and measured beside what ships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attar import formatting
from attar.evidence.panel import AnyCell, Cell, Column, Panel, Table, Text
from attar.report.panels.common import TONES, Figures, Metric, known, quality_cell, sentence


def measured(found: Figures) -> list[Figures]:
    """Those of which there is something, as the evidence has models.

    Args:
        found: ``search`` of the evidence.
    """
    return [one for one in found.get("pareto", []) if "quality" in one]


def pareto_set(found: Figures, winner: Figures | None, metric: Metric) -> list[Panel]:
    """The table of the others below what ships; none where there are none.

    Args:
        found: ``search`` of the evidence.
        winner: The entry of what ships.
        metric: The first one of the task.
    """
    others: Sequence[Figures] = found.get("pareto", [])
    if not others:
        return []
    title = f"{metric.title[:1].upper()}{metric.title[1:]}"
    columns = [
        Column(title="Student"),
        Column(title=title, note="validation"),
        Column(title=title, note="test"),
        Column(title="Size"),
        Column(title="Latency", note="batch 1, median"),
        Column(title="Parameters"),
        Column(title="MACs"),
        Column(title="Outcome", words=True, wraps=True),
    ]
    rows: list[list[AnyCell]] = []
    if winner is not None:
        name = f"#{found['winner']}" if "winner" in found else "student"
        kind = " trained without the teacher" if winner.get("kind") == "baseline" else ""
        ships = Cell(text=name + kind, note=_form(winner), tag="ships", tag_tone="")
        rows.append([ships, *_figures(winner, metric), "In artifact/."])
    for one in others:
        if "quality" in one:
            outcome = one.get("outcome")
            tag = Cell(text=f"#{one['number']}", note=_form(one))
            why = f"Refused: {one['refused']}" if "refused" in one else one.get("sentence", "")
            words = f"{sentence(why)} In {one['folder']}/."
            rows.append([tag, *_figures(one, metric), Cell(text=words, tone=TONES.get(outcome, "") if outcome else "")])
        else:
            why = f"Not measured: {one.get('why_not', '')}"
            rows.append([Cell(text=f"#{one['number']}"), *([None] * 6), sentence(why)])
    refused = [place for place, one in enumerate(others, start=len(rows) - len(others)) if "quality" not in one]
    table = Table(columns, rows, chosen=[0] if winner is not None else [], refused=refused, dense=True)
    note = (
        "Students of the search within the budget that no other beats in quality, size and latency at once. Each was "
        "trained as long as what ships, from one seed and without a baseline, and deployed in the form that suits the "
        "budget best on validation. Times are told in milliseconds of the moment in which what ships was timed. What "
        "ships was chosen before, and is judged alone."
    )
    return [Panel("Pareto set", [table, Text(note)], name="pareto")]


def _form(model: Figures) -> str:
    return " ".join(str(model[key]) for key in ("runtime", "precision") if key in model)


def _figures(model: Figures, metric: Metric) -> list[Any]:
    latency = model.get("latency", {}).get("1", {})
    return [
        quality_cell(model.get("validation", {}), metric),
        quality_cell(model.get("quality", {}), metric),
        known(formatting.size, model.get("size_bytes")),
        known(formatting.milliseconds, latency.get("median_ms")),
        known(formatting.count, model.get("parameters")),
        known(formatting.count, model.get("macs")),
    ]
