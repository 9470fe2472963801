"""A list of students, tried one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from attar import formatting
from attar.errors import must, near
from attar.search.proposal import Proposal, Trial
from attar.search.space import Space
from attar.search.strategies.history import check_counts, students_of


@dataclass(frozen=True, kw_only=True)
class Given:
    """What somebody wants to be tried, in that order, each once.

    Attributes:
        space: What is chosen from.
        students: Of each, its choices by name: all that the space has.
        trials: Students that may be tried; None for as many as there are.
        epochs: Of each training.

    Raises:
        BadInput: If there are none or too many, one is not of the space, or a number is below 1.
    """

    space: Space
    students: Sequence[Mapping[str, Any]]
    trials: int | None = None
    epochs: int = 1

    def __post_init__(self) -> None:
        trials = 1 if self.trials is None else self.trials
        check_counts("the strategy given", trials=trials, epochs=self.epochs)
        if not self.students:
            remedy = "Name what is chosen of each, such as { width = 8, depth = 2 }"
            raise must("students", "the strategy given", "a list of at least one", list(self.students), remedy)
        count = len(self._all)
        if self.trials is not None and count > self.trials:
            rule = f"at most {formatting.plural(self.trials, 'student')}"
            raise must("students", "the strategy given", rule, count, f"Ask for {count} proposals")

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """The next of them that have not been tried."""
        done = students_of(history)
        return [one for student, one in self._all.items() if student not in done]

    @cached_property
    def _all(self) -> Mapping[str, Proposal]:
        for place, choices in enumerate(self.students):
            self._check(f"students.{place}", choices)
        proposals = (self.space.proposal(choices, epochs=self.epochs) for choices in self.students)
        return {one.student: one for one in proposals}

    def _check(self, name: str, choices: Mapping[str, Any]) -> None:
        """See that a student says all that there is to choose, and nothing else."""
        names = self.space.dimensions
        for key in choices:
            if key not in names:
                raise must(name, "the strategy given", "choices of the space", key, near(str(key), names))
        for key, dimension in names.items():
            if key not in choices or not dimension.has(choices[key]):
                remedy = "Name a value that the space has"
                raise must(f"{name}.{key}", "the strategy given", "a choice of the space", choices.get(key), remedy)
