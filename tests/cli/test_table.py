"""Figures on the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from attar.cli.table import models_table, panel_table, verdict_line
from attar.evidence.panel import AnyCell, Cell, Column, Table

LONG = "best single model (forest,n_estimators=128,max_features=0.5,min_samples_leaf=1,criterion=gini)"


@pytest.mark.parametrize("width", [80, 110])
def test_a_long_name_leaves_room_for_all_figures(width: int) -> None:
    model: dict[str, Any] = {
        "name": LONG,
        "quality": {"accuracy": 0.875, "interval": [0.8, 0.925]},
        "size_bytes": 2740,
        "macs": 176,
        "latency": {"1": {"median_ms": 0.0118}, "64": {"median_ms": 0.0194}},
    }
    evidence = {"name": "mine", "winner": LONG, "task": {"test": 120, "data": "mine"}, "models": [model]}
    text = io.StringIO()
    Console(width=width, file=text).print(models_table(evidence, width))
    shown = text.getvalue().replace("\xa0", " ")
    assert all(figure in shown for figure in ("87.5%", "2.74 kB", "11.8 µs", "ships"))
    assert "(forest,n_estimators=128" in shown
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize(("winner", "explained"), [("baseline", True), ("student", False)])
def test_a_baseline_that_ships_although_distillation_helped_on_test_is_explained(winner: str, explained: bool) -> None:
    ruling = {"sentence": "distillation helped", "difference": 0.1, "interval": [0.05, 0.15], "p_value": 0.01}
    kinds = {"baseline": "baseline", "student": "candidate"}
    evidence: dict[str, Any] = {
        "verdict": {**ruling, "examples": 898},
        "models": [{"name": name, "kind": kind} for name, kind in kinds.items()],
        "winner": winner,
    }
    line = verdict_line(evidence)
    assert line.startswith("On test, against the same network without a teacher: distillation helped (+10.00 points, ")
    assert ("chosen on validation, where it did not help" in line) is explained


@pytest.mark.parametrize("width", [40, 80])
def test_what_is_too_wide_stands_below_each_other_and_no_word_is_broken(width: int) -> None:
    names = ["digits-four-bits-and-pruned", "digits-ternary-of-one-seed"]
    columns: list[str | Column] = [
        "Run",
        *(Column(title=title, words=True) for title in ("Ships", "Quality", "Budget", "Data", "Task")),
    ]
    rows: list[list[AnyCell]] = [
        [name, "onnxruntime int8", Cell(text="67.7%", note="61.8 to 73.0%"), "met on validation only", *2 * ["images"]]
        for name in names
    ]
    text = io.StringIO()
    Console(width=width, file=text).print(panel_table(Table(columns, rows), width))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for word in (*names, "onnxruntime", "67.7%", "validation"):
        assert any(word in line.split() for line in lines), word


def test_a_narrow_terminal_breaks_lines_between_words() -> None:
    columns: list[str | Column] = ["Run", Column(title="Ships", words=True), "Quality"]
    quality = Cell(text="67.7%", note="F1 per example, 61.8 to 73.0%")
    table = Table(columns, [["tags", "baseline onnxruntime int8", quality]])
    text = io.StringIO()
    Console(width=40, file=text).print(panel_table(table, 40))
    lines = [line.strip() for line in text.getvalue().splitlines()]
    for whole in ("tags", "baseline", "onnxruntime", "F1 per example,", "61.8 to 73.0%"):
        assert any(whole in line for line in lines), whole
