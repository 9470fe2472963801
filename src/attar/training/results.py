"""What comes of a training: one record per epoch, and the trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Epoch:
    """What is remembered of one epoch: mean losses per example, validation score, learning rate at its end."""

    epoch: int
    loss: float
    terms: Mapping[str, float]
    score: float | None
    learning_rate: float

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON document."""
        return asdict(self)


@dataclass(frozen=True)
class Fitted:
    """What came of a training.

    Attributes:
        model: The trained copy of the student, in eval mode, on the CPU.
        history: One entry per epoch.
        best_epoch: The epoch whose weights ``model`` has.
        score: Validation score of ``model``; None without validation.
        steps: Optimizer steps taken.
        stopped_early: True if patience ended it.
        teacher: The trained copy of a teacher that learned along with the student.
    """

    model: nn.Module
    history: Sequence[Epoch]
    best_epoch: int
    score: float | None
    steps: int
    stopped_early: bool = False
    teacher: nn.Module | None = None

    def __str__(self) -> str:
        score = "no validation" if self.score is None else f"validation {self.score:.4f}"
        return f"{len(self.history)} epochs, {self.steps} steps, best epoch {self.best_epoch} ({score})"
