"""What the runs of a study come to: finding, chart and table, from made-up figures."""

from __future__ import annotations

from typing import Any

from attar.evidence.panel import Cell, Chart, Column, Stack, Text
from attar.report import study_runs


def run(name: str, size: int, accuracy: float, outcome: str | None = "met", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.replace("-", " ").capitalize(),
        "outcome": outcome,
        "metric": {"name": "accuracy", "title": "accuracy", "unit": "share", "higher_is_better": True},
        "ships": {"name": "PyTorch, float32", "size_bytes": size, "quality": {"accuracy": accuracy, "examples": 1000}},
        "teacher": {"name": "Teacher", "size_bytes": 100_000, "quality": {"accuracy": 0.98, "examples": 1000}},
        "smaller": 100_000 / size,
        "faster": 2.0,
        **more,
    }


RUNS = [run("only-pruned", 10_000, 0.95), run("in-four-bits", 2_000, 0.91), run("tiny", 500, 0.4, "not met")]


def test_the_finding_names_the_smallest_and_the_best_within_the_budget() -> None:
    found = study_runs.finding(RUNS)
    assert (
        found.startswith("Smallest within its budget: In four bits, 2")
        and "(50.0\N{MULTIPLICATION SIGN} smaller than its teacher)" in found
    )
    assert "Highest accuracy on test: Only pruned, 10" in found and "95.0% against 98.0%" in found
    assert found.endswith("1 of 3 runs did not keep within the budget.") and "Tiny" not in found


def test_one_that_is_both_is_named_once() -> None:
    assert study_runs.finding([RUNS[0], run("worse", 20_000, 0.9)]).startswith("Smallest, and best: Only pruned,")


def test_without_figures_there_is_neither_a_finding_nor_a_chart() -> None:
    old = [{"name": "old", "headline": "9x smaller.", "outcome": None}]
    assert study_runs.finding(old) == "" and study_runs.chart(old) == []
    heads = [one.title if isinstance(one, Column) else one for one in study_runs.table(old).columns]
    assert heads == ["Run", "Result", "Outcome", "Report"]


def test_a_chart_has_each_run_and_a_teacher_once() -> None:
    (stack,) = study_runs.chart(RUNS)
    assert isinstance(stack, Stack)
    (chart,) = (block for block in stack.blocks if isinstance(block, Chart))
    points = {row["name"]: row["x"] for layer in chart.layers if layer.mark == "points" for row in layer.rows}
    assert points == {"Only pruned": 10_000.0, "In four bits": 2_000.0, "Tiny": 500.0, "teacher": 100_000.0}
    named = [row["text"] for layer in chart.layers if layer.mark == "labels" for row in layer.rows]
    assert set(named) >= {"In four bits", "Only pruned", "teacher"}


def test_a_run_far_below_is_at_the_lower_edge_of_all_that_is_drawn() -> None:
    runs = [run("good", 10_000, 0.95), run("fair", 9_000, 0.93, "not met"), run("bad", 500, 0.1, "not met")]
    (stack,) = study_runs.chart(runs)
    assert isinstance(stack, Stack)
    (chart,) = (block for block in stack.blocks if isinstance(block, Chart))
    points = {row["name"]: row for layer in chart.layers if layer.mark == "points" for row in layer.rows}
    assert points["Bad"]["shape"] == "triangle-down" and points["Fair"]["shape"] == "circle"
    drawn = [row[key] for row in points.values() for key in ("y", "low", "high") if row[key] is not None]
    assert points["Bad"]["y"] == min(drawn)
    (note,) = (block.text for block in stack.blocks if isinstance(block, Text))
    assert note.endswith("Runs far below all others are drawn as triangles at the lower edge.")


def test_figures_are_columns_and_sentences_stay_where_there_are_none() -> None:
    table = study_runs.table([*RUNS, {"name": "stopped", "headline": "Ran out of time.", "outcome": None}])
    heads = [one.title if isinstance(one, Column) else one for one in table.columns]
    assert heads[1:6] == ["Ships", "Accuracy", "Teacher", "Size", "Smaller"] and "Result" in heads
    texts = [[one.text if isinstance(one, Cell) else one for one in row] for row in table.rows]
    assert (
        texts[1][:3] == ["In four bits", "PyTorch, float32", "91.0%"] and texts[1][5] == "50.0\N{MULTIPLICATION SIGN}"
    )
    assert texts[3][0] == "stopped" and "Ran out of time." in texts[3]
