"""How a search is seen while it goes on: one bar, whose title says how far it is and what it has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from attar import formatting
from attar.search.goal import Goal
from attar.search.proposal import Outcome, Proposal, Trial
from attar.search.strategies.history import trained
from attar.search.time_limit import TimeLimit
from attar.training.progress import Progress, Retitled


class SearchProgress:
    """The bar of a search, in optimizer steps of the proposals that were made so far."""

    def __init__(
        self, title: str, goal: Goal, time: TimeLimit, trainings: int | None, bar: Callable[[int], None]
    ) -> None:
        self._title, self._goal, self._time, self._trainings, self._bar = title, goal, time, trainings, bar
        self._total = self._done = self._trained = 0
        self._best: Trial | None = None
        self._batch: Sequence[Proposal] = ()
        self._over: dict[str, Outcome] = {}
        self._moved: Counter[str] = Counter()

    def begin(self, trials: Sequence[Trial], batch: Sequence[Proposal], size: int) -> None:
        """A batch begins after some trials, of so many optimizer steps."""
        self._done, self._trained, self._best = len(trials), trained(trials), self._goal.best(trials)
        self._batch, self._over, self._moved = batch, {}, Counter()
        self._total += size
        self._retitle()

    def advance(self, key: str, steps: int, size: int) -> None:
        """A proposal went on, but never beyond its size."""
        steps = min(steps, size - self._moved[key])
        self._moved[key] += steps
        self._bar(steps)

    def over(self, proposal: Proposal, outcome: Outcome, size: int) -> None:
        """A proposal is over."""
        self._over[proposal.key] = outcome
        self.advance(proposal.key, size, size)
        self._retitle()

    def __str__(self) -> str:
        """How far it is, and what it has.

        Example: ``search: 7 done, 13 left, best 96.10% within the budget, 3 min left``.
        """
        now = [
            Trial(number=self._done + place, proposal=one, **vars(self._over[one.key]))
            for place, one in enumerate(self._batch)
            if one.key in self._over
        ]
        left = max((self._trainings or 0) - self._trained - trained(now), len(self._batch) - len(now))
        words = [f"{self._done + len(now)} done", f"{left} left"]
        best = self._goal.best(now if self._best is None else [self._best, *now])
        if best is not None and best.score is not None:
            where = "beyond" if self._goal.beyond(best.figures) else "within"
            words.append(f"best {self._goal.score.level(best.score)} {where} the budget")
        if self._time.seconds < math.inf:
            words.append(f"{formatting.seconds(max(0.0, self._time.left))} left")
        return f"{self._title}: {', '.join(words)}"

    def _retitle(self) -> None:
        if isinstance(self._bar, Retitled):
            self._bar.retitle(str(self), self._total)


@contextmanager
def search_progress(
    progress: Progress, title: str, goal: Goal, time: TimeLimit, trainings: int | None
) -> Iterator[SearchProgress]:
    """A search as one piece of work."""
    with progress(title, 0) as bar:
        yield SearchProgress(title, goal, time, trainings, bar)
