"""The best of a search trained afresh, longer and with several seeds, so that none wins by luck.

The training by which one was selected is none of these: its score is too good by chance, as that of the best of many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

from attar.errors import must
from attar.search.evaluate import Evaluate
from attar.search.goal import Goal
from attar.search.pool import Pool
from attar.search.proposal import Proposal, Trial
from attar.search.search import SecondsEach, search
from attar.search.time_limit import TimeLimit
from attar.training.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """A student that was among the best.

    Attributes:
        trial: Of the search.
        again: Its trainings with several seeds, those that were over in time; all on validation alone.
    """

    trial: Trial
    again: Sequence[Trial]

    @property
    def proposal(self) -> Proposal:
        """What is trained on: as long as the finalists are, where one of these trainings took place."""
        return self.again[0].proposal if self.again else self.trial.proposal

    @cached_property
    def figures(self) -> Mapping[str, float]:
        """Means over the seeds; of one that was not trained again, what the search found."""
        if not self.again:
            return self.trial.figures
        names = self.again[0].figures
        return {name: fmean(one.figures[name] for one in self.again if name in one.figures) for name in names}

    @property
    def spread(self) -> float | None:
        """Standard deviation of the score over the seeds; None for fewer than two."""
        scores = [one.figures["score"] for one in self.again]
        return stdev(scores) if len(scores) > 1 else None


def finalists(
    trials: Sequence[Trial],
    evaluate: Evaluate,
    goal: Goal,
    *,
    epochs: int,
    count: int = 3,
    seeds: int = 3,
    on_all: bool = False,
    pool: Pool | None = None,
    time: TimeLimit | None = None,
    seconds_each: SecondsEach | None = None,
    progress: Progress = silent,
) -> list[Finalist]:
    """Train the best trials again.

    Args:
        trials: Of a search.
        evaluate: As for `attar.search.search.search`.
        goal: As there.
        epochs: For how long they are trained, if the search did not train them for longer.
        count: How many trials, of different students.
        seeds: How often each is trained: with seeds that the search did not use, and from where it began, also where
            the search went on with its weights.
        on_all: Whether on all examples, where the search has trained on a part of them.
        pool: As there.
        time: As there: what would not end in time is left out.
        seconds_each: As there.
        progress: As there.

    Returns:
        The best one first, by the means over their seeds; those that could not be trained again come last. None where
        no trial was trained.

    Raises:
        BadInput: If a number is not above 0.
    """
    for name, value in (("epochs", epochs), ("count", count), ("seeds", seeds)):
        if value < 1:
            raise must(name, "finalists", "at least 1", value, "Use 3")
    best = _different(sorted((one for one in trials if one.score is not None), key=goal.rank))[:count]
    by_key = {one.proposal.key: one.proposal for one in trials}
    first = [_from_the_beginning(one.proposal, by_key) for one in best]
    wanted = [
        replace(one, epochs=max(epochs, one.epochs), seed=one.seed + seed, on_all=on_all)
        for seed in range(1, seeds + 1)  # every finalist once before any of them again
        for one in first
    ]
    if not wanted:
        return []
    again = search(
        _AllAtOnce(wanted),
        evaluate,
        goal,
        pool=pool,
        time=time,
        seconds_each=seconds_each,
        progress=progress,
        title="finalists",
        earlier=trials,
    ).trials
    found = [
        Finalist(trial=one, again=[other for other in again[place :: len(best)] if other.score is not None])
        for place, one in enumerate(best)
    ]
    return sorted(found, key=lambda one: (not one.again, goal.rank(replace(one.trial, figures=one.figures))))


@dataclass(frozen=True)
class _AllAtOnce:
    """Proposals in a single batch."""

    proposals: Sequence[Proposal]

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        return self.proposals[len(history) :]


def _from_the_beginning(proposal: Proposal, by_key: Mapping[str, Proposal]) -> Proposal:
    """One training in the place of several that went on with each other's weights: what they had together."""
    epochs, begins = proposal.epochs, proposal
    while (before := by_key.get(begins.start or "")) is not None and before.student == proposal.student:
        epochs, begins = epochs + before.epochs, before
    return replace(proposal, epochs=epochs, start=begins.start)


def _different(trials: Sequence[Trial]) -> list[Trial]:
    """The first trial of each student, however long it was trained."""
    found: dict[str, Trial] = {}
    for one in trials:
        found.setdefault(one.proposal.student, one)
    return list(found.values())
