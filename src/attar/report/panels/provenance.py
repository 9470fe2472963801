"""Where it all comes from: warnings, how to use what ships, what was done when, machine, versions, recipe."""

from __future__ import annotations

from collections.abc import Sequence

import tomli_w

from attar import formatting
from attar.evidence.panel import AnyCell, Beside, Cell, Column, Facts, Folded, Items, Panel, Stack, Table, Text
from attar.report.panels.common import Figures, fact_lines


def warnings(sentences: Sequence[str]) -> list[Panel]:
    """What a reader has to be warned of; the head of the page leads there."""
    return [Panel("Warnings", [Items(sentences, alerts=True)], name="warnings")] if sentences else []


def use(how_to_load: str | None, without_attar: str | None = None) -> list[Panel]:
    """How to run what ships, as lines of code.

    Args:
        how_to_load: With Attar.
        without_attar: With the runtime and NumPy alone; None where only Attar can.
    """
    programs = (("With Attar", how_to_load), ("Without Attar", without_attar))
    found = [Stack([Text(title, "heading"), Text(code, "code")]) for title, code in programs if code]
    return [Panel("Use it", [Beside(found)], name="use")] if found else []


def stages(found: Sequence[Figures]) -> list[Panel]:
    """What was done, and how long it took."""
    if not found:
        return []
    taken = [stage.get("seconds") or 0.0 for stage in found]
    longest = max(taken) or 1.0
    rows: list[list[AnyCell]] = [
        [
            stage.get("name"),
            formatting.seconds(stage["seconds"]) if "seconds" in stage else None,
            Cell(bar=seconds / longest),
            Cell(text="reused", tone="faint") if stage.get("reused") else "",
        ]
        for stage, seconds in zip(found, taken, strict=True)
    ]
    columns = [Column(title="Stage"), Column(title="Time"), Column(ends=("", "")), Column(words=True)]
    return [Panel("Stages", [Table(columns, rows, [["Total", formatting.seconds(sum(taken)), "", ""]])])]


def machine(facts: Figures) -> list[Panel]:
    """On what it ran."""
    return [Panel("Machine and versions", [Facts(fact_lines(facts))])] if facts else []


def recipe(resolved: Figures) -> list[Panel]:
    """What was asked, every default written out."""
    if not resolved:
        return []
    text = Text(tomli_w.dumps(resolved), "code")
    return [Panel("Recipe", [Folded("The resolved recipe, every default written out", [text])])]
