"""The loop: order, equal proposals, time, attempts, what a search that goes on finds, and how it is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from attar.errors import BadInput
from attar.search.goal import Goal
from attar.search.pool import Assignment, Here, Work
from attar.search.proposal import Proposal
from attar.search.search import search
from attar.search.time_limit import TimeLimit

Make = Callable[..., Proposal]


def test_trials_are_in_the_order_of_their_proposals_and_the_best_is_the_goals(
    fake: Any, batches: Any, proposal: Make, goal: Goal
) -> None:
    strategy = batches([proposal(20), proposal(300)], [proposal(10), proposal(4)])
    found = search(strategy, fake, goal)
    assert [one.proposal.choices["width"] for one in found.trials] == [20, 300, 10, 4]
    assert [one.number for one in found.trials] == [0, 1, 2, 3]
    assert [one.state for one in found.trials] == ["trained", "over_budget", "trained", "trained"]
    assert [len(history) for history in strategy.asked] == [0, 2, 4]
    assert found.ended == "strategy"
    assert found.best is found.trials[2]  # 4 loses too much, and 20 is larger


def test_equal_proposals_are_evaluated_once(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    found = search(batches([proposal(10), proposal(10)], [proposal(10)]), fake, goal)
    assert fake.evaluated == [10] and [one.score for one in found.trials] == [0.9] * 3


def test_without_a_trained_one_there_is_no_best(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    found = search(batches([proposal(300)]), fake, goal)
    assert found.best is None and found.pareto == []


class Backwards:
    """A pool that is over with the last of a batch first, after it began all of them."""

    count = 8

    def __init__(self, evaluate: Any) -> None:
        self.evaluate = evaluate

    def do(self, work: Work) -> None:
        taken = []
        while (one := work.take()) is not None:
            taken.append(one)
        for one in reversed(taken):
            Here(self.evaluate).do(_Single(one, work))


class _Single:
    """One assignment as the work of a pool."""

    def __init__(self, assignment: Assignment, work: Work) -> None:
        self.assignments, self.work = [assignment], work

    def waits(self) -> bool:
        return bool(self.assignments)

    def take(self) -> Assignment | None:
        return self.assignments.pop() if self.assignments else None

    def advance(self, assignment: Assignment, steps: int) -> None:
        self.work.advance(assignment, steps)

    def over(self, assignment: Assignment, why: str | None) -> None:
        self.work.over(assignment, why)


def test_whoever_is_over_first_changes_nothing(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    given = [proposal(20), proposal(300), proposal(10)], [proposal(4), proposal(5)]
    backwards, forwards = batches(*given), batches(*given)
    trials = search(backwards, fake, goal, pool=Backwards(fake)).trials
    assert fake.evaluated == [10, 300, 20, 5, 4]
    fake.known.clear()
    assert search(forwards, fake, goal).trials == trials and backwards.asked == forwards.asked


class Failing:
    """A pool in which some widths never come to a result."""

    count = 1

    def __init__(self, evaluate: Any, times: dict[int, int]) -> None:
        self.evaluate, self.times, self.begun = evaluate, times, list[int]()

    def do(self, work: Work) -> None:
        while (taken := work.take()) is not None:
            width = taken.proposal.choices["width"]
            self.begun.append(width)
            self.times[width] = self.times.get(width, 0) - 1
            if self.times[width] >= 0:
                work.over(taken, "the process that worked on it ended")
            else:
                Here(self.evaluate).do(_Single(taken, work))


def test_what_died_is_tried_once_more_and_then_has_failed(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    pool = Failing(fake, {10: 1, 20: 9})
    found = search(batches([proposal(10), proposal(20), proposal(30)]), fake, goal, pool=pool)
    assert pool.begun == [10, 10, 20, 20, 30]
    assert [one.state for one in found.trials] == ["trained", "failed", "trained"]
    assert found.trials[1].reason == "Given up after 2 attempts: the process that worked on it ended."
    again = search(batches([proposal(20)]), fake, goal, pool=pool)
    assert again.trials[0].state == "failed" and pool.begun[5:] == []


def test_one_that_takes_longer_than_each_may_is_stopped_and_given_up(
    fake: Any, batches: Any, proposal: Make, goal: Goal
) -> None:
    fake.steps = {20: 100}
    pool = Here(fake, clock=fake.clock)
    found = search(batches([proposal(20), proposal(10)]), fake, goal, pool=pool, seconds_each=lambda _: 30.0)
    assert [one.state for one in found.trials] == ["failed", "trained"] and fake.clock.now == 70
    reason = found.trials[0].reason.replace("\xa0", " ")
    assert reason == "Given up after 2 attempts: it took longer than the 30.0 s of search.time_each."
    longer = search(
        batches([proposal(30, epochs=2)]), fake, goal, pool=pool, seconds_each=lambda one: 60.0 * one.epochs
    )
    assert [one.state for one in longer.trials] == ["trained"]


def test_what_would_not_end_in_time_is_not_begun_and_the_search_ends_with_what_it_has(
    fake: Any, batches: Any, proposal: Make, goal: Goal
) -> None:
    fake.steps = {30: 50}
    strategy = batches([proposal(10), proposal(30), proposal(20)], [proposal(4)])
    time = TimeLimit(45.0, clock=fake.clock)
    found = search(strategy, fake, goal, pool=Here(fake, clock=fake.clock), time=time)
    assert fake.evaluated == [10, 20]  # 30 would have taken 50 seconds, and 35 were left
    assert [one.state for one in found.trials] == ["trained", "skipped", "trained"]
    assert (
        found.trials[1].reason.replace("\N{NO-BREAK SPACE}", " ")
        == "Not begun: it takes about 50.0 s, and 35.0 s were left."
    )
    assert found.ended == "time" and found.best is found.trials[0] and len(strategy.asked) == 1


def test_what_measures_a_proposal_takes_as_long_however_long_it_is_trained(
    fake: Any, batches: Any, proposal: Make, goal: Goal
) -> None:
    """Of 10 steps and 20 seconds besides one of 30 steps takes 50 seconds, and not three times 30."""
    fake.measuring = 20.0
    given = [proposal(10), proposal(20, 3), proposal(30)]
    time = TimeLimit(85.0, clock=fake.clock)
    found = search(batches(given), fake, goal, pool=Here(fake, clock=fake.clock), time=time)
    assert fake.evaluated == [10, 20] and fake.clock.now == 30 + 50
    assert found.trials[2].reason.replace("\xa0", " ") == "Not begun: it takes about 30.0 s, and 5.0 s were left."


def test_what_is_trained_when_the_time_is_over_is_stopped(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    fake.steps = {30: 50}
    time = TimeLimit(45.0, clock=fake.clock)
    pool = Here(fake, clock=fake.clock)
    found = search(batches([proposal(30), proposal(10)]), fake, goal, pool=pool, time=time)
    assert [one.reason for one in found.trials] == ["Stopped when the time was over.", "Not begun: the time was over."]
    assert fake.clock.now == 45 and found.seconds == 45 and found.best is None


def test_a_limit_without_some_seconds_is_over_sooner_by_the_same_clock(fake: Any) -> None:
    time = TimeLimit(60.0, clock=fake.clock)
    sooner = time.without(15.0)
    fake.clock.now += 40
    assert (sooner.left, time.left, sooner.spent) == (5, 20, 40)
    assert TimeLimit().without(5.0).left == float("inf")


def test_a_search_that_goes_on_has_the_time_that_was_left_and_finds_what_was_done(
    fake: Any, batches: Any, proposal: Make, goal: Goal, tmp_path: Path
) -> None:
    file, strategy = tmp_path / "time.json", batches([proposal(10)], [proposal(20)], [proposal(30)])
    with pytest.raises(KeyboardInterrupt):
        search(_Interrupted(strategy, after=1), fake, goal, time=TimeLimit(35.0, file, clock=fake.clock))
    fake.clock.now += 1000  # nobody's
    found = search(
        strategy, fake, goal, time=TimeLimit(35.0, file, clock=fake.clock), pool=Here(fake, clock=fake.clock)
    )
    assert [one.state for one in found.trials] == ["trained", "trained", "trained"] and found.seconds == 30
    over = search(strategy, fake, goal, time=TimeLimit(20.0, file, clock=fake.clock))
    assert [one.state for one in over.trials] == ["trained"] * 3 and fake.evaluated == [10, 20, 30]


class _Interrupted:
    def __init__(self, strategy: Any, after: int) -> None:
        self.strategy, self.after = strategy, after

    def propose(self, history: Any) -> Any:
        if len(history) == self.after:
            raise KeyboardInterrupt
        return self.strategy.propose(history)


class Bar:
    """A bar that remembers."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.moved = self.total = 0

    def __call__(self, steps: int) -> None:
        self.moved += steps

    def retitle(self, title: str, total: int) -> None:
        self.titles.append(title.replace("\N{NO-BREAK SPACE}", " "))
        self.total = total


def test_it_is_seen_with_its_best_so_far_and_what_is_left(fake: Any, batches: Any, proposal: Make, goal: Goal) -> None:
    bar = Bar()

    @contextmanager
    def progress(title: str, total: int) -> Iterator[Bar]:
        assert (title, total) == ("search", 0)
        yield bar

    strategy = batches([proposal(4), proposal(300)], [proposal(10)])
    time = TimeLimit(300.0, clock=fake.clock)
    search(strategy, fake, goal, trainings=20, time=time, progress=progress)
    assert bar.titles == [
        "search: 0 done, 20 left, 5 min 0 s left",
        "search: 1 done, 19 left, best 75.00% beyond the budget, 4 min 50 s left",
        "search: 2 done, 19 left, best 75.00% beyond the budget, 4 min 50 s left",  # refused untrained
        "search: 2 done, 19 left, best 75.00% beyond the budget, 4 min 50 s left",
        "search: 3 done, 18 left, best 90.00% within the budget, 4 min 40 s left",
    ]
    assert bar.moved == bar.total == 30
    bar.titles.clear()
    search(batches([proposal(5), proposal(6)]), fake, goal, progress=progress)
    assert [title.split(", best")[0] for title in bar.titles] == [
        "search: 0 done, 2 left",
        "search: 1 done, 1 left",
        "search: 2 done, 0 left",
    ]


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(BadInput, match="seconds of the search must be at least 0"):
        TimeLimit(-1.0)
