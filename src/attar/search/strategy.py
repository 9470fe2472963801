"""What makes proposals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from attar.search.proposal import Proposal, Trial


@runtime_checkable
class Strategy(Protocol):
    """Makes proposals in batches; who asked evaluates a whole batch before asking again.

    A strategy is a function of what it was made with (its seed among that) and of the trials so far. So a search that
    was killed goes on to the same decisions: it is asked everything again, and trials are found done. One that keeps a
    state of its own (a policy) brings it along by the trials in its order, never by time, chance or threads.
    """

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """The next batch.

        Args:
            history: Every trial of all batches so far, in the order of their proposals.

        Returns:
            Proposals that do not depend on each other's results; none when there is nothing left to try.
        """
        ...
