"""Networks at random: what every other strategy has to be better than."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attar.search.proposal import Proposal, Trial
from attar.search.space import Space
from attar.search.strategies.history import check_counts, drawn, left, random_of, students_of


@dataclass(frozen=True, kw_only=True)
class Random:
    """Draws each choice for itself, and no network twice. Nothing of what came out is looked at.

    Attributes:
        space: What is drawn from.
        trials: Trainings in all. What is beyond the budget takes none.
        epochs: Of each training.
        seed: Another seed, other draws.

    Raises:
        BadInput: If a number is below 1.
    """

    space: Space
    trials: int = 40
    epochs: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts("the strategy random", seed=self.seed, trials=self.trials, epochs=self.epochs)

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """New draws, which follow from the seed and from how many there were before; none when all was drawn."""
        count = left(history, self.trials)
        return drawn(self.space, random_of(self.seed, history), students_of(history), count, self.epochs)
