"""What hidden layers gave for a batch, for the terms that read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Features:
    """What one layer of the student and one of the teacher gave for the same examples.

    Attributes:
        student: ``[batch, ...]``, behind the projector where the term has one; gradients flow here.
        teacher: ``[batch, ...]``, without a gradient (unless the teacher learns along and is not detached).
    """

    student: Tensor
    teacher: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Features:
        """Both, changed alike."""
        return Features(change(self.student), change(self.teacher))


@runtime_checkable
class ReadsLayers(Protocol):
    """A loss that reads hidden layers: `fit` taps them and gives the loss a batch with ``features``."""

    @property
    def student_layer(self) -> str | None:
        """Dotted name of the layer of the student; None if the loss reads the outputs after all."""
        ...

    @property
    def teacher_layer(self) -> str | None:
        """Dotted name of the layer of the teacher."""
        ...


@runtime_checkable
class Projects(Protocol):
    """A loss that compares features of different widths: `fit` trains its projector along with the student."""

    def projector(self, student: Tensor, teacher: Tensor) -> nn.Module | None:
        """A fresh module that brings the student's features to the teacher's width; None if they have it.

        Args:
            student: Features of an example or some, of which the shape alone matters.
            teacher: The teacher's features of the same examples.
        """
        ...
