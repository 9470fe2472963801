"""Which trials nobody beats: by hand, and against the definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.budget import Limit
from attar.network.spec import Spec
from attar.search.goal import Goal
from attar.search.pareto import beside, pareto
from attar.search.proposal import Proposal, Trial

PROPOSAL = Proposal(spec=Spec("attar.network.architectures:mlp"))


def trial(number: int, score: float, latency: float | None, size: float) -> Trial:
    figures = {"score": score, "bytes": float(size)} | ({} if latency is None else {"latency": latency})
    return Trial(number=number, proposal=PROPOSAL, state="trained", figures=figures)


def test_by_hand() -> None:
    trials = [
        trial(0, 0.9, 2.0, 100),
        trial(1, 0.9, 1.0, 100),  # beats 0
        trial(2, 0.8, 1.0, 100),  # beaten by 1
        trial(3, 0.8, 1.0, 50),
        trial(4, 0.95, None, 100),  # the best score; what was not measured counts as worst
        trial(5, 0.8, 1.0, 50),  # as 3 is
        Trial(number=6, proposal=PROPOSAL, state="over_budget", figures={"bytes": 1.0}),
    ]
    assert [one.number for one in pareto(trials)] == [4, 1, 3]


def student(number: int, score: float, size: float, hidden: int | None = None) -> Trial:
    proposal = Proposal(spec=Spec("attar.network.architectures:mlp", {"hidden": [hidden or number]}))
    return Trial(number=number, proposal=proposal, state="trained", figures={"score": score, "bytes": size})


LADDER = [student(number, 0.5 + number / 20, 100.0 * number) for number in range(1, 8)]
"""None beats another: the better a student is, the larger."""


@pytest.mark.parametrize(
    ("taken", "count", "chosen"),
    [
        (1, 2, [7, 4]),  # the other end, then the middle of what is left
        (4, 2, [7, 1]),  # both ends
        (7, 1, [1]),
        (4, 0, []),
        (2, 9, [7, 5, 1, 3, 4, 6]),  # all of them
    ],
)
def test_those_beside_what_was_taken_are_far_from_it_and_from_each_other(
    taken: int, count: int, chosen: list[int]
) -> None:
    goal = Goal(limits=(), prefer="bytes", teacher={})
    found = beside(LADDER, LADDER[taken - 1], goal, count)
    assert sorted(one.number for one in found) == sorted(chosen)
    assert [one.number for one in found[:2]] == chosen[:2]


def test_beside_what_was_taken_is_no_trial_beyond_the_budget_nor_the_same_student() -> None:
    goal = Goal(limits=(Limit("bytes", 500.0),), prefer="bytes", teacher={})
    again = student(9, 0.99, 300.0, hidden=3)
    # What was taken, trained for longer, beats all that are larger.
    assert {one.number for one in beside([*LADDER, again], LADDER[2], goal, 9)} == {1, 2}
    assert {one.number for one in beside(LADDER, LADDER[2], goal, 9)} == {1, 2, 4, 5}
    assert beside(LADDER, LADDER[6], Goal(limits=(Limit("bytes", 9.0),), prefer="bytes", teacher={}), 2) == []


few = st.integers(0, 3).map(float)
some = st.lists(st.tuples(few, few | st.none(), few | st.just(math.nan)), max_size=16)


@settings(max_examples=80)
@given(some)
def test_it_is_what_the_definition_says(drawn: list[tuple[float, float | None, float]]) -> None:
    trials = [trial(number, *figures) for number, figures in enumerate(drawn)]

    def figures(one: Trial) -> tuple[float, ...]:
        given = (-one.figures["score"], one.figures.get("latency", math.inf), one.figures["bytes"])
        return tuple(math.inf if math.isnan(value) else value for value in given)

    def beats(other: Trial, one: Trial) -> bool:
        its, of = figures(other), figures(one)
        return its != of and all(value <= least for value, least in zip(its, of, strict=True))

    unbeaten = [one for one in trials if not any(beats(other, one) for other in trials)]
    first = [one for one in unbeaten if not any(figures(one) == figures(other) for other in trials[: one.number])]
    assert [one.number for one in pareto(trials)] == [one.number for one in sorted(first, key=figures)]
