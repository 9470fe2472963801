"""Losses on the outputs of a network: against a teacher's, or against what is true.

Outputs are ``[batch, classes]``, ``[batch, position, classes]``, or maps, ``[batch, classes, height, width]``.
Those that have positions have a loss for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from attar.errors import BadInput, must
from attar.ops.divergence import centered_squared_error, cross_entropy, forward_kl, squared_error
from attar.ops.dtypes import at_least_float32
from attar.ops.maps import classes_last
from attar.ops.top_k import TopK, check_rest, top_k_kl
from attar.tasks.labels import ABSENT, LabelKind
from attar.tasks.target import Target
from attar.training.batch import Batch
from attar.training.checked import named
from attar.training.objective import Read
from attar.training.schedule import Schedule, check_temperature, value_at

Scale = float | Sequence[float] | None
"""What errors of values are divided by before they are squared."""


@named
@dataclass(frozen=True, kw_only=True)
class SoftTargets:
    """KL from the teacher's softened distribution to the student's.

    Attributes:
        temperature: Softening T, greater than 0.
        scale_by_t2: Multiply by T², which keeps the gradient's size about constant in T.
        rest: What becomes of the classes that are missing where the targets are the k likeliest alone: ``spread`` gives
            each an even share of the rest, ``bucket`` takes them for one class, so that the student may share that out
            as it likes. Where the targets are of all classes it changes nothing.

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 2. arXiv:1503.02531
    """

    suits: ClassVar[frozenset[Target]] = frozenset({"logits"})
    reads: ClassVar[frozenset[Read]] = frozenset({"targets"})

    temperature: Schedule = 4.0
    scale_by_t2: bool = True
    rest: Literal["spread", "bucket"] = "spread"

    def __post_init__(self) -> None:
        check_rest(self.rest, "SoftTargets")
        check_temperature(self.temperature, "SoftTargets")

    @property
    def softening(self) -> Schedule:
        """By what the teacher's logits are divided."""
        return self.temperature

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """KL in nats per example, times T² unless switched off."""
        temperature = value_at(self.temperature, 0.0)
        targets = batch.targets_for("SoftTargets")
        if isinstance(targets, TopK):
            loss = top_k_kl(output, targets, temperature=temperature, rest=self.rest)
        else:
            loss = forward_kl(classes_last(output), classes_last(targets), temperature=temperature)
        return loss * temperature**2 if self.scale_by_t2 else loss


@named
@dataclass(frozen=True, kw_only=True)
class HardLabels:
    """Cross-entropy with the labels; an example without one costs nothing.

    Attributes:
        smoothing: Share of the probability that is spread evenly over all classes, from 0 up to but not 1.
    """

    suits: ClassVar[frozenset[Target]] = frozenset({"logits"})
    reads: ClassVar[frozenset[Read]] = frozenset({"labels"})
    label_kinds: ClassVar[frozenset[LabelKind]] = frozenset({"class", "map"})

    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise must("smoothing", "HardLabels", "from 0 up to but not 1", self.smoothing, "0.05 to 0.1 is usual")

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy in nats per example."""
        if batch.labels is None:
            raise BadInput(
                "labels of the batch must be present for HardLabels; got none. Give labels or drop the term."
            )
        return cross_entropy(classes_last(output), batch.labels, absent=ABSENT, smoothing=self.smoothing)


@dataclass(frozen=True, kw_only=True)
class CenteredLogits:
    """Half the mean squared difference of the logits, each example's logits centered: the limit of high temperature.

    References:
        Hinton, Vinyals, Dean, 2015, section 2.1.
    """

    suits: ClassVar[frozenset[Target]] = frozenset({"logits"})
    reads: ClassVar[frozenset[Read]] = frozenset({"targets"})

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Squared logits per example."""
        targets = batch.full_targets("CenteredLogits")
        return centered_squared_error(classes_last(output), classes_last(targets))


@named
@dataclass(frozen=True, kw_only=True)
class SquaredError:
    """Mean squared difference to what the teacher gave: of probabilities, or of values in a regression.

    Attributes:
        kind: ``probabilities`` (softmax of both) or ``values`` (outputs as they are).
        scale: What differences of values are divided by first: one number, or one for each output; None divides by
            nothing, and in a recipe by the standard deviation of the training labels.

    References:
        Bucila, Caruana, Niculescu-Mizil, *Model Compression*, 2006, section 3: the mimic is trained on the ensemble's
        probabilities.
    """

    reads: ClassVar[frozenset[Read]] = frozenset({"targets"})

    kind: Literal["probabilities", "values"] = "probabilities"
    scale: Scale = None

    def __post_init__(self) -> None:
        _check_scale(self.scale, "SquaredError")
        if self.kind not in ("probabilities", "values"):
            raise must("kind", "SquaredError", "'probabilities' or 'values'", self.kind, "Values are for regression")

    @property
    def suits(self) -> frozenset[Target]:
        """Logits, whose probabilities it compares, or values."""
        return frozenset({"values" if self.kind == "values" else "logits"})

    def in_units(self, units: Sequence[float]) -> SquaredError:
        """The same with differences of values divided by these, where it has no scale of its own."""
        return replace(self, scale=tuple(units)) if self.kind == "values" and self.scale is None else self

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean over classes (or outputs) of the squared differences, per example."""
        output, targets = classes_last(output), classes_last(batch.full_targets("SquaredError"))
        if self.kind == "probabilities":
            return squared_error(at_least_float32(output).softmax(-1), at_least_float32(targets).softmax(-1))
        return squared_error(*_scaled(output, targets, self.scale))


@dataclass(frozen=True, kw_only=True)
class HardValues:
    """Mean squared difference to the true values of a regression; a value that is not known costs nothing.

    Attributes:
        scale: What differences are divided by first: one number, or one for each output; None divides by nothing, and
            in a recipe by the standard deviation of the training labels.
    """

    suits: ClassVar[frozenset[Target]] = frozenset({"values"})
    reads: ClassVar[frozenset[Read]] = frozenset({"labels"})

    scale: Scale = None

    def __post_init__(self) -> None:
        _check_scale(self.scale, "HardValues")

    def in_units(self, units: Sequence[float]) -> HardValues:
        """The same with differences divided by these, where it has no scale of its own."""
        return replace(self, scale=tuple(units)) if self.scale is None else self

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean over the outputs that are known of the squared differences, per example."""
        if batch.labels is None:
            raise BadInput(
                "labels of the batch must be present for HardValues; got none. Give the true values or drop the term."
            )
        known = ~batch.labels.isnan()
        if bool(known.all()):
            return squared_error(*_scaled(output, batch.labels, self.scale))
        # Of equal numbers neither loss nor gradient is anything; the mean then is over those that are known alone.
        means = squared_error(
            *_scaled(torch.where(known, output, 0.0), torch.where(known, batch.labels, 0.0), self.scale)
        )
        return means * known.shape[-1] / known.sum(-1).clamp(min=1)


def _scaled(output: Tensor, truth: Tensor, scale: Scale) -> tuple[Tensor, Tensor]:
    """Both divided by a scale."""
    if scale is None:
        return output, truth
    divisor = torch.as_tensor(scale, dtype=torch.float32, device=output.device)
    if divisor.dim() and divisor.shape != output.shape[-1:]:
        got = len(divisor)
        raise must("scale", "the loss", f"one number for each of {output.shape[-1]} outputs", got, "Give one for all")
    return at_least_float32(output) / divisor, at_least_float32(truth) / divisor


def _check_scale(scale: Scale, of: str) -> None:
    numbers = () if scale is None else (scale,) if isinstance(scale, int | float) else tuple(scale)
    if not all(math.isfinite(one) and one > 0 for one in numbers) or (scale is not None and not numbers):
        raise must("scale", of, "positive", scale, "Use the standard deviation of the labels")
