"""Losses on outputs that are a logit for each of several labels, of which any may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attar.errors import BadInput
from attar.ops.binary import binary_cross_entropy, binary_kl
from attar.tasks.labels import ABSENT
from attar.tasks.target import Target
from attar.training.batch import Batch
from attar.training.checked import named
from attar.training.objective import Read
from attar.training.schedule import Schedule, check_temperature, value_at


@named
@dataclass(frozen=True, kw_only=True)
class BinaryLabels:
    """Binary cross-entropy with the labels, mean over those of an example that are known; 0 where none is."""

    suits: ClassVar[frozenset[Target]] = frozenset({"log_odds"})
    reads: ClassVar[frozenset[Read]] = frozenset({"labels"})

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy in nats per example."""
        if batch.labels is None:
            raise BadInput(
                "labels of the batch must be present for BinaryLabels; got none. Give labels or drop the term."
            )
        losses = binary_cross_entropy(output, batch.labels, absent=ABSENT)
        return losses.sum(-1) / (batch.labels != ABSENT).sum(-1).clamp_min(1)


@named
@dataclass(frozen=True, kw_only=True)
class BinaryTargets:
    """KL from the teacher's softened probability of each label to the student's, mean over the labels.

    Attributes:
        temperature: Softening T, greater than 0.
        scale_by_t2: Multiply by T², which keeps the gradient's size about constant in T.

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 2, with a distribution over
        yes and no for each label in place of one over classes. arXiv:1503.02531
    """

    suits: ClassVar[frozenset[Target]] = frozenset({"log_odds"})
    reads: ClassVar[frozenset[Read]] = frozenset({"targets"})

    temperature: Schedule = 2.0
    scale_by_t2: bool = True

    def __post_init__(self) -> None:
        check_temperature(self.temperature, "BinaryTargets")

    @property
    def softening(self) -> Schedule:
        """By what the teacher's logits are divided."""
        return self.temperature

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """KL in nats per example, times T² unless switched off."""
        temperature = value_at(self.temperature, 0.0)
        loss = binary_kl(output, batch.full_targets("BinaryTargets"), temperature=temperature).mean(-1)
        return loss * temperature**2 if self.scale_by_t2 else loss
