"""Losses on logits taken apart or rescaled, before they are compared as distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attar.errors import BadInput, must
from attar.ops.decoupling import decoupled, standardized
from attar.ops.divergence import forward_kl
from attar.ops.dtypes import at_least_float32
from attar.ops.maps import classes_last
from attar.tasks.labels import ABSENT, LabelKind
from attar.tasks.target import Target
from attar.training.batch import Batch
from attar.training.checked import named
from attar.training.objective import Read
from attar.training.schedule import Schedule, check_temperature, value_at


@named
@dataclass(frozen=True, kw_only=True)
class Decoupled:
    """KL to the teacher in two parts with weights of their own: label against rest, and the rest among themselves.

    With p the teacher's probability of the label, `SoftTargets` is this loss with ``alpha`` = 1 and ``beta`` = 1 - p:
    what a sure teacher gives the other classes then hardly counts. Here it counts by ``beta``. An example whose label
    is absent costs nothing, as there is nothing to take apart. Large weights do harm early in a training: the authors
    let the term's weight rise over the first 20 epochs (a `Ramp`).

    Attributes:
        alpha: Weight of the part of the label, at least 0.
        beta: Weight of the part of the other classes, at least 0; 0.5 to 10 in the paper.
        temperature: Softening T of both parts, greater than 0.
        scale_by_t2: Multiply by T², which keeps the gradient's size about constant in T.

    References:
        Zhao, Cui, Song, Qiu, Liang, *Decoupled Knowledge Distillation*, 2022, equation 7. arXiv:2203.08679
    """

    suits: ClassVar[frozenset[Target]] = frozenset({"logits"})
    reads: ClassVar[frozenset[Read]] = frozenset({"labels", "targets"})
    label_kinds: ClassVar[frozenset[LabelKind]] = frozenset({"class", "map"})

    alpha: float = 1.0
    beta: float = 8.0
    temperature: Schedule = 4.0
    scale_by_t2: bool = True

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise must(name, "Decoupled", "finite and at least 0", value, "Leave it out for its default")
        if self.alpha == self.beta == 0:
            raise must("alpha", "Decoupled", "greater than 0 where beta is 0", 0, "Drop the term to leave it out")
        check_temperature(self.temperature, "Decoupled")

    @property
    def softening(self) -> Schedule:
        """By what the teacher's logits are divided."""
        return self.temperature

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Weighted sum of both KLs in nats per example, times T² unless switched off."""
        output, targets = classes_last(output), classes_last(batch.full_targets("Decoupled"))
        if batch.labels is None:
            raise BadInput("labels of the batch must be present for Decoupled; got none. Give labels or drop the term.")
        temperature = value_at(self.temperature, 0.0)
        known = batch.labels != ABSENT
        labels = batch.labels.clamp_min(0)
        pair, others = decoupled(at_least_float32(output) / temperature, labels)
        its_pair, its_others = decoupled(at_least_float32(targets) / temperature, labels)
        loss = self.alpha * forward_kl(pair, its_pair) + self.beta * forward_kl(others, its_others)
        loss = loss * known
        return loss * temperature**2 if self.scale_by_t2 else loss


@named
@dataclass(frozen=True, kw_only=True)
class StandardizedLogits:
    """KL from the teacher's softened distribution to the student's, each example's logits standardized first.

    The student need not reach the size of the teacher's logits, only their proportions. The standard deviation is that
    of the authors' code, with one degree of freedom less than classes; the paper's equation has them all, which is
    another temperature. Two classes show only which one is larger, and give no gradient: take `SoftTargets` for them.

    Attributes:
        temperature: Softening T of the standardized logits, greater than 0.
        scale_by_t2: Multiply by T², which keeps the gradient's size about constant in T.

    References:
        Sun, Ren, Li, Wang, Cao, *Logit Standardization in Knowledge Distillation*, 2024, algorithm 1. arXiv:2403.01427
    """

    suits: ClassVar[frozenset[Target]] = frozenset({"logits"})
    reads: ClassVar[frozenset[Read]] = frozenset({"targets"})

    temperature: Schedule = 2.0
    scale_by_t2: bool = True

    def __post_init__(self) -> None:
        check_temperature(self.temperature, "StandardizedLogits")

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """KL in nats per example, times T² unless switched off."""
        output, targets = classes_last(output), classes_last(batch.full_targets("StandardizedLogits"))
        temperature = value_at(self.temperature, 0.0)
        loss = forward_kl(standardized(output), standardized(targets), temperature=temperature)
        return loss * temperature**2 if self.scale_by_t2 else loss
