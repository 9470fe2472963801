"""What is minimized: named loss terms with weights, any of which may follow a schedule or hold for some epochs only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from torch import Tensor, nn

from attar.errors import BadInput, must, shown
from attar.tasks.labels import LabelKind
from attar.tasks.target import Target
from attar.training.batch import Batch
from attar.training.checked import check_types, named
from attar.training.schedule import Ramp, Schedule, ends_of, value_at


@runtime_checkable
class Loss(Protocol):
    """One loss: the student's output and the batch in, one value per example (or position) out, never reduced.

    It may say more of itself, as `suits`, `reads`, `label_kinds`, `softening` and `in_units` below ask.
    """

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Losses ``[batch]`` or ``[batch, position]``; the loop sums and divides."""
        ...


Read = Literal["labels", "targets"]
"""What a loss may hold the student's output against, number by number."""


def suits(loss: Loss) -> frozenset[Target]:
    """For what outputs a loss is, as its ``suits`` says; for all where it does not, as one of hidden layers."""
    found: frozenset[Target] = getattr(loss, "suits", frozenset(get_args(Target)))
    return found


def reads(loss: Loss) -> frozenset[Read]:
    """What a loss holds outputs against, as its ``reads`` says; nothing where it does not."""
    found: frozenset[Read] = getattr(loss, "reads", frozenset())
    return found


def label_kinds(loss: Loss) -> frozenset[LabelKind]:
    """What labels a loss reads, as its ``label_kinds`` says; any where it does not, and reads them as its outputs."""
    found: frozenset[LabelKind] = getattr(loss, "label_kinds", frozenset(get_args(LabelKind)))
    return found


def softening(loss: Loss) -> Schedule | None:
    """The temperature that a loss divides a teacher's logits by, as its ``softening`` says; None where it does not."""
    found: Schedule | None = getattr(loss, "softening", None)
    return found


def in_units(loss: Loss, units: Sequence[float]) -> Loss:
    """A loss of values with its errors in other units, as its ``in_units`` gives it; itself where it has none.

    Args:
        loss: The loss.
        units: For each output what errors are divided by, above 0.
    """
    rescaled = getattr(loss, "in_units", None)
    found: Loss = loss if rescaled is None else rescaled(units)
    return found


@named
@dataclass(frozen=True, kw_only=True)
class Term:
    """One named part of the objective.

    Attributes:
        loss: What is computed; a field of it that holds a `Ramp` follows it.
        weight: Factor, constant or scheduled, at least 0.
        start_epoch: First epoch in which the term counts, from 0.
        end_epoch: First epoch in which it no longer counts; None for never.
        of: Whose output the term judges: the student's, or that of a teacher that learns along.
    """

    loss: Loss
    weight: Schedule = 1.0
    start_epoch: int = 0
    end_epoch: int | None = None
    of: Literal["student", "teacher"] = "student"

    def __post_init__(self) -> None:
        _check_loss(self.loss)
        check_types(self)
        for end in ends_of(self.weight):
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


LOSSES = (
    "SoftTargets, HardLabels, CenteredLogits, SquaredError, Decoupled, StandardizedLogits, HiddenMatch, AttentionMaps, "
    "RelationalDistances, RelationalAngles, HardValues, BinaryLabels, BinaryTargets and Fixations"
)
"""The losses that come with Attar, in words."""


def _check_loss(loss: object) -> None:
    """Refuse what is often given in place of a loss."""
    if isinstance(loss, type) and loss.__module__.startswith("attar."):
        raise BadInput(f"loss of a term must be an object, and {loss.__name__} is a class. Write {loss.__name__}().")
    if isinstance(loss, nn.modules.loss._Loss):
        raise BadInput(
            f"loss of a term must give one value per example from (output, batch); torch's {type(loss).__name__} gives "
            f"one for all. Choose from {LOSSES}, or write a function of output and batch."
        )
    if not callable(loss):
        raise BadInput(
            f"loss of a term must be one of {LOSSES}, or a function of output and batch; got {shown(loss)}. "
            "For example Term(loss=SoftTargets(temperature=4.0))."
        )


@dataclass(frozen=True)
class Active:
    """A term as it stands at one step: its schedules resolved."""

    name: str
    loss: Loss
    weight: float
    of: Literal["student", "teacher"]


@dataclass(frozen=True)
class Objective:
    """A set of named terms; the loss is their weighted sum."""

    terms: Mapping[str, Term]

    def __post_init__(self) -> None:
        given: Any = self.terms
        if not isinstance(given, Mapping):
            example = 'Objective({"soft": Term(loss=SoftTargets())})'
            raise BadInput(f"An objective takes a dict of names and terms; got {shown(given)}. Write {example}.")
        if not self.terms:
            raise must("terms", "an objective", "at least one", {}, "Add a term, for example hard labels")
        for name, term in given.items():
            if not isinstance(name, str) or not name:
                raise BadInput(f"The names of an objective's terms must be texts; got {shown(name)}. Name each term.")
            if not isinstance(term, Term):
                remedy = "Write Term(loss=...)" if callable(term) else f"Write {name!r}: Term(loss=SoftTargets())"
                raise BadInput(f"{name!r} of an objective must be a Term; got {shown(term)}. {remedy}.")
        if not any(end > 0 for term in self.terms.values() for end in ends_of(term.weight)):
            raise must("weight", "an objective", "greater than 0 for a term at least", 0, "Nothing would be learned")

    @cached_property
    def moves(self) -> bool:
        """Whether a weight or a setting of a loss follows a schedule, so that terms change within an epoch."""
        return any(isinstance(term.weight, Ramp) or _ramps(term.loss) for term in self.terms.values())

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
    moving = {name: ramp.at(epoch) for name, ramp in _ramps(loss).items()}
    changed: Any = dataclasses.replace(anything, **moving) if moving else loss
    return changed  # type: ignore[no-any-return]


def _ramps(loss: Loss) -> dict[str, Ramp]:
    """The fields of a loss that hold a schedule."""
    anything: Any = loss
    if not dataclasses.is_dataclass(anything) or isinstance(anything, type):
        return {}
    fields = {each.name: getattr(anything, each.name) for each in dataclasses.fields(anything)}
    return {name: value for name, value in fields.items() if isinstance(value, Ramp)}
