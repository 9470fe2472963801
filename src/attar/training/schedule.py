"""Values that may move over the epochs of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from attar.errors import must


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A value that moves from ``start`` to ``end`` over some epochs and stays there.

    Attributes:
        start: Value until epoch ``begin``.
        end: Value from epoch ``begin + epochs`` on.
        epochs: Length of the way, in epochs, greater than 0.
        begin: Epoch at which it begins to move.
        shape: ``linear``, or ``cosine`` (slow at both ends).
    """

    start: float
    end: float
    epochs: float
    begin: float = 0.0
    shape: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        if not self.epochs > 0:
            raise must("epochs", "Ramp", "greater than 0", self.epochs, "Use a plain number for a constant")
        for name in ("start", "end", "epochs", "begin"):
            if not math.isfinite(getattr(self, name)):
                raise must(name, "Ramp", "finite", getattr(self, name), "Give a plain number")

    def at(self, epoch: float) -> float:
        """The value at a (fractional) epoch.

        Example:
            >>> Ramp(start=8.0, end=2.0, epochs=3.0).at(1.0)
            6.0
        """
        way = min(max((epoch - self.begin) / self.epochs, 0.0), 1.0)
        if self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        return self.start + (self.end - self.start) * way


Schedule = float | Ramp


def value_at(schedule: Schedule, epoch: float) -> float:
    """The value of a constant or a schedule at a (fractional) epoch."""
    return schedule.at(epoch) if isinstance(schedule, Ramp) else float(schedule)
