"""How far a training is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from attar.training.results import Epoch


@dataclass
class LoopState:
    """How far a training is: what a checkpoint holds besides the modules, the optimizer and the callbacks.

    Attributes:
        epoch: Epoch under way, from 0.
        step_in_epoch: Steps taken in it.
        step: Steps taken since the beginning.
        total: Sum of the weighted losses of the epoch's examples.
        counted: By how many examples (or positions) it is to be divided.
        sums: The same for each term, unweighted.
        counts: Their divisors.
        history: The epochs that are over.
        best_epoch: The epoch of ``best``.
        best_score: Its validation score.
        best: The state of the `TrainModule` that would be returned now.
        best_is_edited: Whether the student got another shape since ``best_score`` was measured.
        shape_epoch: The first epoch at whose end the student had its present shape: patience begins with it.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    total: float = 0.0
    counted: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = -1
    best_score: float | None = None
    best: dict[str, Tensor] = field(default_factory=dict)
    best_is_edited: bool = False
    shape_epoch: int = 0

    def to_state(self) -> dict[str, Any]:
        """The same as tensors and values that a checkpoint holds."""
        return {**vars(self), "history": [entry.to_json() for entry in self.history]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> LoopState:
        """What `to_state` gave."""
        return cls(**{**state, "history": [Epoch(**entry) for entry in state["history"]]})

    def epoch_so_far(self, score: float | None, learning_rate: float) -> Epoch:
        """What the history says of the epoch under way.

        Args:
            score: Of validation.
            learning_rate: Of the next step.
        """
        means = {name: value / max(self.counts[name], 1) for name, value in self.sums.items()}
        return Epoch(self.epoch, self.total / max(self.counted, 1), means, score, learning_rate)

    def begin_epoch(self, epoch: int) -> None:
        """Go on with an epoch of which no step was taken."""
        self.epoch, self.step_in_epoch = epoch, 0
        self.total, self.counted, self.sums, self.counts = 0.0, 0, {}, {}

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether so many epochs are over since the best one of the student's present shape; never if None."""
        if patience is None or self.best_score is None:
            return False
        scores = [one.score for one in self.history if one.score is not None and one.epoch >= self.shape_epoch]
        return bool(scores) and len(scores) - 1 - max(range(len(scores)), key=scores.__getitem__) >= patience
