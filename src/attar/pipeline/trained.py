"""What came of the steps of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from attar.models.model import Model


@dataclass(frozen=True)
class Trained:
    """A model that a list of steps made, read back from its files.

    Attributes:
        name: Of the node of the last step, such as ``student/0``.
        use: The last step: ``distill``, ``quantize``, ...
        model: What it gave, in eval mode.
        score: Of the model on validation: what the recipe chooses by.
        history: One plain entry per epoch of the last step.
        facts: What else the last step remembered.
        teacher: The teacher that learned beside it, if one did.
        earlier: What the steps before gave, in order.
    """

    name: str
    use: str
    model: Model
    score: float
    history: Sequence[Mapping[str, Any]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    teacher: nn.Module | None = None
    earlier: Sequence[Trained] = ()

    @property
    def network(self) -> nn.Module:
        """The module of the model."""
        return self.model.module

    @property
    def steps(self) -> tuple[Trained, ...]:
        """What every step gave, the last one with them."""
        return (*self.earlier, self)
