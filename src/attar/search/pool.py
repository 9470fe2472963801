"""Where proposals are evaluated: in this process, in others (`processes`), or wherever somebody writes a `Pool` for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from attar.search.proposal import Proposal
from attar.training.progress import Progress


@dataclass(frozen=True, eq=False)
class Assignment:
    """A proposal for somebody to evaluate.

    Attributes:
        proposal: What is evaluated.
        seconds: After so many it is stopped; its training leaves a checkpoint, from which a later one goes on.
        left: After so many it is stopped in any case, as the time of all is over.
    """

    proposal: Proposal
    seconds: float = math.inf
    left: float = math.inf


@runtime_checkable
class Work(Protocol):
    """What there is to do for a pool. One thread asks it, and tells it."""

    def waits(self) -> bool:
        """Whether there is one to begin; one that is over may have to be begun again."""
        ...

    def take(self) -> Assignment | None:
        """The next one to begin; None if there is none now."""
        ...

    def advance(self, assignment: Assignment, steps: int) -> None:
        """One went on by so many optimizer steps."""
        ...

    def over(self, assignment: Assignment, why: str | None) -> None:
        """One is over, and what came of it is in the folder of the run.

        Args:
            assignment: Which.
            why: If nothing came of it: what happened, as a clause that begins with a small letter.
        """
        ...


@runtime_checkable
class Pool(Protocol):
    """Evaluates proposals, several at once if it can.

    What comes of one is a node of the run, in whose folder whoever asked finds it: nothing is handed back. What a
    proposal raises is such a result. Only what keeps it from a result is told: that a process died, or took too long.

    Attributes:
        count: How many it evaluates at once.
    """

    @property
    def count(self) -> int:
        """How many it evaluates at once."""
        ...

    def do(self, work: Work) -> None:
        """Take what there is, as long as there is something, and be done with all of it in the end.

        Args:
            work: Asked by the thread that called this, and by no other.
        """
        ...


TOO_LONG = "it took too long"
"""Why nothing came of what was stopped."""


class Stopped(BaseException):
    """An evaluation is stopped, as its time is over; no error of what is evaluated, and not to be taken for one."""


class Here:
    """Evaluates proposals in this process, one after the other.

    One that crashes takes the search with it, and one that hangs between two steps of a training is not stopped.
    `attar.search.processes.Processes` of one process is what helps against both.
    """

    count = 1

    def __init__(
        self, evaluate: Callable[[Proposal, Progress], object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin nothing yet.

        Args:
            evaluate: Evaluates a proposal.
            clock: Seconds that only grow.
        """
        self._evaluate, self._clock = evaluate, clock

    def do(self, work: Work) -> None:
        """Take what there is, as long as there is something."""
        while (taken := work.take()) is not None:
            why = None
            try:
                self._evaluate(taken.proposal, self._until(taken, work))
            except Stopped:
                why = TOO_LONG
            work.over(taken, why)

    def _until(self, taken: Assignment, work: Work) -> Progress:
        """A progress that stops the evaluation when its time is over."""
        end = self._clock() + min(taken.seconds, taken.left)

        @contextmanager
        def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
            def advance(steps: int) -> None:
                work.advance(taken, steps)
                if self._clock() >= end:
                    raise Stopped

            yield advance

        return progress
