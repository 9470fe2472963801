"""The loop of a search: batches of proposals, each evaluated wherever there is somebody to do it, in their order."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from attar import formatting
from attar.search.evaluate import Evaluate
from attar.search.goal import Goal
from attar.search.pareto import pareto
from attar.search.pool import TOO_LONG, Assignment, Here, Pool
from attar.search.progress import SearchProgress, search_progress
from attar.search.proposal import Outcome, Proposal, Trial
from attar.search.strategy import Strategy
from attar.search.time_limit import TimeLimit
from attar.training.progress import Progress, silent

_ATTEMPTS = 2
"""Of a proposal whose process dies or takes too long."""

SecondsEach = Callable[[Proposal], float]
"""For how many seconds a proposal may be evaluated."""

Ended = Literal["strategy", "time"]
"""What a search ended by: the strategy had nothing left to try, or the time was over."""


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: Every proposal and what came of it, in the order in which they were made.
        best: The best of them as the goal has it; None where none was trained.
        pareto: Those that none beats in score, latency and bytes at once, the best score first.
        ended: By what it ended.
        seconds: How long it took, over all of its attempts.
    """

    trials: Sequence[Trial]
    best: Trial | None
    pareto: Sequence[Trial]
    ended: Ended
    seconds: float


def search(
    strategy: Strategy,
    evaluate: Evaluate,
    goal: Goal,
    *,
    pool: Pool | None = None,
    trainings: int | None = None,
    time: TimeLimit | None = None,
    seconds_each: SecondsEach | None = None,
    progress: Progress = silent,
    title: str = "search",
    earlier: Sequence[Trial] = (),
) -> SearchResult:
    """Try what a strategy proposes.

    All of a batch is evaluated before the strategy is asked again, and it sees what came of it in the order of the
    proposals: what it decides does not depend on how many are evaluated at once, nor on whatever was over first. What
    was evaluated is found again, so that a search that was killed goes on to the same trials.

    Only time changes decisions. With a limit no proposal is begun that would not end in time, as far as the others
    tell; what is still being trained when the time is over is stopped, and the search ends with what it has. A search
    that goes on has as much time as an earlier attempt of it left.

    Args:
        strategy: Makes proposals.
        evaluate: Evaluates one, or finds it evaluated.
        goal: Says which trial is best.
        pool: Where proposals are evaluated; in this process if left out.
        time: How long everything may take; no limit if left out.
        seconds_each: For how long one may be evaluated; no limit if left out. One that takes longer, or whose process
            dies, is tried once more, and then has failed.
        trainings: How many there will be, as far as is known, for what the progress says of those that are left.
        progress: Sees all of the search as one piece of work, which is called anew as it goes.
        title: Of that work.
        earlier: Trials of another search, which tell as well how long a proposal takes.
    """
    time = TimeLimit() if time is None else time
    pool = Here(evaluate) if pool is None else pool
    trials: list[Trial] = []
    pace = _Pace()
    for one in earlier:
        pace.add(one, evaluate.size(one.proposal), measured=True)
    ended: Ended = "strategy"
    with search_progress(progress, title, goal, time, trainings) as bar:
        while batch := strategy.propose(tuple(trials)):
            work = _Batch(batch, evaluate, pace, time, seconds_each, bar)
            bar.begin(trials, batch, work.size)
            outcomes = work.evaluated(pool)
            for proposal, outcome in zip(batch, outcomes, strict=True):
                trials.append(Trial(number=len(trials), proposal=proposal, **vars(outcome)))
            if any(one.state == "skipped" for one in outcomes):
                ended = "time"
                break
    time.note(now=True)
    return SearchResult(trials=trials, best=goal.best(trials), pareto=pareto(trials), ended=ended, seconds=time.spent)


class _Pace:
    """How long proposals take, as those tell that were trained."""

    def __init__(self) -> None:
        self._steps: list[float] = []
        self._besides: list[float] = []

    def add(self, outcome: Outcome, size: int, *, measured: bool = False) -> None:
        """One more.

        Args:
            outcome: What came of it; of one that was not trained nothing is learned.
            size: Its optimizer steps.
            measured: Whether those to come were measured when this one was, and need only be trained.
        """
        if outcome.state == "trained":
            self._steps.append(outcome.training_seconds / size)
            if not measured:
                self._besides.append(outcome.seconds - outcome.training_seconds)

    def expected(self, size: int) -> float:
        """Seconds of one of so many optimizer steps, measuring included; 0 where nothing is known."""
        return (median(self._steps) * size if self._steps else 0.0) + (median(self._besides) if self._besides else 0.0)


class _Batch:
    """The work of one batch: proposals that are equal are one piece of it."""

    def __init__(
        self,
        batch: Sequence[Proposal],
        evaluate: Evaluate,
        pace: _Pace,
        time: TimeLimit,
        seconds_each: SecondsEach | None,
        bar: SearchProgress,
    ) -> None:
        """Begin nothing yet.

        Args:
            batch: What there is to evaluate.
            evaluate: See `search`.
            pace: Of all so far; those of this batch are added.
            time: See `search`.
            seconds_each: Likewise.
            bar: Is told how it goes.
        """
        self._batch, self._evaluate, self._time, self._each, self._bar = batch, evaluate, time, seconds_each, bar
        self._waiting: deque[Proposal] = deque()
        self._attempts: Counter[str] = Counter()
        self._outcomes: dict[str, Outcome] = {}
        self._sizes = {one.key: evaluate.size(one) for one in batch}
        self._pace = pace

    @property
    def size(self) -> int:
        """Optimizer steps of all of it."""
        return sum(self._sizes.values())

    def evaluated(self, pool: Pool) -> list[Outcome]:
        """What came of each, in their order."""
        for proposal in {one.key: one for one in self._batch}.values():
            known = self._evaluate.found(proposal)
            if known is None:
                self._waiting.append(proposal)
            else:
                self._take_in(proposal, known)
        if self._waiting:
            pool.do(self)
        return [self._outcomes[one.key] for one in self._batch]

    def waits(self) -> bool:
        """Whether there is one to begin; those that cannot be expected to end in time are skipped."""
        while self._waiting and (reason := self._too_late(self._waiting[0])):
            self._skip(self._waiting.popleft(), reason)
        return bool(self._waiting)

    def take(self) -> Assignment | None:
        """The next one to begin."""
        if not self.waits():
            return None
        proposal = self._waiting.popleft()
        self._attempts[proposal.key] += 1
        self._time.note(now=True)  # a search that is killed while it is evaluated has spent all that was before it
        most = math.inf if self._each is None else self._each(proposal)
        return Assignment(proposal, most, self._time.left)

    def _too_late(self, proposal: Proposal) -> str:
        """Why a proposal is not begun any more, in a sentence; empty where it is."""
        left = self._time.left
        expected = self._pace.expected(self._sizes[proposal.key])
        if left <= 0:
            return "Not begun: the time was over."
        if expected > left:
            takes, there = formatting.seconds(expected), formatting.seconds(left)
            return f"Not begun: it takes about {takes}, and {there} were left."
        return ""

    def advance(self, assignment: Assignment, steps: int) -> None:
        """One went on."""
        self._time.note()
        key = assignment.proposal.key
        self._bar.advance(key, steps, self._sizes[key])

    def over(self, assignment: Assignment, why: str | None) -> None:
        """One is over: what came of it is found, or it is tried once more, or given up."""
        proposal = assignment.proposal
        outcome = self._evaluate.found(proposal)
        self._time.note(now=True)
        if outcome is None and self._time.left <= 0:
            self._skip(proposal, "Stopped when the time was over.")
        elif outcome is None and self._attempts[proposal.key] < _ATTEMPTS:
            self._waiting.appendleft(proposal)
        elif outcome is None:
            if why == TOO_LONG:
                why = f"it took longer than the {formatting.seconds(assignment.seconds)} of search.time_each"
            reason = f"Given up after {_ATTEMPTS} attempts: {why or 'it left no result'}."
            self._take_in(proposal, self._evaluate.give_up(proposal, reason))
        else:
            self._take_in(proposal, outcome)

    def _take_in(self, proposal: Proposal, outcome: Outcome) -> None:
        size = self._sizes[proposal.key]
        self._pace.add(outcome, size)
        self._outcomes[proposal.key] = outcome
        self._bar.over(proposal, outcome, size)

    def _skip(self, proposal: Proposal, reason: str) -> None:
        self._take_in(proposal, Outcome(state="skipped", reason=reason))
