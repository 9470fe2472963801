"""What became of a budget: the figures of one model held against its limits, on validation and on test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from attar.budget import ACCURACY, Limit, Score

Outcome = Literal["met", "met on validation only", "not met"]
"""What became of a limit, or of a whole budget.

``met``: within it, quality on validation and on test alike. ``met on validation only``: the choice, which is made on
validation, was within it, and the test figure is beyond. ``not met``: beyond it, or refused for another reason.
"""

_HALF = 0.5
"""A loss of this share of what the teacher knows beyond guessing, or more, is no limit that a claim could rest on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a model makes of one limit.

    Attributes:
        limit: The limit.
        teacher: What the teacher takes, or its score on validation; None where it is not known.
        found: What the model takes, or loses on validation; None where it was not measured.
        spread: Half of the 95% interval of ``found``, where it has one.
        test: The loss on test, once that has been read.
        says_something: Whether the limit says anything: one on quality must leave no room for a model that has learned
            little.
        lines: Where the limit lies on its axis: the lowest score that keeps it, or the most that may be taken, of which
            there are several where teachers in several runtimes are what it is relative to.
    """

    limit: Limit
    teacher: float | None
    found: float | None
    spread: float | None = None
    test: float | None = None
    says_something: bool = True
    lines: Sequence[float] = ()

    @property
    def outcome(self) -> Outcome | None:
        """What became of the limit; None where it is kept and says nothing."""
        if not self.limit.keeps(self.found, self.teacher):
            return "not met"
        if not self.says_something:
            return None
        return "met" if self.test is None or self.limit.keeps(self.test, self.teacher) else "met on validation only"

    def words(self, score: Score = ACCURACY) -> str:
        """The figures in words, those of validation first."""
        if self.found is None or self.limit.at(self.teacher) is None:
            return self.limit.excess(self.found, self.teacher, score)
        if self.limit.what != "quality_loss":
            return f"{self.limit.shown(self.found)} {self.limit.after()}, of at most {self.limit.bound(self.teacher)}"
        on_test = "" if self.test is None else f", {score.amount(self.test)} on test"
        bound = self.limit.bound(self.teacher, score)
        return f"{self.loss(score)} {score.lost} on validation{on_test}, of at most {bound}"

    def loss(self, score: Score) -> str:
        """The loss on validation with its spread: ``1.9 ± 1.8 points``."""
        assert self.found is not None, "asked for where it was measured"
        if self.spread is None:
            return score.shown(self.found)
        unit = " points" if score.points else f" {score.unit}" if score.unit else ""
        return f"{score.amount(self.found)} \N{PLUS-MINUS SIGN} {score.amount(self.spread)}{unit}"

    def to_json(self, score: Score = ACCURACY) -> dict[str, Any]:
        """The row of a table, in words and as numbers."""
        noun = self.limit.noun(score)
        loss = self.limit.what == "quality_loss"
        return {
            "limit": self.limit.what,
            "what": f"{noun} against the teacher, on validation" if loss else noun,
            "asked": self.limit.bound(self.teacher, score),
            "reached": None if self.found is None else self.loss(score) if loss else self.limit.shown(self.found),
            "on_test": None if self.test is None else score.shown(self.test),
            "outcome": self.outcome,
            "says_something": self.says_something,
            "lines": list(self.lines),
            "at": self.limit.at(self.teacher),
            "found": self.found,
            "spread": self.spread,
            "test": self.test,
        }


def says_something(limit: Limit, teacher: float, constant: float) -> bool:
    """Whether a limit on the loss of quality says anything: less than half of what the teacher knows beyond guessing.

    Args:
        limit: Of the loss of quality.
        teacher: The teacher's score.
        constant: The score of the best constant answer.
    """
    at = limit.at(teacher)
    return at is not None and at < _HALF * (teacher - constant)


def overall(outcomes: Iterable[Outcome | None], *, refused: bool = False) -> Outcome | None:
    """The outcome of a whole budget: that of its worst limit; None where all are kept and one says nothing.

    Args:
        outcomes: Of its limits.
        refused: Whether the model was refused, for whatever reason.
    """
    found = list(outcomes)
    order: tuple[Outcome | None, ...] = ("not met", "met on validation only", None)
    return "not met" if refused else next((one for one in order if one in found), "met")


def sentence(rows: Sequence[Reached], outcome: Outcome | None, score: Score = ACCURACY) -> str:
    """What became of a budget, in one sentence.

    Args:
        rows: What the model makes of each limit.
        outcome: Of the budget.
        score: Of which something may be lost.
    """
    if outcome == "met on validation only":
        row = next(row for row in rows if row.outcome == outcome)
        assert row.test is not None, "judged on test"
        return (
            f"The budget is met on validation ({row.loss(score)} {score.lost}), not on test "
            f"({score.amount(row.test)}): {row.limit.bound(row.teacher, score)} may be lost."
        )
    if outcome == "not met":
        missed = [row.limit.excess(row.found, row.teacher, score) for row in rows if row.outcome == outcome]
        return f"The budget is not met{': ' if missed else ''}{'; '.join(missed)}."
    figures = "; ".join(row.words(score) for row in rows)
    if outcome == "met":
        return f"The budget is met: {figures}."
    return f"The budget sets no limit that says anything about the {score.name}: {figures}."
