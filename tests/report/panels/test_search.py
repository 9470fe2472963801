"""The panel of a search."""

from __future__ import annotations

from typing import Any

import pytest

from attar.evidence.panel import Beside, Chart, Folded, Legend, Panel, Table, Text
from attar.evidence.panel_json import to_json
from attar.report.panels.common import ACCURACY, Metric
from attar.report.panels.search import search


def trial(number: int, quality: float | None = 0.9, num_bytes: float = 1000.0, **rest: Any) -> dict[str, Any]:
    return {
        "number": number,
        "choices": {"family": "mlp", "hidden": [32, 16]},
        "state": "trained" if quality is not None else "over_budget",
        "quality": quality,
        "figures": {"bytes": num_bytes, "parameters": 250},
        "reason": "" if quality is not None else "Not trained: 9 kB on disk.",
        "beyond": "",
        **rest,
    }


def found(**rest: Any) -> dict[str, Any]:
    trials = [
        trial(0, 0.90, 1000.0),
        trial(1, 0.95, 3000.0),
        trial(2, 0.85, 2000.0, beyond="5 points lost"),
        trial(3, None, 9000.0),
    ]
    known = {
        "trials": trials,
        "order": [0, 1, 2],
        "frontier": [1, 0],
        "winner": 0,
        "why": "student #0 is the smallest of 2 that were found within the budget",
        "words": "Looked for by random.",
        "finalists": [
            {"number": 0, "epochs": 9, "quality": [0.91, 0.93], "beyond": ""},
            {"number": 1, "epochs": 9, "quality": [0.96], "beyond": ""},
        ],
        "limits": {"quality_loss": 0.88, "bytes": 4000.0},
        "seconds": 75.0,
        "examples": 1000,
    }
    return known | rest


def blocks_of(panels: list[Panel]) -> list[Any]:
    (panel,) = panels
    assert panel.title == "Search"
    to_json(panels)  # that it can be written
    return list(panel.blocks)


def test_without_a_search_there_is_no_panel() -> None:
    assert search({}, ACCURACY) == search({"trials": []}, ACCURACY) == []


def test_the_one_that_was_taken_comes_first_and_those_beyond_stand_back() -> None:
    blocks = blocks_of(search(found(), ACCURACY))
    first, second = blocks[:2]
    assert first.text == "Student #0 is the smallest of 2 that were found within the budget."
    assert second.text.replace("\xa0", " ") == (
        "Looked for by random. 4 proposals: 3 trained, 1 beyond the budget, not trained, in 1 min 15 s."
    )
    table = next(block for block in blocks if isinstance(block, Table))
    assert [row[0].text for row in table.rows] == ["#0", "#1", "#2", "#3"]
    assert [row[0].tag for row in table.rows] == ["taken", "finalist", "", ""]
    assert table.rows[0][0].note == "family mlp; hidden 32, 16"
    assert [row[-1] for row in table.rows] == [
        "Within the budget. Trained again, 9 epochs: 91.0%, 93.0%: within the budget.",
        "Within the budget. Trained again, 9 epochs: 96.0%: within the budget.",
        "5 points lost.",
        "Not trained: 9 kB on disk.",
    ]
    assert (table.chosen, table.refused) == ([0], [2, 3])


def test_the_chart_has_the_trained_ones_the_limits_and_the_stairs_of_the_best() -> None:
    blocks = blocks_of(search(found(), ACCURACY))
    (chart,) = next(block for block in blocks if isinstance(block, Beside)).blocks
    assert isinstance(chart, Chart)
    layers = {layer.name: list(layer.rows) for layer in chart.layers}
    assert [row["y"] for row in layers["lowest"]] == [0.88]
    assert [row["x"] for row in layers["most"]] == [4000.0]
    assert [(row["x"], row["y"]) for row in layers["frontier"]] == [(1000.0, 0.92), (3000.0, 0.96)]
    assert layers["budget"] == [{"color": "good", "x": 4000.0, "y": 0.88}]
    assert [row["name"] for row in layers["taken"]] == ["#0"]
    assert [(row["name"], row["low"], row["high"]) for row in layers["longer"]] == [
        ("#0", 0.9, 0.92),
        ("#1", 0.95, 0.96),
    ]
    assert [row["shape"] for row in layers["within"]] == ["diamond", "diamond"]
    legend = next(block for block in blocks if isinstance(block, Legend))
    assert [sign for sign, _, _ in legend.entries] == ["dot", "hollow", "ring", "diamond", "broad"]
    assert {row["text"] for layer in chart.layers if layer.mark == "labels" for row in layer.rows} == {"#0", "#1"}
    assert chart.description.replace("\xa0", " ") == (
        "3 proposals: accuracy on validation against bytes on disk. 2 within the budget. Taken: #0, 92.0% after 9 "
        "epochs, mean of 2 seeds, 1.00 kB. At most 4.00 kB is allowed. Accuracy has to be 88.0% or better."
    )
    assert [row["name"] for row in layers["beyond"]] == ["#2"]
    assert [row["name"] for row in layers["within"]] == ["#0", "#1"]


@pytest.mark.parametrize(("limit", "drawn", "side"), [(5e6, True, "right"), (50.0, False, "left"), (4e3, True, "")])
def test_a_limit_that_is_far_away_leaves_room_for_what_was_tried(limit: float, drawn: bool, side: str) -> None:
    blocks = blocks_of(search(found(limits={"bytes": limit, "quality_loss": 0.88}), ACCURACY))
    (chart,) = next(block for block in blocks if isinstance(block, Beside)).blocks
    layers = {layer.name: list(layer.rows) for layer in chart.layers}
    assert bool(layers.get("budget")) is drawn and bool(layers.get("most")) is (side == "")
    text = next(block.text for block in blocks if isinstance(block, Text) and block.text.startswith("One point"))
    assert (f"lies far to the {side} of all of them." in text) if side else ("far" not in text)


def test_other_costs_are_drawn_where_they_are_limited() -> None:
    trials = [trial(number, 0.9, 1000.0 + number, figures={"macs": 500.0 + number}) for number in range(3)]
    limited = blocks_of(search(found(trials=trials, limits={"macs": 501.0}), ACCURACY))
    (chart,) = next(block for block in limited if isinstance(block, Beside)).blocks
    assert chart.x.title == "multiply-adds of one example"


def test_of_an_error_less_is_better() -> None:
    rmse = Metric(name="rmse", title="RMSE", higher_is_better=False)
    blocks = blocks_of(search(found(), rmse))
    (chart,) = next(block for block in blocks if isinstance(block, Beside)).blocks
    frontier = next(layer for layer in chart.layers if layer.name == "frontier")
    assert [(row["x"], row["y"]) for row in frontier.rows] == [(1000.0, 0.92), (2000.0, 0.85)]
    assert next(layer for layer in chart.layers if layer.name == "budget").rows[0]["down"] == 1


def test_of_many_the_last_are_folded() -> None:
    many = [trial(number, 0.9 - number / 1000, 1000.0 + number) for number in range(15)]
    blocks = blocks_of(search(found(trials=many, order=list(range(15)), winner=3), ACCURACY))
    shown = next(block for block in blocks if isinstance(block, Table))
    assert [row[0].text for row in shown.rows[:3]] == ["#3", "#0", "#1"]
    (folded,) = (block for block in blocks if isinstance(block, Folded))
    assert folded.summary == "3 more proposals" and len(folded.blocks[0].rows) == 3


def test_nothing_trained_is_a_table_alone() -> None:
    blocks = blocks_of(search(found(trials=[trial(0, None)], order=[], frontier=[]), ACCURACY))
    assert not any(isinstance(block, Beside) for block in blocks)


def test_choices_are_written_in_one_line() -> None:
    def note(**choices: Any) -> str:
        blocks = blocks_of(search(found(trials=[trial(0, choices=choices)]), ACCURACY))
        (table,) = (block for block in blocks if isinstance(block, Table))
        return str(table.rows[0][0].note)

    assert note(a_b=1, c=[2, 3], parameters=1724) == "a b 1; c 2, 3; parameters 1,724"
    assert note(stage="removal", removed=["3", "6"]) == "stage removal; removed layers 3, 6"
    assert note(removed=[], outputs={"0": 0.9, "6": 0.5}) == "removed none; outputs 0.9x of layer 0, 0.5x of layer 6"
    assert note(arguments={"depth": 2}) == "arguments depth 2"
