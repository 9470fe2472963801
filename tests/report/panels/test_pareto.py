"""The table of a Pareto set."""

from __future__ import annotations

from typing import Any

from attar.evidence.panel import Cell, Table
from attar.evidence.panel_json import to_json
from attar.report.panels.common import ACCURACY
from attar.report.panels.pareto import measured, pareto_set


def other(number: int, **more: Any) -> dict[str, Any]:
    quality = {"accuracy": 0.9, "examples": 400, "interval": [0.87, 0.93]}
    return {
        "number": number,
        "runtime": "onnxruntime",
        "precision": "fp32",
        "quality": quality,
        "validation": quality | {"accuracy": 0.91},
        "size_bytes": 1000,
        "latency": {"1": {"median_ms": 0.5}},
        "parameters": 250,
        "macs": 300,
        "outcome": "met",
        "sentence": "The budget is met: 1 kB",
        "folder": f"pareto/student-{number}",
        **more,
    }


FAILED = {"number": 9, "why_not": "There was no time left for it."}


def test_without_others_there_is_no_panel() -> None:
    assert pareto_set({}, other(1), ACCURACY) == pareto_set({"pareto": []}, None, ACCURACY) == []


def test_what_ships_comes_first_then_the_others_with_their_figures_and_places() -> None:
    refused = other(5, outcome="not met", refused="it loses 4 points", sentence="The budget is not met")
    found = {"winner": 2, "pareto": [other(7), refused, FAILED]}
    panels = pareto_set(found, other(2, kind="candidate"), ACCURACY)
    to_json(panels)  # that it can be written
    table = panels[0].blocks[0]
    assert isinstance(table, Table) and (table.chosen, table.refused) == ([0], [3])
    rows = [
        [cell.text if isinstance(cell, Cell) else "" if cell is None else str(cell) for cell in row]
        for row in table.rows
    ]
    text = [[cell.replace("\xa0", " ") for cell in row] for row in rows]
    assert text[0] == ["#2", "91.0%", "90.0%", "1.00 kB", "500 µs", "250", "300", "In artifact/."]
    assert text[1][0] == "#7" and text[1][-1] == "The budget is met: 1 kB. In pareto/student-7/."
    assert text[2][-1] == "Refused: it loses 4 points. In pareto/student-5/."
    assert text[3] == ["#9", *[""] * 6, "Not measured: There was no time left for it."]
    assert measured(found) == [found["pareto"][0], refused]


def test_of_a_baseline_that_ships_it_is_said() -> None:
    table = pareto_set({"winner": 2, "pareto": [other(7)]}, other(2, kind="baseline"), ACCURACY)[0].blocks[0]
    assert isinstance(table, Table) and isinstance(table.rows[0][0], Cell)
    assert table.rows[0][0].text == "#2 trained without the teacher"
