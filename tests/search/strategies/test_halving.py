"""Halving: rungs by hand."""

from __future__ import annotations

import itertools

import pytest

from attar.errors import BadInput
from attar.network.spec import Spec
from attar.search.goal import Goal
from attar.search.proposal import Proposal, Trial
from attar.search.space import IntRange, Space
from attar.search.strategies.halving import Halving

SPACE = Space(
    dimensions={"width": IntRange(1, 10_000)},
    build=lambda choices: (Spec("tests:network", dict(choices)), ({"use": "distill"},)),
)
GOAL = Goal(limits=[], prefer="quality", teacher={})


def trial(number: int, proposal: Proposal) -> Trial:
    figures = {"score": float(proposal.choices["width"])}
    return Trial(number=number, proposal=proposal, state="trained", figures=figures)


def rungs_of(strategy: Halving, history: list[Trial] | None = None) -> list[list[Trial]]:
    history, rungs = history or [], []
    while batch := strategy.propose(history):
        rungs.append([trial(len(history) + place, one) for place, one in enumerate(batch)])
        history = [*history, *rungs[-1]]
    return rungs


def test_a_third_goes_on_for_twice_as_many_epochs_as_it_has_had() -> None:
    rungs = rungs_of(Halving(space=SPACE, goal=GOAL, trials=27, eta=3, epochs=2))
    assert [len(rung) for rung in rungs] == [27, 9, 3, 1]
    # 2 in all, then 6, 18 and 54.
    assert [rung[0].proposal.epochs for rung in rungs] == [2, 4, 12, 36]
    for below, rung in itertools.pairwise(rungs):
        best = sorted(below, key=lambda one: -one.proposal.choices["width"])[: len(rung)]
        assert [one.proposal.start for one in rung] == [one.proposal.key for one in best]
        assert [one.proposal.spec for one in rung] == [one.proposal.spec for one in best]
        assert all(list(one.proposal.steps) == [{"use": "distill"}] for one in rung)


def test_it_ends_after_the_rungs_it_was_given() -> None:
    assert [len(rung) for rung in rungs_of(Halving(space=SPACE, goal=GOAL, trials=8, eta=2, rungs=2))] == [8, 4]


def test_none_is_trained_for_longer_than_the_most() -> None:
    rungs = rungs_of(Halving(space=SPACE, goal=GOAL, trials=27, epochs=4, most=40))
    assert [len(rung) for rung in rungs] == [27, 9, 3, 1]
    # 4 in all, then 12 and 36, and of the 108 that would follow 40.
    assert [rung[0].proposal.epochs for rung in rungs] == [4, 8, 24, 4]
    assert [len(rung) for rung in rungs_of(Halving(space=SPACE, goal=GOAL, trials=27, epochs=4, most=12))] == [27, 9]
    assert [len(rung) for rung in rungs_of(Halving(space=SPACE, goal=GOAL, trials=27, epochs=4, most=3))] == [27]


def test_what_is_beyond_the_budget_is_drawn_for_again_and_what_failed_is_not() -> None:
    strategy = Halving(space=SPACE, goal=GOAL, trials=9)
    history = [trial(place, one) for place, one in enumerate(strategy.propose([]))]
    history[0] = Trial(number=0, proposal=history[0].proposal, state="over_budget")
    history[1] = Trial(number=1, proposal=history[1].proposal, state="failed")
    rungs = rungs_of(strategy, history)
    # One more, then a third of the eight that were trained.
    assert [len(rung) for rung in rungs] == [1, 2, 1]


def test_what_failed_on_a_rung_leaves_the_others_to_go_on() -> None:
    strategy = Halving(space=SPACE, goal=GOAL, trials=9)
    history = [trial(place, one) for place, one in enumerate(strategy.propose([]))]
    second = [trial(9 + place, one) for place, one in enumerate(strategy.propose(history))]
    second[0] = Trial(number=9, proposal=second[0].proposal, state="failed")
    rungs = rungs_of(strategy, history + second)
    assert [[one.proposal.start for one in rung] for rung in rungs] == [[second[1].proposal.key]]


def test_an_eta_of_one_would_never_end() -> None:
    with pytest.raises(BadInput, match=r"eta of the strategy halving must be at least 2; got 1. Of 3, every third"):
        Halving(space=SPACE, goal=GOAL, eta=1)
