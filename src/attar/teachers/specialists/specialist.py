"""One specialist: a teacher of some classes and the rest of them together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from attar.errors import must, near
from attar.teachers.teacher import Teacher

Correction = Literal["literal", "exact", "none"]
"""What is added to the logit of the rest, which training has seen too rarely."""


@dataclass(frozen=True, kw_only=True)
class Specialist:
    """A teacher of some classes, and how often these were there when it was trained.

    Attributes:
        classes: Numbers of its classes, in the order of its logits; the last logit is that of all other classes.
        teacher: Gives ``[batch, len(classes) + 1]`` logits.
        share: Share of its classes in the data, between 0 and 1.
        special_fraction: Their share in what it was trained on.
        head: Name of its network's last layer.
        score: Accuracy on validation, of its classes and the rest, both mixed as in training.
        history: One plain entry per epoch.
    """

    classes: tuple[int, ...]
    teacher: Teacher
    share: float
    special_fraction: float = 0.5
    head: str = ""
    score: float | None = None
    history: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise must("classes", "a specialist", "one or more, each named once", self.classes, "Name its classes")
        for name in ("share", "special_fraction"):
            if not 0 < getattr(self, name) < 1:
                remedy = "Give the share of its classes among all examples"
                raise must(name, "a specialist", "between 0 and 1", getattr(self, name), remedy)
        if self.teacher.classes != len(self.classes) + 1:
            rule = f"of {len(self.classes) + 1} logits: its {len(self.classes)} classes and the rest"
            raise must("teacher", "a specialist", rule, self.teacher.classes, "Give a logit for the rest")

    def shift(self, correction: Correction) -> float:
        """What is added to the logit of the rest.

        With f the share of the special classes in training and s that in the data, ``literal`` adds log(f / s), the log
        of the proportion by which they were over-sampled, as the paper says; ``exact`` adds
        log(f (1 - s) / (s (1 - f))), which by Bayes's rule undoes the sampling; ``none`` adds nothing.

        Raises:
            BadInput: If there is no such correction.

        References:
            Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 5.2.
        """
        if correction not in get_args(Correction):
            rule = f"one of {', '.join(map(repr, get_args(Correction)))}"
            remedy = near(str(correction), get_args(Correction))
            raise must("dustbin_correction", "Specialists", rule, correction, remedy)
        fraction, share = self.special_fraction, self.share
        if correction == "literal":
            return math.log(fraction / share)
        if correction == "exact":
            return math.log(fraction * (1 - share) / (share * (1 - fraction)))
        return 0.0
