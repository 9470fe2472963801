"""Where the lines of small drawings lie, worked out by hand."""

import pytest

from attar.evidence.panel import Histogram, Interval
from attar.report.drawings import histogram, interval, stems


def test_zero_is_in_the_middle_of_an_interval() -> None:
    at = interval(Interval(low=0.0107, middle=0.0148, high=0.019, words=("", "", "")))
    # +-1.9 points with 15% of air span the line, so that the difference lies at 50 + 50 * 1.48 / (1.15 * 1.90).
    assert at["middle"] == pytest.approx(50 + 50 * 1.48 / (1.15 * 1.90), abs=0.01)
    assert 50 < at["low"] < at["middle"] < at["high"] < 100


def test_values_are_drawn_from_zero() -> None:
    assert [(stem["y"], stem["height"]) for stem in stems([1.0, -2.0])] == [(25, 25), (50, 50)]


def shown(**changes: object) -> Histogram:
    of = {"title": "w", "note": "", "edges": [-1.0, 0.0, 1.0], "counts": [20, 60]} | changes
    return Histogram(**of)  # type: ignore[arg-type]


def test_marks_lie_where_they_are_among_the_values() -> None:
    at = histogram(shown(marks=[(-0.6, -0.5, -0.4, "first"), (0.5, 0.5, 0.5, "second")]))
    assert at is not None
    # From -1 at 1 to 1 at 99; the taller bin reaches the top, the other a third of the way up from 80.
    assert at["path"] == "M1.0 80V53.33H50.0V0H99.0V80Z"
    assert at["zero"] == 50
    first, second = at["marks"]
    assert (first["x"], second["x"]) == (25.5, 74.5)
    assert (first["span"]["start"], first["span"]["end"]) == pytest.approx((20.6, 30.4))
    assert second["span"] is None, "all groups agree"


def test_marks_beyond_the_values_widen_the_drawing() -> None:
    at = histogram(shown(marks=[(1.0, 2.0, 3.0, "far")]))
    assert at is not None
    assert (at["low"], at["high"]) == ("\N{MINUS SIGN}1.00", "3.00")
    assert at["marks"][0]["x"] == pytest.approx(1 + 98 * 3 / 4)


def test_points_have_a_scale_of_their_own() -> None:
    at = histogram(shown(points=[0.25, 0.75, 0.8, 1.25]))
    assert at is not None
    assert at["points"]["places"] == pytest.approx([1, 50, 54.9, 99])
    assert (at["points"]["low"], at["points"]["high"]) == ("0.250", "1.25")


@pytest.mark.parametrize(
    "changes", [{"counts": [1]}, {"counts": [0, 0]}, {"edges": [1.0, 1.0, 1.0]}, {"edges": [], "counts": []}]
)
def test_what_cannot_be_drawn_is_left_out(changes: dict[str, object]) -> None:
    assert histogram(shown(**changes)) is None
