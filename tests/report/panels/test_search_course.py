"""The panel of how a search went."""

from __future__ import annotations

from typing import Any

from attar.evidence.panel import Beside, Chart, Panel, Text
from attar.evidence.panel_json import to_json
from attar.report.panels.common import ACCURACY, Metric
from attar.report.panels.search_course import course


def trial(number: int, quality: float, num_bytes: float, beyond: str = "") -> dict[str, Any]:
    return {
        "number": number,
        "state": "trained",
        "quality": quality,
        "figures": {"bytes": num_bytes},
        "beyond": beyond,
    }


TRIALS = [
    trial(0, 0.95, 9000.0, beyond="4 kB too many"),
    trial(1, 0.80, 4000.0),
    {"number": 2, "state": "over_budget", "figures": {"bytes": 9e9}},
    trial(3, 0.70, 3000.0),
    trial(4, 0.90, 3500.0),
    trial(5, 0.60, 3900.0),
]

RECORDS = [
    {
        "stage": "removal",
        "iteration": 0,
        "rewards": [0.5, -1.0],
        "compression": [2.0, None],
        "invalid": ["It is no network."],
    },
    {"stage": "removal", "iteration": 1, "rewards": [0.7, None], "compression": [4.0, None], "invalid": []},
    {"stage": "shrinkage", "iteration": 0, "rewards": [0.9, 0.8], "compression": [8.0, 16.0], "invalid": []},
]


def charts_of(panels: list[Panel]) -> list[Chart]:
    (panel,) = panels
    to_json(panels)  # that it can be written
    found = [one for block in panel.blocks if isinstance(block, Beside) for one in block.blocks]
    return [one for one in found if isinstance(one, Chart)]


def layer(chart: Chart, name: str) -> list[tuple[Any, Any]]:
    return [(row["x"], row["y"]) for one in chart.layers if one.name == name for row in one.rows]


def test_without_a_search_or_with_one_trial_there_is_no_panel() -> None:
    assert course({}, ACCURACY) == course({"trials": TRIALS[:1]}, ACCURACY) == []


def test_the_best_so_far_is_that_of_those_within_the_budget_and_goes_on_to_the_end() -> None:
    (chart,) = charts_of(course({"trials": TRIALS, "prefer": "quality"}, ACCURACY))
    assert layer(chart, "best") == [(2, 0.80), (5, 0.90), (6, 0.90)]
    assert layer(chart, "beyond") == [(1, 0.95)]
    assert layer(chart, "within") == [(2, 0.80), (4, 0.70), (5, 0.90), (6, 0.60)]
    assert chart.description.endswith("The first within the budget is #1 with 80.0%, the best #4 with 90.0%.")


def test_a_gap_among_the_proposals_is_explained_where_there_is_one() -> None:
    def notes(trials: list[dict[str, Any]]) -> list[str]:
        (panel,) = course({"trials": trials}, ACCURACY)
        return [block.text for block in panel.blocks if isinstance(block, Text)]

    said = "One point per proposal that was trained, in their order"
    assert notes(TRIALS) == [f"{said}; a gap is one that was not."]
    assert notes(TRIALS[:2]) == [f"{said}."]


def test_what_is_preferred_has_a_chart_of_its_own() -> None:
    _, chart = charts_of(course({"trials": TRIALS, "prefer": "bytes"}, ACCURACY))
    assert layer(chart, "best") == [(2, 4000.0), (4, 3000.0), (6, 3000.0)]


def test_of_an_error_the_least_is_the_best() -> None:
    rmse = Metric(name="rmse", title="RMSE", higher_is_better=False)
    (chart,) = charts_of(course({"trials": TRIALS}, rmse))
    assert layer(chart, "best") == [(2, 0.80), (4, 0.70), (6, 0.60), (6, 0.60)]


def test_where_none_is_within_the_budget_there_is_no_line() -> None:
    beyond = [{**one, "beyond": "too large"} for one in TRIALS]
    (chart,) = charts_of(course({"trials": beyond}, ACCURACY))
    assert layer(chart, "best") == [] and chart.description.endswith("No proposal was within the budget.")


def test_rewards_and_compression_of_both_stages_go_on_one_after_the_other() -> None:
    panels = course({"course": RECORDS}, ACCURACY)
    reward, compression = charts_of(panels)
    assert layer(reward, "rollouts") == [(1, 0.5), (2, -1.0), (3, 0.7), (4, 0.9), (5, 0.8)]
    # Means of each and those before it, anew in each stage; what nobody came to is left out.
    assert [(x, round(y, 3)) for x, y in layer(reward, "means")] == [
        (1, 0.5),
        (2, -0.25),
        (3, 0.067),
        (4, 0.9),
        (5, 0.85),
    ]
    assert layer(compression, "rollouts") == [(1, 2.0), (3, 4.0), (4, 8.0), (5, 16.0)]
    text = next(block.text for block in panels[0].blocks if isinstance(block, Text) and block.style == "note")
    assert text.startswith("Removal: 3 rollouts in 2 updates; shrinkage: 2 rollouts in 1 update. 1 rollout led to no ")


def test_of_many_rollouts_few_enough_are_drawn_and_the_last_one_is() -> None:
    many = [
        {"stage": "removal", "iteration": place, "rewards": [0.1] * 5, "compression": [2.0] * 5} for place in range(700)
    ]
    reward, _ = charts_of(course({"course": many}, ACCURACY))
    points, means = layer(reward, "rollouts"), layer(reward, "means")
    assert 500 <= len(points) <= 1000 and 150 <= len(means) <= 300 and points[-1][0] == means[-1][0] == 3500
