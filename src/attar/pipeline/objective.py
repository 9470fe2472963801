"""The terms that a recipe can name, and their tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator
from torch import Tensor

from attar.data.split import Dataset
from attar.errors import must, near, shown
from attar.network.scaled_outputs import center_and_scale
from attar.pipeline.section import as_table, build
from attar.tasks.target import has_units
from attar.tasks.task import Task
from attar.training.losses.binary import BinaryLabels, BinaryTargets
from attar.training.losses.decoupled import Decoupled, StandardizedLogits
from attar.training.losses.features import AttentionMaps, HiddenMatch
from attar.training.losses.fixations import Fixations
from attar.training.losses.outputs import (
    CenteredLogits,
    HardLabels,
    HardValues,
    SoftTargets,
    SquaredError,
)
from attar.training.losses.relations import RelationalAngles, RelationalDistances
from attar.training.objective import Loss, Objective, Term, reads
from attar.training.objective import in_units as loss_in_units
from attar.training.schedule import Ramp

LOSSES: dict[str, type[Any]] = {
    "soft_targets": SoftTargets,
    "hard_labels": HardLabels,
    "hard_values": HardValues,
    "binary_labels": BinaryLabels,
    "binary_targets": BinaryTargets,
    "fixations": Fixations,
    "centered_logits": CenteredLogits,
    "squared_error": SquaredError,
    "decoupled": Decoupled,
    "standardized_logits": StandardizedLogits,
    "hidden_match": HiddenMatch,
    "attention_maps": AttentionMaps,
    "relational_distances": RelationalDistances,
    "relational_angles": RelationalAngles,
}
"""The loss terms, by the name that ``use`` gives."""


def _term(document: Any) -> Any:
    """One table of the objective: some keys are the term's own, the others belong to its loss."""
    if isinstance(document, Term):
        return document
    if not isinstance(document, Mapping):
        raise ValueError(f"must be a table; got {shown(document)}")
    use = document.get("use")
    if use is None:
        raise ValueError(f"key use is missing. Choose from {', '.join(map(repr, LOSSES))}")
    if not isinstance(use, str) or use not in LOSSES:
        raise ValueError(f"use must name a loss; got {shown(use)}. {near(str(use), LOSSES)}")
    own = {field.name for field in dataclasses.fields(Term)} - {"loss"}
    settings = {field.name for field in dataclasses.fields(LOSSES[use])}
    for key in document.keys() - own - settings - {"use"}:
        raise ValueError(f"unknown key {key!r}. {near(str(key), own | settings)}")
    loss = build(LOSSES[use], {key: document[key] for key in document.keys() & settings})
    half = build(_TermSettings, {key: document[key] for key in document.keys() & own})
    return Term(loss=loss, **vars(half))


@dataclass(frozen=True, kw_only=True)
class _TermSettings:
    """The keys of `Term` other than its loss."""

    weight: float | Ramp = 1.0
    start_epoch: int = 0
    end_epoch: int | None = None
    of: Literal["student", "teacher"] = "student"


def _term_table(term: Term) -> dict[str, Any]:
    table = {key: value for key, value in as_table(term).items() if key != "loss"}
    return {"use": use_of(term.loss), **table, **as_table(term.loss)}


TermTable = Annotated[Term, PlainValidator(_term), PlainSerializer(_term_table)]


def use_of(loss: Loss) -> str:
    """What a recipe calls a loss."""
    return {kind: name for name, kind in LOSSES.items()}[type(loss)]


def against_labels(task: Task) -> Objective:
    """The loss that suits labels of a task, and nothing else."""
    return Objective({"hard": _term(task.losses.labels)})


def usual_objective(task: Task, labels: bool = True) -> Objective:
    """What a student learns where nothing says it: losses of the task, half against labels, half against the teacher.

    Args:
        task: Of the data.
        labels: Whether the student gets them.
    """
    if not labels:
        return Objective({"soft": _term(task.losses.teacher)})
    tables = {"soft": task.losses.teacher, "hard": task.losses.labels}
    return Objective({name: _term({**table, "weight": 0.5}) for name, table in tables.items()})


def labels_alone(objective: Objective, task: Task) -> Objective:
    """The loss against labels of an objective, at full weight, or that of the task; and nothing else."""
    terms = objective.terms.values()
    hard = [term.loss for term in terms if reads(term.loss) == {"labels"} and term.of == "student"]
    return Objective({"hard": Term(loss=hard[0])}) if hard else against_labels(task)


def in_units(objective: Objective, dataset: Dataset) -> Objective:
    """The objective with errors of values in standard deviations of the training labels, where it has no scale itself.

    So learning rates and weights of terms mean the same in whatever unit values come.

    Args:
        objective: The terms.
        dataset: Of which the labels count.
    """
    if not has_units(dataset.task.target):
        return objective
    units = center_and_scale(known_labels(dataset))[1].tolist()
    terms = objective.terms.items()
    return Objective({name: dataclasses.replace(term, loss=loss_in_units(term.loss, units)) for name, term in terms})


def known_labels(dataset: Dataset) -> Tensor:
    """Labels by which values are standardized: those of train, and of validation where train has none.

    Args:
        dataset: With validation labels, as all have.
    """
    train = dataset.train.labels
    if train is not None and bool((~train.isnan()).any(0).all()):
        return train
    assert dataset.validation.labels is not None, "data sets have labels in validation"
    return dataset.validation.labels


def check_pauses(objective: Objective, epochs: int) -> None:
    """A pause between the terms would stop the training at that epoch, and a term that never starts counts for nothing.

    Raises:
        BadInput: If there is such a pause, or such a term.
    """
    for name, term in objective.terms.items():
        if term.start_epoch >= epochs:
            rule = f"less than epochs ({epochs}): the term would never start"
            raise must("start_epoch", f"term {name!r}", rule, term.start_epoch, "Drop the term, or train for longer")
    ends = (term.end_epoch for term in objective.terms.values() if term.end_epoch is not None)
    for epoch in {0, *(end for end in ends if end < epochs)}:
        objective.at(float(epoch))
