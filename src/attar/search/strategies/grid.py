"""Every combination of a space, its ranges cut into points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from attar import formatting
from attar.errors import Words, must
from attar.search.proposal import Proposal, Trial
from attar.search.space import Space
from attar.search.strategies.history import check_counts, students_of


@dataclass(frozen=True, kw_only=True)
class Grid:
    """All choices with all others, the last dimension of the space first; what comes to the same is tried once.

    Attributes:
        space: What is chosen from.
        points: Numbers of each range, evenly spaced from end to end, or of some by name.
        trials: Networks that may be tried; None for as many as there are.
        epochs: Of each training.

    Raises:
        BadInput: If a number is below 1, or the grid has too many points: a part of it would say nothing of the rest.
    """

    space: Space
    points: int | Mapping[str, int] = 3
    trials: int | None = None
    epochs: int = 1

    def __post_init__(self) -> None:
        trials = 1 if self.trials is None else self.trials
        check_counts("the strategy grid", trials=trials, epochs=self.epochs)
        next(self.space.grid(self.points))
        if self.trials is not None and (count := len(self._all)) > self.trials:
            rule = f"so few that {formatting.plural(self.trials, 'proposal')} are enough"
            remedy = f"Ask for {count} proposals, or for fewer points"
            raise must("points", "the strategy grid", rule, Words(f"{count:,} networks"), remedy)

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """The next points whose networks have not been tried."""
        done = students_of(history)
        return [one for student, one in self._all.items() if student not in done]

    @cached_property
    def _all(self) -> Mapping[str, Proposal]:
        proposals = (self.space.proposal(choices, epochs=self.epochs) for choices in self.space.grid(self.points))
        return {one.student: one for one in proposals}
