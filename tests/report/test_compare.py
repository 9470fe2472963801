"""Runs side by side: the figures of each row, and what is said where figures cannot be compared."""

import copy
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from attar.cli.main import run as attar
from attar.cli.table import panel_table
from attar.errors import BadInput
from attar.evidence.panel import Cell, Chart, Table
from attar.records import to_text
from attar.report.compare import Comparison

ACCURACY = {"name": "accuracy", "title": "accuracy", "higher_is_better": True, "unit": "share"}
ERROR = {"name": "rmse", "title": "RMSE", "higher_is_better": False, "unit": "target"}
RUN: dict[str, Any] = {
    "name": "digits",
    "task": {"use": "classification", "data": "digits", "test": 400, "classes": ["0", "1"], "metrics": [ACCURACY]},
    "models": [
        {
            "name": "onnxruntime fp32",
            "quality": {"accuracy": 0.925, "interval": [0.895, 0.95], "examples": 400},
            "size_bytes": 13_400,
            "latency": {"1": {"median_ms": 0.025}},
        }
    ],
    "winner": "onnxruntime fp32",
    "verdict": {"sentence": "distillation helped", "difference": 0.115, "interval": [0.09, 0.14], "examples": 400},
    "ratios": {"smaller": 20.0, "faster_batch1": {"ratio": 4.0}},
    "machine": {"cpu": "one"},
    "budget": {"outcome": "met"},
}


def changed(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(RUN) | changes


def texts(table: Table) -> list[list[tuple[str, str]]]:
    cells = [[cell if isinstance(cell, Cell) else Cell(text=str(cell)) for cell in row] for row in table.rows]
    return [[(cell.text.replace("\xa0", " "), cell.note.replace("\xa0", " ")) for cell in row] for row in cells]


def test_a_row_has_what_ships_and_its_figures() -> None:
    found = Comparison({"a": RUN, "b": changed(budget={"outcome": "not met"}, verdict=None, name="b")})
    assert texts(found.table) == [
        [
            ("a", "digits"),
            ("onnxruntime fp32", ""),
            ("92.5%", "89.5 to 95.0%"),
            ("+11.5", "+9.0 to +14.0"),
            ("13.4 kB", "0.05\N{MULTIPLICATION SIGN}"),
            ("25.0 µs", "0.25\N{MULTIPLICATION SIGN}"),
            ("met", ""),
        ],
        [
            ("b", ""),
            ("onnxruntime fp32", ""),
            ("92.5%", "89.5 to 95.0%"),
            ("\N{EN DASH}", "no baseline"),
            ("13.4 kB", "0.05\N{MULTIPLICATION SIGN}"),
            ("25.0 µs", "0.25\N{MULTIPLICATION SIGN}"),
            ("not met", ""),
        ],
    ]
    assert found.warnings == []
    partly = changed(budget={"outcome": "met on validation only"})
    assert Comparison({"a": partly}).table.rows[0][-1] == Cell(text="met on validation only", tone="partly")
    tones = [[cell.tone for cell in row if isinstance(cell, Cell)][-1] for row in found.table.rows]
    assert tones == ["good", "bad"]


def test_other_data_other_figures_and_other_machines_are_named() -> None:
    letters = changed(task=RUN["task"] | {"data": "letter"}, machine={"cpu": "two"})
    data, machines = Comparison({"a": RUN, "b": RUN, "c": letters}).warnings
    assert data == (
        "The runs are of different data: a, b have digits with 2 classes, 400 test examples; c has letter with 2 "
        "classes, 400 test examples. Their qualities cannot be compared."
    )
    assert machines.endswith("compare their ratios, not their times.")
    prices = changed(task={"data": "prices", "metrics": [ERROR]})
    found = Comparison({"a": RUN, "b": prices})
    assert found.warnings[0].startswith("The runs are judged by different figures: a has accuracy; b has RMSE.")
    assert not any(isinstance(block, Chart) for panel in found.panels for block in panel.blocks)


def test_a_metric_that_is_no_share_is_no_percentage() -> None:
    quality = {"rmse": 1.2345, "interval": [1.1, 1.4], "examples": 400}
    models = [RUN["models"][0] | {"quality": quality}]
    found = Comparison({"a": changed(task={"data": "prices", "metrics": [ERROR]}, models=models)})
    assert texts(found.table)[0][2] == ("1.234", "1.100 to 1.400")


def test_what_ships_is_drawn_against_its_size() -> None:
    (chart,) = (
        block for panel in Comparison({"a": RUN, "b": RUN}).panels for block in panel.blocks if isinstance(block, Chart)
    )
    assert [(row["run"], row["x"], row["y"]) for row in chart.layers[1].rows] == [
        ("a", 13_400, 0.925),
        ("b", 13_400, 0.925),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": 7}, "models in the evidence of 'a' cannot be compared"),
        ({"models": [{"quality": 1}]}, r"models\.0\.name in the evidence of 'a'"),
        ({"winner": None}, "winner in the evidence of 'a'"),
        ({"ratios": {"smaller": "x"}}, r"ratios\.smaller in the evidence"),
    ],
)
def test_evidence_of_another_form_is_refused_in_one_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Comparison({"a": changed(**changes)})


def test_the_table_fits_a_narrow_terminal() -> None:
    text = io.StringIO()
    Console(width=80, file=text).print(panel_table(Comparison({"runs/digits": RUN}).table))
    lines = [line.split() for line in text.getvalue().replace("\xa0", " ").splitlines()]
    assert max(map(len, text.getvalue().splitlines())) <= 80
    # Too wide for one line: the columns stand below each other, and no word is broken.
    assert ["Accuracy", "92.5%"] in [line[:2] for line in lines]
    assert ["Gain", "+11.5"] in [line[:2] for line in lines]
    assert ["Budget", "met"] in lines


def test_the_verb_prints_the_table_and_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "evidence.json").write_text(to_text(RUN))
    folders = [str(tmp_path / name) for name in ("first", "second")]
    page = tmp_path / "compared.html"
    assert attar(["compare", *folders, "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "first" in printed and "second" in printed and "92.5%" in printed
    assert "2 runs side by side" in page.read_text(encoding="utf-8")
    assert attar(["compare", folders[0], str(tmp_path)]) == 2
    assert "is not the folder of a finished run" in capsys.readouterr().err
