"""The best are trained again, several times: who wins by their means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from attar.errors import BadInput
from attar.search.finalists import finalists
from attar.search.goal import Goal
from attar.search.pool import Here
from attar.search.proposal import Proposal
from attar.search.search import search
from attar.search.time_limit import TimeLimit

Make = Callable[..., Proposal]


def test_the_best_are_trained_for_longer_with_each_seed(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    given = [proposal(10), proposal(10, 2), proposal(4), proposal(20), proposal(300), proposal(30)]
    trials = search(batches(given), fake, goal).trials
    fake.evaluated.clear()
    found = finalists(trials, fake, goal, epochs=3, count=2, seeds=3)
    assert fake.evaluated == [10, 20, 10, 20, 10, 20]  # each width once, however long it was trained
    assert [one.trial.number for one in found] == [0, 3]
    assert [(one.proposal.epochs, one.proposal.seed) for one in found[0].again] == [(3, 1), (3, 2), (3, 3)]
    assert found[0].figures["score"] == pytest.approx(0.902) and found[0].spread == pytest.approx(0.001)
    assert found[0].proposal.epochs == 3


def test_no_training_of_the_search_counts_and_those_that_went_on_begin_where_the_first_of_them_did(
    fake: Any, batches: Any, proposal: Make, goal: Goal
) -> None:
    first, other = replace(proposal(10), start="teacher"), proposal(20, 5)
    second = replace(proposal(10, 2), start=first.key)
    third = replace(proposal(10, 6), start=second.key)
    child = replace(proposal(30), start=third.key)  # another student, which has begun with the weights of this one
    trials = search(batches([first, other], [second], [third], [child]), fake, goal).trials
    found = finalists([*trials[2:], *trials[:2]], fake, goal, epochs=5, count=3, seeds=2)
    again = {one.trial.proposal.choices["width"]: [other.proposal for other in one.again] for one in found}
    assert [(one.epochs, one.seed, one.start) for one in again[10]] == [(5, 1, "teacher"), (5, 2, "teacher")]
    assert [(one.epochs, one.seed, one.start) for one in again[20]] == [(5, 1, None), (5, 2, None)]
    assert [(one.epochs, one.seed, one.start) for one in again[30]] == [(5, 1, third.key), (5, 2, third.key)]
    assert not {one.key for every in again.values() for one in every} & {one.proposal.key for one in trials}
    (longest,) = finalists(trials[3:4], fake, goal, epochs=5, count=1, seeds=1)
    assert (longest.proposal.epochs, longest.proposal.start) == (6, second.key), "the others are not known"


def test_one_that_is_within_the_budget_by_luck_does_not_win(
    fake: Any, batches: Any, proposal: Make, goal: Goal
) -> None:
    trials = search(batches([proposal(10), proposal(20)]), fake, goal).trials

    class Unlucky(type(fake)):  # type: ignore[misc]
        def __call__(self, proposal: Proposal, progress: Any) -> Any:
            outcome = super().__call__(proposal, progress)
            if proposal.choices["width"] == 10 and proposal.seed:
                outcome.figures["score"] -= 0.1
                outcome.figures["quality_loss"] += 0.1
            return outcome

    found = finalists(trials, Unlucky(), goal, epochs=2)
    assert [one.trial.number for one in found] == [1, 0] and len(found[1].again) == 3


def test_when_the_time_is_over_what_the_search_found_counts(
    fake: Any, batches: Any, proposal: Make, goal: Goal
) -> None:
    trials = search(batches([proposal(10), proposal(20)]), fake, goal).trials
    time = TimeLimit(35.0, clock=fake.clock)
    found = finalists(trials, fake, goal, epochs=3, pool=Here(fake, clock=fake.clock), time=time)
    assert fake.evaluated == [10, 20, 10]
    assert [one.trial.number for one in found] == [0, 1]
    assert len(found[0].again) == 1 and found[0].spread is None
    assert found[1].again == [] and found[1].figures == trials[1].figures and found[1].proposal.epochs == 1


def test_what_measured_them_in_the_search_is_not_expected_of_finalists(
    fake: Any, batches: Any, proposal: Make, goal: Goal
) -> None:
    """They took 1010 seconds for 10 steps, of which 1000 measured them: 30 steps take 30 seconds."""
    fake.measuring = 1000.0
    trials = search(batches([proposal(10), proposal(20)]), fake, goal).trials
    time = TimeLimit(65.0, clock=fake.clock)
    found = finalists(trials, fake, goal, epochs=3, seeds=2, pool=Here(fake, clock=fake.clock), time=time)
    assert fake.evaluated == [10, 20, 10, 20] and [len(one.again) for one in found] == [1, 1]


def test_without_a_trained_one_there_are_none(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    trials = search(batches([proposal(300)]), fake, goal).trials
    assert finalists(trials, fake, goal, epochs=3) == []
    with pytest.raises(BadInput, match="seeds of finalists must be at least 1; got 0"):
        finalists(trials, fake, goal, epochs=3, seeds=0)
