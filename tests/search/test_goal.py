"""What a search is after: shares beyond limits, and the order of trials, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from attar.budget import Limit, Prefer, Score
from attar.search.goal import Goal
from attar.search.proposal import Proposal, State, Trial

LOSS, SIZE, TIME = Limit("quality_loss", 0.05), Limit("bytes", 1000.0), Limit("latency", 0.5, relative=True)
GOAL = Goal(limits=(LOSS, SIZE, TIME), prefer="bytes", teacher={"quality_loss": 0.8, "latency": 4.0})
"""At most 5 points lost of the teacher's 80%, 1000 bytes, and half of the teacher's 4 ms."""

WITHIN = {"score": 0.78, "quality_loss": 0.02, "bytes": 900.0, "latency": 2.0}


@pytest.mark.parametrize(
    ("limit", "figures", "share"),
    [
        (SIZE, {"bytes": 1000.0}, 0.0),  # exactly what was asked is within
        (SIZE, {"bytes": 1500.0}, 0.5),
        (SIZE, {}, math.inf),
        (SIZE, {"bytes": math.nan}, math.inf),
        (TIME, {"latency": 2.0}, 0.0),
        (TIME, {"latency": 3.0}, 0.5),  # 2 ms are allowed
        (LOSS, {"quality_loss": 0.05}, 0.0),
        (LOSS, {"quality_loss": 0.09}, 0.05),  # 4 points beyond are a twentieth of 80%
        (LOSS, {"quality_loss": -0.1}, 0.0),
    ],
)
def test_the_share_by_which_a_limit_is_broken(limit: Limit, figures: Mapping[str, float], share: float) -> None:
    assert GOAL.excess(limit, figures) == pytest.approx(share, abs=1e-12)


def test_a_limit_that_hangs_on_what_is_not_known_of_the_teacher_is_kept_by_nobody() -> None:
    goal = Goal(limits=(TIME,), prefer="bytes", teacher={})
    assert goal.beyond({"latency": 0.001}) == {TIME: math.inf}


def test_of_an_error_a_loss_is_a_share_of_the_teachers() -> None:
    limit = Limit.read("quality_loss", "10%").of(Score("RMSE", points=False))
    goal = Goal(limits=(limit,), prefer="bytes", teacher={"quality_loss": -2.0}, score=Score("RMSE", points=False))
    assert goal.beyond({"quality_loss": 0.2}) == {}
    assert goal.beyond({"quality_loss": 0.3}) == {limit: pytest.approx(0.05)}  # 0.1 beyond, of the teacher's 2


def test_the_limit_that_is_broken_most_comes_first() -> None:
    found = GOAL.beyond({"quality_loss": 0.13, "bytes": 1200.0, "latency": 8.0})
    assert list(found) == [TIME, SIZE, LOSS]
    assert list(found.values()) == pytest.approx([3.0, 0.2, 0.1])


def test_what_is_still_to_come_breaks_nothing_yet() -> None:
    """A figure that is missing breaks its limit where all is known, and none where others are still measured."""
    assert list(GOAL.beyond({"bytes": 900.0})) == [LOSS, TIME]
    assert GOAL.beyond({"bytes": 900.0}, so_far=True) == {} and GOAL.worst({"bytes": 900.0}) == 0
    assert list(GOAL.beyond({"bytes": 1100.0}, so_far=True)) == [SIZE]
    assert GOAL.worst({"bytes": 1100.0, "latency": 3.0}) == pytest.approx(0.5)
    assert GOAL.worst({}) == 0


Make = Callable[..., Proposal]


def trial(proposal: Make, number: int, state: State = "trained", **figures: float) -> Trial:
    known: Mapping[str, Any] = WITHIN | figures if state == "trained" else figures
    return Trial(number=number, proposal=proposal(number + 1), state=state, figures=known)


def test_trials_in_their_order(proposal: Make) -> None:
    wanted = [
        trial(proposal, 4, bytes=100.0),  # within, and the smallest
        trial(proposal, 2, score=0.79, quality_loss=0.01),  # within, as large as the next, and better
        trial(proposal, 0),
        trial(proposal, 1, bytes=1100.0),  # a tenth beyond
        trial(proposal, 5, latency=2.6),  # three tenths
        trial(proposal, 3, latency=2.6, score=0.77, quality_loss=0.03),  # likewise, and worse
        trial(proposal, 8, "over_budget", bytes=1001.0),  # never trained, and hardly beyond
        trial(proposal, 6, "over_budget", bytes=5000.0),
        trial(proposal, 7, "failed"),
        trial(proposal, 9, "skipped"),
    ]
    assert sorted(sorted(wanted, key=lambda one: one.number), key=GOAL.rank) == wanted
    assert GOAL.best(sorted(wanted, key=lambda one: one.number)) is wanted[0]
    assert GOAL.best(wanted[6:]) is None


@pytest.mark.parametrize(("prefer", "best"), [("bytes", 0), ("latency", 1), ("quality", 2)])
def test_of_those_within_it_is_the_preferred_one(prefer: Prefer, best: int, proposal: Make) -> None:
    trials = [
        trial(proposal, 0, bytes=10.0),
        trial(proposal, 1, latency=0.1),
        trial(proposal, 2, score=0.9, quality_loss=-0.1),
        trial(proposal, 3, score=0.99, bytes=2000.0),  # beyond
    ]
    goal = Goal(limits=GOAL.limits, prefer=prefer, teacher=GOAL.teacher)
    assert goal.best(trials) is trials[best]


def test_of_equals_the_first_is_the_best(proposal: Make) -> None:
    trials = [trial(proposal, 0), trial(proposal, 1)]
    assert GOAL.best(trials) is trials[0]


def test_a_score_that_is_no_number_is_the_worst_of_those_within(proposal: Make) -> None:
    goal = Goal(limits=(), prefer="quality", teacher={})
    nan = float("nan")
    for order in (0.1, nan), (nan, 0.1):
        trials = [trial(proposal, number, score=score) for number, score in enumerate(order)]
        found = goal.best(trials)
        assert found is not None and found.score == 0.1
