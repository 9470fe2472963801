"""Evolution: the best networks so far have children that are like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attar.errors import must
from attar.search.goal import Goal
from attar.search.proposal import Proposal, Trial
from attar.search.space import Choice, Dimension, Space
from attar.search.strategies.history import check_counts, drawn, left, random_of, started, students_of

_ATTEMPTS = 50
"""Children that are looked at for a new one, before one is drawn at random."""


@dataclass(frozen=True, kw_only=True)
class Evolutionary:
    """Keeps the best so far as a population, and makes children of pairs of them: choices of either, some changed.

    A parent is the better of two that are drawn from the population. A child has each choice from one of its two
    parents, and on average one of them is changed: of a range to a number nearby, of values to another one.

    Attributes:
        space: What is chosen from.
        goal: Which are the best. What is beyond the budget can be a parent where there is nothing better: the one that
            is beyond it least first.
        trials: Trainings in all. What is beyond the budget takes none.
        population: Parents at most. As many are drawn at random first.
        spread: Standard deviation of a changed number, as a share of its range.
        epochs: Of each training.
        batch: Proposals that are made at once.
        inherit: Whether children begin with the weights of their first parent, as far as they fit; with new ones
            where that was beyond the budget, and so never trained.
        seed: Another seed, other draws.

    Raises:
        BadInput: If a number is out of its range.

    References:
        Deb, Pratap, Agarwal, Meyarivan, *A fast and elitist multiobjective genetic algorithm: NSGA-II*, 2002, sections
        III and VI: parents and children compete, and what breaks constraints least wins. Here one figure decides, and
        not a front.
    """

    space: Space
    goal: Goal
    trials: int = 40
    population: int = 8
    spread: float = 0.2
    epochs: int = 1
    batch: int = 4
    inherit: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(
            "the strategy evolutionary",
            seed=self.seed,
            trials=self.trials,
            population=self.population,
            epochs=self.epochs,
            batch=self.batch,
        )
        if not 0 < self.spread <= 1:
            remedy = "Leave it out for its default"
            raise must("spread", "the strategy evolutionary", "above 0 and at most 1", self.spread, remedy)

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """Random networks first, then children of the best, which follow from the seed and from all trials."""
        random, taken = random_of(self.seed, history), students_of(history)
        count = left(history, self.trials, self.batch)
        known = [
            one for one in history if one.state in ("trained", "over_budget") and self.space.has(one.proposal.choices)
        ]
        if not started(known, self.population):
            return drawn(self.space, random, taken, count, self.epochs)
        parents = sorted(known, key=lambda one: (*self.goal.rank(one), one.number))[: self.population]
        children: list[Proposal] = []
        for _ in range(count):
            children += self._child(parents, random, taken) or drawn(self.space, random, taken, 1, self.epochs)
        return children

    def _child(self, parents: Sequence[Trial], random: np.random.Generator, taken: set[str]) -> list[Proposal]:
        """A child that is new; nothing where none was found."""
        for _ in range(_ATTEMPTS):
            first, second = (parents[min(random.integers(len(parents), size=2))] for _ in range(2))
            choices = {
                name: (first if random.random() < 0.5 else second).proposal.choices[name]
                for name in self.space.dimensions
            }
            for name, dimension in self.space.dimensions.items():
                if random.random() < 1 / len(self.space.dimensions):
                    choices[name] = _changed(dimension, choices[name], self.spread, random)
            start = first.proposal.key if self.inherit and first.state == "trained" else None
            child = self.space.proposal(choices, epochs=self.epochs, start=start)
            if child.student not in taken:
                taken.add(child.student)
                return [child]
        return []


def _changed(dimension: Dimension, value: Any, spread: float, random: np.random.Generator) -> Any:
    """Another value: one nearby, where the dimension has an order."""
    if isinstance(dimension, Choice) and not dimension.ordered:
        return dimension.at(random.random())
    share = dimension.share(value) + random.normal(0.0, spread)
    # What would be beyond an end comes back from it.
    share = abs(share) % 2
    return dimension.at(2 - share if share > 1 else share)
