"""The trials of a search so far, as strategies see them: which students were tried, and what was spent on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from attar.errors import must
from attar.search.proposal import Proposal, Trial
from attar.search.space import Space

FREE = 20
"""How many times as many proposals as trainings a strategy makes at most: those beyond the budget are not trained."""

_MISSES = 200
"""Draws in a row without a new student after which a small space is gone through."""

_SMALL = 10_000
"""Combinations of choices of a small space at most."""


def students_of(history: Sequence[Trial]) -> set[str]:
    """The students that have been proposed, however they were trained."""
    return {trial.proposal.student for trial in history}


def trained(history: Iterable[Trial]) -> int:
    """How many of the trials took a training: those that failed count, as it was spent on them."""
    return sum(trial.state in ("trained", "failed") for trial in history)


def left(history: Sequence[Trial], trials: int, batch: int | None = None) -> int:
    """How many proposals the next batch may have.

    Args:
        history: All trials so far.
        trials: Trainings in all; `FREE` times as many proposals are the end as well.
        batch: Proposals at most; left out, whatever is left: whoever waits for a batch has workers that idle.
    """
    count = min(trials - trained(history), FREE * trials - len(history))
    return max(0, count if batch is None else min(batch, count))


def random_of(seed: int, history: Sequence[Trial]) -> np.random.Generator:
    """Random numbers for the next batch, which follow from the seed and from how many trials there are."""
    return np.random.default_rng([seed, len(history)])


def drawn(space: Space, random: np.random.Generator, taken: set[str], count: int, epochs: int = 1) -> list[Proposal]:
    """Proposals at random whose students are new; fewer where the space has no more.

    Args:
        space: Where from.
        random: Draws them.
        taken: Students that are not new; those of what is drawn are added.
        count: How many.
        epochs: Of each.
    """
    found: list[Proposal] = []
    misses = 0
    while len(found) < count and misses < _MISSES:
        misses = 0 if _take(found, space.proposal(space.draw(random), epochs=epochs), taken) else misses + 1
    size = space.count()
    if len(found) == count or size is None or size > _SMALL:
        return found
    rest = list(space.grid({}))
    for place in random.permutation(len(rest)):
        if len(found) < count:
            _take(found, space.proposal(rest[place], epochs=epochs), taken)
    return found


def _take(found: list[Proposal], proposal: Proposal, taken: set[str]) -> bool:
    """Add a proposal whose student is new; whether it is."""
    if proposal.student in taken:
        return False
    taken.add(proposal.student)
    found.append(proposal)
    return True


def check_counts(of: str, *, seed: int = 0, **counts: int) -> None:
    """See that numbers of something are at least 1, and its seed at least 0.

    Raises:
        BadInput: Naming the first that is not.
    """
    if seed < 0:
        raise must("seed", of, "at least 0", seed, "Leave it out for that of the recipe")
    for name, count in counts.items():
        if count < 1:
            raise must(name, of, "at least 1", count, "Leave it out for its default")


def started(known: Sequence[Trial], count: int) -> bool:
    """Whether enough is known to go on by it: so many trainings, or four times as many of any trials.

    Where hardly anything is within the budget, what is beyond it says where to look.
    """
    return trained(known) >= count or len(known) >= 4 * count
