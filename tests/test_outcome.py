"""What becomes of limits and of a whole budget, on figures that were worked by hand."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.budget import Limit, Score, What
from attar.outcome import Outcome, Reached, overall, says_something, sentence

KINDS = st.sampled_from(get_args(What))
AMOUNTS = st.floats(1e-6, 1e12)


def plainly(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_exactly_a_share_of_a_large_amount_is_within() -> None:
    assert Limit("bytes", 0.29, relative=True).keeps(29e6, 1e8), "0.29 * 1e8 is a little less in floats"
    assert not Limit("bytes", 0.29, relative=True).keeps(29e6 + 1, 1e8)


@given(KINDS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_what_is_kept_and_what_is_not_are_said_apart(what: What, amount: float, found: float, teacher: float) -> None:
    limit = Limit(what, min(amount, 1.0) if what == "quality_loss" else amount)
    outcome = Reached(limit=limit, teacher=teacher, found=found).outcome
    assert outcome == (
        "met" if found <= limit.amount or math.isclose(found, limit.amount, rel_tol=1e-12, abs_tol=1e-12) else "not met"
    )
    assert limit.keeps(limit.at(teacher), teacher), "exactly what was asked is within"
    assert not limit.keeps(None, teacher)
    assert not Limit(what, amount, relative=True).keeps(found, None)


def test_a_limit_bounds_something_below_half_of_what_the_teacher_knows_beyond_guessing() -> None:
    assert says_something(Limit.read("quality_loss", "19%"), 0.9, constant=0.5)
    assert not says_something(Limit.read("quality_loss", "21%"), 0.9, constant=0.5)
    assert not says_something(Limit.read("quality_loss", "1%"), 0.5, constant=0.5)
    assert not says_something(Limit.read("quality_loss", "0.5x"), 0.9, constant=0.1)


@pytest.mark.parametrize(
    ("outcomes", "whole"),
    [
        (["met", "met"], "met"),
        (["met", "met on validation only"], "met on validation only"),
        (["met on validation only", "not met"], "not met"),
        ([None, "met"], None),
        ([None, "not met"], "not met"),
    ],
)
def test_a_budget_is_as_good_as_its_worst_limit(outcomes: list[Outcome | None], whole: Outcome | None) -> None:
    assert overall(outcomes) == whole
    assert overall(outcomes, refused=True) == "not met"


def test_each_outcome_has_a_sentence_with_its_figures() -> None:
    loss = Reached(limit=Limit.read("quality_loss", "2%"), teacher=0.9, found=0.019, spread=0.018, test=0.0152)
    size = Reached(limit=Limit.read("bytes", "50 kB"), teacher=1e6, found=61_200.0)
    small = Reached(limit=Limit.read("bytes", "0.05x"), teacher=1e6, found=40_000.0)
    assert plainly(sentence([loss, small], "met")) == (
        "The budget is met: 1.9 ± 1.8 points of accuracy lost on validation, 1.5 on test, of at most 2 points; "
        "40.0 kB on disk, of at most 50.0 kB (0.05x the teacher's)."
    )
    assert plainly(sentence([loss, size], "not met")) == (
        "The budget is not met: 61.2 kB on disk, 11.2 kB over the 50 kB that were asked for."
    )
    worse = Reached(limit=loss.limit, teacher=0.9, found=0.019, spread=0.018, test=0.053)
    assert sentence([worse, small], "met on validation only", Score("F1")) == (
        "The budget is met on validation (1.9 ± 1.8 points of F1 lost), not on test (5.3): 2 points may be lost."
    )
    row = worse.to_json()
    assert (row["limit"], row["outcome"], row["reached"], row["on_test"]) == (
        "quality_loss",
        "met on validation only",
        "1.9 ± 1.8 points",
        "5.3 points",
    )
