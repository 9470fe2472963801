"""What the report shows of pruning, from what the step remembered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attar.evidence.panel import Chart, Facts, Panel, Table, Text
from attar.evidence.panel_json import from_json, to_json
from attar.pipeline.prune_panels import prune_panels, shown_cost

FACTS: dict[str, Any] = {
    "what": "latency",
    "full": 2.0,
    "target": 1.0,
    "cost": 1.01,
    "groups": [
        {"group": "0", "kind": "channels", "units": 1200, "kept": 300},
        {"group": "4", "kind": "channels", "units": 8, "kept": 0},
    ],
    "untouched": {"8": "its units are outputs of the network"},
    "course": [{"step": 10, "cost": 1.5, "units": 4}, {"step": 20, "cost": 1.01, "units": 4}],
    "judged": {"title": "accuracy", "share": True, "higher_is_better": True, "examples": 2000},
    "figure": 0.91,
    "figure_before": 0.9234,
    "epochs": [{"step": 12, "figure": 0.88}, {"step": 24, "figure": 0.9}],
    "measured": [
        {"predicted_ms": 2.0, "measured_ms": 2.0},
        {"predicted_ms": 0.9, "measured_ms": 1.0},
    ],
}


def texts(panel: Panel) -> dict[str, str]:
    """Names and values of its facts."""
    return {
        name: value.replace("\N{NO-BREAK SPACE}", " ")
        for block in panel.blocks
        if isinstance(block, Facts)
        for name, value in block.pairs
    }


def test_figures_are_for_people() -> None:
    (panel,) = prune_panels(FACTS)
    assert texts(panel) == {
        "latency at batch 1": "2.00 ms before, 1.01 ms now (0.505\N{MULTIPLICATION SIGN})",
        "asked for": "at most 1.00 ms",
        "accuracy on validation": "92.34% before, 91.00% now",
        "measured last": "1.00 ms, the prediction was 10% below",
    }
    table, measured = (block for block in panel.blocks if isinstance(block, Table))
    assert [row[:4] for row in table.rows] == [("0", "channels", "1,200", "300"), ("4", "channels", "8", "0")]
    assert measured.rows[1][3] == "\N{MINUS SIGN}10%"


def test_quality_lies_over_what_the_network_cost_at_that_time() -> None:
    (panel,) = prune_panels(FACTS)
    beside = next(block for block in panel.blocks if block.kind == "beside")
    cost, quality = (block for block in beside.blocks if isinstance(block, Chart))
    assert [(row["x"], row["y"]) for row in quality.layers[0].rows] == [
        (2.0, 0.9234),
        (1.5, 0.88),
        (1.01, 0.9),
        (1.01, 0.91),
    ]
    assert [(row["x"], row["y"]) for row in cost.layers[0].rows] == [(0, 2.0), (10, 1.5), (20, 1.01), (24, 1.01)]


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"cost": 1.3}, "The target was not reached: 1.30 ms, 30% over the 1.00 ms asked for."),
        (
            {"target": None, "asked": "at most 1 point of accuracy lost", "rounds": [], "course": [], "epochs": []},
            "Nothing could go: with one unit left in each group it would cost nearly as much. The network is "
            "as it was.",
        ),
    ],
)
def test_what_was_not_reached_comes_first(change: dict[str, Any], first: str) -> None:
    (panel,) = prune_panels({**FACTS, **change})
    assert isinstance(panel.blocks[0], Text)
    assert panel.blocks[0].text.replace("\N{NO-BREAK SPACE}", " ") == first


def test_rounds_and_sensitivity_can_be_drawn() -> None:
    groups = [{"group": str(number), "figures": [0.9, 0.5]} for number in range(25)]
    more = {
        "target": None,
        "asked": "at most 1 point of accuracy lost",
        "rounds": [{"goal": 1.6, "cost": 1.5, "score": 0.92, "figure": 0.92, "accepted": True}],
        "sensitivity": {"examples": 1000, "figure": 0.92, "shares": [0.1, 0.5], "groups": groups},
    }
    panels = prune_panels({**FACTS, **more})
    document = json.loads(json.dumps(to_json(panels)))
    assert to_json(from_json(document, "the evidence")) == document
    assert [panel.title for panel in panels] == ["Pruning", "Sensitivity by layer"]
    assert texts(panels[0])["asked for"] == "at most 1 point of accuracy lost"


def test_costs_have_their_units() -> None:
    shown = {what: shown_cost(what, 12_345.0).replace("\N{NO-BREAK SPACE}", " ") for what in ("bytes", "parameters")}  # type: ignore[arg-type]
    assert shown == {"bytes": "12.3 kB", "parameters": "12.3 k parameters"}
