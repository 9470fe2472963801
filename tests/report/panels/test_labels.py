"""Names beside points of a chart: none on another, whatever the points."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from attar.report.panels.labels import names


def point(x: float, y: float, text: str, **more: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "text": text, "color": "student", **more}


def shown(wanted: list[dict[str, Any]], rows: list[dict[str, Any]] | None = None) -> dict[str, tuple[str, bool]]:
    """How each name lies."""
    layers = names(wanted, wanted if rows is None else rows)
    return {str(row["text"]): (str(row["align"]), bool(row["under"])) for layer in layers for row in layer.rows}


def test_far_from_each_other_all_are_above_their_points_and_away_from_the_edges() -> None:
    assert shown([point(1.0, 0.1, "a"), point(10.0, 0.5, "b"), point(100.0, 0.9, "c")]) == {
        "a": ("left", False),
        "b": ("center", False),
        "c": ("right", False),
    }


def test_of_two_in_one_place_the_less_important_one_is_under_it_and_not_all_of_many_have_room() -> None:
    same = [point(10.0, 0.5, f"#{number}") for number in range(9)]
    found = shown(same, [*same, point(1.0, 0.1, ""), point(100.0, 0.9, "")])
    assert found["#0"] == ("center", False) and found["#1"] == ("center", True)
    assert len(found) < 9


def test_a_name_is_beyond_the_ends_of_its_whisker() -> None:
    (layer,) = names([point(1.0, 0.5, "a", low=0.3, high=0.8)], [point(1.0, 0.5, "a", low=0.3, high=0.8)])
    assert [(row["x"], row["y"]) for row in layer.rows] == [(1.0, 0.8)]


def test_without_points_there_is_no_name() -> None:
    assert names([], []) == []


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(1.0, 1e6), st.floats(0.0, 1.0)), min_size=1, max_size=12))
def test_each_point_has_one_name_at_most_and_the_first_always_has_one(places: list[tuple[float, float]]) -> None:
    points = [point(x, y, f"#{number}") for number, (x, y) in enumerate(places)]
    texts = [str(row["text"]) for layer in names(points, points) for row in layer.rows]
    assert len(texts) == len(set(texts)) and "#0" in texts


def test_a_long_name_stays_in_the_chart_and_none_lies_on_the_axis() -> None:
    rows = [
        point(1.0, 0.5, ""),
        point(1.5, 0.0, "four bits, then pruned"),
        point(1.5, 0.0, "another"),
        point(10.0, 1.0, ""),
    ]
    found = shown(rows[1:3], rows)
    assert found == {"four bits, then pruned": ("left", False), "another": ("right", False)}
