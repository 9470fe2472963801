"""A list of proposals, tried one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attar.errors import BadInput
from attar.search.proposal import Proposal, Trial
from attar.search.strategies.history import check_counts


@dataclass(frozen=True, kw_only=True)
class Given:
    """What somebody wants to be tried, in that order, each once.

    Attributes:
        proposals: All of them.
        batch: Proposals that are made at once.

    Raises:
        BadInput: If there are none, or a number is below 1.
    """

    proposals: Sequence[Proposal]
    batch: int = 8

    def __post_init__(self) -> None:
        check_counts("the strategy given", batch=self.batch)
        if not self.proposals:
            raise BadInput("The strategy given needs at least one proposal. Name a student, or use another strategy.")

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """The next of them that have not been tried."""
        done = {trial.proposal.key for trial in history}
        new = {one.key: one for one in self.proposals if one.key not in done}
        return list(new.values())[: self.batch]
