"""What is said of a search: why a student was taken, and what stages spent."""

from __future__ import annotations

import dataclasses

import pytest

from attar.budget import Limit
from attar.network.spec import Spec
from attar.recipes.search_figures import _end, _why, stages_in_words
from attar.search.goal import Goal
from attar.search.proposal import Proposal, State, Trial
from attar.search.search import Ended, SearchResult

GOAL = Goal(limits=(), prefer="bytes", teacher={})


def trial(number: int) -> Trial:
    proposal = Proposal(spec=Spec("a:b", {"width": number}))
    return Trial(number=number, proposal=proposal, state="trained", figures={"score": 0.9, "bytes": 10.0 + number})


@pytest.mark.parametrize(
    ("count", "again", "sentence"),
    [
        (1, 1, "Student #0 is the only one that was found within the budget."),
        (2, 1, "Student #0 is the smallest of 2 that were found within the budget."),
        (3, 2, "is the smallest of 3 that were found within the budget, trained again with 1 other of the best."),
    ],
)
def test_why_a_student_was_taken(count: int, again: int, sentence: str) -> None:
    trials = [trial(number) for number in range(count)]
    result = SearchResult(trials=trials, best=trials[0], pareto=trials[:1], ended="strategy", seconds=1.0)
    assert _why(GOAL, result, again, trials[0], final_epochs=1).endswith(sentence)


@pytest.mark.parametrize(
    ("size", "final_epochs", "more"),
    [
        (
            900.0,
            12,
            " This is after 4 epochs of training; it is now trained for 12, which may bring it within.",
        ),
        (900.0, 4, ""),  # all that it gets
        (1100.0, 12, ""),  # no training makes it smaller
    ],
)
def test_who_loses_too_much_after_a_short_training_may_yet_be_within(size: float, final_epochs: int, more: str) -> None:
    limits = (Limit("quality_loss", 0.03), Limit("bytes", 1000.0))
    goal = Goal(limits=limits, prefer="bytes", teacher={"quality_loss": 0.94})
    proposal = Proposal(spec=Spec("a:b", {}), epochs=4)
    figures = {"score": 0.9, "quality_loss": 0.04, "bytes": size}
    winner = Trial(number=10, proposal=proposal, state="trained", figures=figures)
    result = SearchResult(trials=[winner], best=None, pareto=[], ended="strategy", seconds=1.0)
    why = _why(goal, result, 1, winner, final_epochs)
    assert why.startswith("No student that was tried is within the budget; #10 comes nearest: ")
    assert ("now trained" in why) == bool(more) and why.endswith(more)


def test_what_stages_spent_is_said_in_a_sentence_each() -> None:
    removal = {"stage": "removal", "trainings": 25, "of": 25, "updates": 30, "ended": "trainings"}
    shrinkage = {"stage": "shrinkage", "trainings": 9, "of": 25, "updates": 100, "ended": "updates"}
    assert stages_in_words([removal, shrinkage]) == (
        "Of 25 trainings the stage removal took all. Of 25 trainings the stage shrinkage took 9, until its 100 updates "
        "were over and its policy drew nothing new."
    )
    # What a stage leaves that is not the last, the next one has.
    assert stages_in_words([{**shrinkage, "stage": "removal"}, {**shrinkage, "ended": None}]) == (
        "Of 25 trainings the stage removal took 9, until its 100 updates were over. "
        "Of 25 trainings the stage shrinkage took 9, until the time was over."
    )
    nothing = {**removal, "trainings": 0, "of": 1, "ended": "nothing"}
    assert stages_in_words([nothing]) == "Of 1 training the stage removal took 0, as there was nothing to choose."


@pytest.mark.parametrize(
    ("states", "ended", "sentence"),
    [
        (["trained", "skipped"], "time", " The time was over before all of them were tried."),
        (["skipped", "skipped"], "time", " The time was over before any of them was tried."),
        ([], "time", " The time was over before any of them was tried."),
        (["trained", "over_budget"], "strategy", ""),
    ],
)
def test_how_far_a_search_came_before_its_time_was_over(states: list[State], ended: Ended, sentence: str) -> None:
    trials = [dataclasses.replace(trial(number), state=state) for number, state in enumerate(states)]
    assert _end(SearchResult(trials=trials, best=None, pareto=[], ended=ended, seconds=1.0)) == sentence
