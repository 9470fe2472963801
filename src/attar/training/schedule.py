"""Values that may move over the epochs of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from attar.errors import must
from attar.training.checked import check_types, named


@named
@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A value that moves from ``start`` to ``end`` over some epochs and stays there.

    Attributes:
        start: Value until epoch ``begin``.
        end: Value from epoch ``begin + epochs`` on.
        epochs: Length of the move, in epochs, greater than 0.
        begin: Epoch at which it begins to move.
        shape: ``linear``, or ``cosine`` (slow at both ends).
    """

    start: float
    end: float
    epochs: float
    begin: float = 0.0
    shape: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        check_types(self)
        if not self.epochs > 0:
            raise must("epochs", "Ramp", "greater than 0", self.epochs, "Use a plain number for a constant")
        for name in ("start", "end", "epochs", "begin"):
            if not math.isfinite(getattr(self, name)):
                raise must(name, "Ramp", "finite", getattr(self, name), "Give a plain number")
        if self.begin + self.epochs <= 0:
            rule = f"after {-self.epochs:g}: the ramp would be over before the training begins"
            raise must("begin", "Ramp", rule, self.begin, "Epochs count from 0")

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


def ends_of(schedule: Schedule) -> tuple[float, ...]:
    """The values between which a schedule stays: both ends of a ramp, or the constant."""
    return (schedule.start, schedule.end) if isinstance(schedule, Ramp) else (float(schedule),)


def check_temperature(temperature: Schedule, of: str) -> None:
    """See that logits can be divided by a temperature, and a loss multiplied by its square, in float32.

    Raises:
        BadInput: If an end of it is outside of `TEMPERATURES`.
    """
    low, high = TEMPERATURES
    for end in ends_of(temperature):
        if not end > 0:
            raise must("temperature", of, "finite and greater than 0", end, "1 is plain probabilities; 2 to 8 is usual")
        if not low <= end <= high:
            rule = f"finite and greater than 0, from {low:g} to {high:,.0f}, where probabilities still differ"
            raise must("temperature", of, rule, end, "1 is plain probabilities; 2 to 8 is usual")


TEMPERATURES = (1e-3, 1e4)
"""Below, soft targets are labels to the last digit; above, all classes are equally likely to the last digit."""
