"""What is minimized: named loss terms with weights, any of which may follow a schedule or hold for some epochs only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from attar.errors import BadInput, must
from attar.ops.divergence import centered_squared_error, cross_entropy, forward_kl, squared_error
from attar.training.batch import ABSENT, Batch


@runtime_checkable
class Loss(Protocol):
    """One loss: the student's output and the batch in, one value per example (or position) out, never reduced."""

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Losses ``[batch]`` or ``[batch, position]``; the loop sums and divides."""
        ...


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


@dataclass(frozen=True, kw_only=True)
class SoftTargets:
    """KL from the teacher's softened distribution to the student's.

    Attributes:
        temperature: Softening T, greater than 0.
        scale_by_t2: Multiply by T², which keeps the gradient's size about constant in T.

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 2. arXiv:1503.02531
    """

    temperature: Schedule = 4.0
    scale_by_t2: bool = True

    def __post_init__(self) -> None:
        ends = (
            (self.temperature.start, self.temperature.end)
            if isinstance(self.temperature, Ramp)
            else (self.temperature,)
        )
        for end in ends:
            if not 0 < end < math.inf:
                remedy = "1 is plain probabilities; 2 to 8 is usual"
                raise must("temperature", "SoftTargets", "finite and greater than 0", end, remedy)

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """KL in nats per example, times T² unless switched off."""
        temperature = value_at(self.temperature, 0.0)
        loss = forward_kl(output, _targets(batch, "SoftTargets"), temperature=temperature)
        return loss * temperature**2 if self.scale_by_t2 else loss


@dataclass(frozen=True, kw_only=True)
class HardLabels:
    """Cross-entropy with the labels; an example without one costs nothing.

    Attributes:
        smoothing: Share of the probability that is spread evenly over all classes, from 0 up to but not 1.
    """

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
        return cross_entropy(output, batch.labels, absent=ABSENT, smoothing=self.smoothing)


@dataclass(frozen=True, kw_only=True)
class CenteredLogits:
    """Half the mean squared difference of the logits, each example's logits centered: the limit of high temperature.

    References:
        Hinton, Vinyals, Dean, 2015, section 2.1.
    """

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Squared logits per example."""
        return centered_squared_error(output, _targets(batch, "CenteredLogits"))


@dataclass(frozen=True, kw_only=True)
class SquaredError:
    """Mean squared difference to what the teacher gave: of probabilities, or of plain values in a regression.

    Attributes:
        of: ``probabilities`` (softmax of both) or ``values`` (outputs as they are).

    References:
        Bucila, Caruana, Niculescu-Mizil, *Model Compression*, 2006, section 3: the mimic is trained on the ensemble's
        probabilities.
    """

    of: Literal["probabilities", "values"] = "probabilities"

    def __post_init__(self) -> None:
        if self.of not in ("probabilities", "values"):
            raise must("of", "SquaredError", "'probabilities' or 'values'", self.of, "Values are for regression")

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean over classes (or outputs) of the squared differences, per example."""
        targets = _targets(batch, "SquaredError")
        if self.of == "probabilities":
            return squared_error(output.float().softmax(-1), targets.float().softmax(-1))
        return squared_error(output, targets)


@dataclass(frozen=True, kw_only=True)
class HardValues:
    """Mean squared difference to the true values of a regression."""

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean over outputs of the squared differences, per example."""
        if batch.values is None:
            raise BadInput(
                "values of the batch must be present for HardValues; got none. Give values or drop the term."
            )
        return squared_error(output, batch.values)


def _targets(batch: Batch, term: str) -> Tensor:
    if batch.targets is None:
        raise BadInput(f"targets of the batch must be present for {term}; got none. Give a teacher or drop the term.")
    return batch.targets


@dataclass(frozen=True, kw_only=True)
class Term:
    """One named part of the objective.

    Attributes:
        loss: What is computed; a field of it that holds a `Ramp` follows it.
        weight: Factor, constant or scheduled, at least 0.
        start_epoch: First epoch in which the term counts, from 0.
        end_epoch: First epoch in which it no longer counts; None for never.
        of: Whose output the term judges: the student's, or a teacher's that learns beside it.
    """

    loss: Loss
    weight: Schedule = 1.0
    start_epoch: int = 0
    end_epoch: int | None = None
    of: Literal["student", "teacher"] = "student"

    def __post_init__(self) -> None:
        ends = (self.weight.start, self.weight.end) if isinstance(self.weight, Ramp) else (self.weight,)
        for end in ends:
            if not 0 <= end < math.inf:
                raise must("weight", "a loss term", "finite and at least 0", end, "Drop the term to leave it out")
        if self.start_epoch < 0:
            raise must("start_epoch", "a loss term", "at least 0", self.start_epoch, "Epochs count from 0")
        if self.end_epoch is not None and self.end_epoch <= self.start_epoch:
            raise must(
                "end_epoch",
                "a loss term",
                f"after start_epoch ({self.start_epoch})",
                self.end_epoch,
                "Leave it out for the end",
            )


@dataclass(frozen=True)
class Active:
    """A term as it stands at one moment: its schedules resolved."""

    name: str
    loss: Loss
    weight: float
    of: Literal["student", "teacher"]


@dataclass(frozen=True)
class Objective:
    """A set of named terms; the loss is their weighted sum."""

    terms: Mapping[str, Term]

    def __post_init__(self) -> None:
        if not self.terms:
            raise must("terms", "an objective", "at least one", {}, "Add a term, for example hard labels")

    def at(self, epoch: float) -> list[Active]:
        """The terms that count at a (fractional) epoch, with weights and settings resolved.

        Raises:
            BadInput: If none counts: the step would change nothing.
        """
        active = list(self._active(epoch))
        if not active:
            raise must(
                "terms",
                "the objective",
                f"in force in every epoch, also {int(epoch)}",
                list(self.terms),
                "Widen start_epoch and end_epoch",
            )
        return active

    def _active(self, epoch: float) -> Iterator[Active]:
        for name, term in self.terms.items():
            if term.start_epoch <= epoch and (term.end_epoch is None or epoch < term.end_epoch):
                yield Active(name, _resolved(term.loss, epoch), value_at(term.weight, epoch), term.of)


def _resolved(loss: Loss, epoch: float) -> Loss:
    """The loss with every field that holds a schedule replaced by its value."""
    anything: Any = loss
    if not dataclasses.is_dataclass(anything) or isinstance(anything, type):
        return loss
    fields = {f.name: getattr(anything, f.name) for f in dataclasses.fields(anything)}
    moving = {name: ramp.at(epoch) for name, ramp in fields.items() if isinstance(ramp, Ramp)}
    changed: Any = dataclasses.replace(anything, **moving) if moving else loss
    return changed  # type: ignore[no-any-return]
