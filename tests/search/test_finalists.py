"""The best are trained again, several times: who wins by their means."""

from __future__ import annotations

from collections.abc import Callable
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
    assert [(one.proposal.epochs, one.proposal.seed) for one in found[0].again] == [(3, 0), (3, 1), (3, 2)]
    assert found[0].figures["score"] == pytest.approx(0.901) and found[0].spread == pytest.approx(0.001)
    assert found[0].proposal.epochs == 3


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


def test_without_a_trained_one_there_are_none(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    trials = search(batches([proposal(300)]), fake, goal).trials
    assert finalists(trials, fake, goal, epochs=3) == []
    with pytest.raises(BadInput, match="seeds of finalists must be at least 1; got 0"):
        finalists(trials, fake, goal, epochs=3, seeds=0)
