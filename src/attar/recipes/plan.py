"""What a recipe would do, found out without training anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from attar.deployment.artifact import candidates
from attar.evidence.units import count, grouped, size
from attar.network.cost import cost
from attar.recipes.part import taken
from attar.recipes.read import recipe_of
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.teacher import SpecialistsSection, TeacherSection
from attar.recipes.stages import check_networks, data_of, fitted_to, network_of
from attar.recipes.steps import check_steps
from attar.recipes.trusted import trusted
from attar.teachers.families import FAMILIES
from attar.training.batch import ABSENT
from attar.training.progress import Progress, silent
from attar.transfer.datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The outline of a run.

    Attributes:
        name: The recipe's.
        folder: Where it would be written.
        data: The data set in words.
        teacher_members: Models in the teacher, or in the library that it is selected from.
        teacher_macs: Multiply-adds of the whole teacher for one example; None for anything but networks.
        teacher_steps: Optimizer steps to train the teacher; 0 if it is given.
        specialist_steps: Optimizer steps to train its specialists, about; 0 if it has none.
        student_parameters: Parameters of the student.
        student_macs: Its multiply-adds for one example.
        student_steps: Optimizer steps for all students and controls.
        labels: Examples that the teacher labels, views counted; 0 where it is asked live.
        targets_bytes: About how large the stored targets become.
        candidates: Ways to deploy that would be tried.
    """

    name: str
    folder: str
    data: str
    teacher_members: int
    teacher_macs: int | None
    teacher_steps: int
    student_parameters: int
    student_macs: int
    student_steps: int
    labels: int
    targets_bytes: int
    candidates: list[str]
    specialist_steps: int = 0

    def to_json(self) -> dict[str, Any]:
        """The same as a plain document."""
        return asdict(self)

    def __str__(self) -> str:
        student = f"{count(self.student_parameters)} parameters, {count(self.student_macs)} multiply-adds"
        macs = "unknown multiply-adds" if self.teacher_macs is None else f"{count(self.teacher_macs)} multiply-adds"
        fewer = (
            ""
            if self.teacher_macs is None
            else f", {self.teacher_macs / self.student_macs:.1f}x fewer than the teacher's"
        )
        specialists = f", about {grouped(self.specialist_steps)} of its specialists" if self.specialist_steps else ""
        trained = f"{grouped(self.teacher_steps)} steps of training{specialists}"
        return "\n".join(
            [
                f"{self.name} into {self.folder}; nothing was trained or written",
                f"data      {self.data}",
                f"teacher   {self.teacher_members} models, {macs}; {trained}",
                f"targets   {grouped(self.labels)} examples to label, about {size(self.targets_bytes)}",
                f"student   {student}{fewer}; {grouped(self.student_steps)} steps with its controls",
                f"deploy    {', '.join(self.candidates)}",
            ]
        )


def plan(
    recipe: Recipe | Mapping[str, Any] | Path | str,
    out: Path | str | None = None,
    *,
    allow: Sequence[str] = (),
    progress: Progress = silent,
) -> Plan:
    """Check a recipe down to its data and networks, and say what it would do.

    Args:
        recipe: The recipe, as for `attar.recipes.compress.compress`.
        out: The run folder it would go to.
        allow: Packages whose functions it may name, as there.
        progress: Shown while data are downloaded.

    Raises:
        BadInput: If anything that the recipe names breaks a rule.
    """
    recipe = recipe_of(recipe, allow)
    with trusted(recipe):
        return _plan(recipe, out, progress)


def _plan(recipe: Recipe, out: Path | str | None, progress: Progress) -> Plan:
    dataset = data_of(recipe, progress)
    check_networks(recipe, dataset)
    network = check_steps(recipe, dataset)
    example = dataset.train.floats(slice(0, 1))
    student = cost(network_of(fitted_to(recipe.student.network, dataset), recipe.seed), example)
    teacher, steps = None, 0
    if recipe.teacher.network is not None:
        teacher = recipe.teacher.count * cost(network_of(recipe.teacher.network, recipe.teacher.seed), example).macs
        if not recipe.teacher.weights and not recipe.teacher.learns:
            training = recipe.teacher.training
            steps = recipe.teacher.count * training.epochs * math.ceil(len(dataset.train) / training.batch_size)
    stored = recipe.transfer.cached and not recipe.teacher.learns
    made = recipe.transfer.synthesis
    transfer = taken(recipe, dataset).transfer
    examples = len(dataset.train if transfer is None else transfer)
    if made is not None:
        examples = made.rows + made.original * len(dataset.train)
    labels = examples * (recipe.transfer.views.count if recipe.transfer.label_views else 1) if stored else 0
    top_k, number = recipe.transfer.top_k, 1 if recipe.transfer.codes == "int8" else 2
    scale = 2 if number == 1 else 0
    width = number * len(dataset.classes) + scale if top_k is None else (4 + number) * top_k + 4 + scale
    return Plan(
        name=recipe.name,
        folder=str(out if out is not None else Path("runs") / recipe.name),
        data=repr(dataset),
        teacher_members=_models(recipe.teacher),
        teacher_macs=teacher,
        teacher_steps=steps,
        student_parameters=student.parameters,
        student_macs=student.macs,
        student_steps=recipe.student.seeds
        * (1 + recipe.control)
        * sum(training.epochs * math.ceil(examples / training.batch_size) for _, training in recipe.trainings),
        labels=labels,
        targets_bytes=labels * width,
        candidates=[one.name for one in candidates(recipe.artifacts.runtimes, recipe.artifacts.int8, network)],
        specialist_steps=0
        if recipe.teacher.specialists is None
        else _specialist_steps(recipe.teacher.specialists, dataset),
    )


def _specialist_steps(section: SpecialistsSection, dataset: Dataset) -> int:
    """About how many steps all specialists take: sets that are yet to be found count as equally large ones."""
    names, labels = dataset.classes, dataset.train.labels
    known = labels[labels != ABSENT] if labels is not None else torch.empty(0, dtype=torch.int64)
    if section.sets is None:
        assert section.clusters is not None, "the schema wants clusters or sets"
        share = 1 / section.clusters if section.set_size is None else section.set_size / len(names)
        special = [len(known) * share] * section.clusters
    else:
        numbers = [torch.tensor([names.index(name) for name in one]) for one in section.sets]
        special = [float(torch.isin(known, one).sum()) for one in numbers]
    training = section.training
    return sum(training.epochs * math.ceil(one / section.special_fraction / training.batch_size) for one in special)


def _models(teacher: TeacherSection) -> int:
    """Members of the teacher, or models in its library."""
    if teacher.library is None:
        return teacher.count
    given = teacher.library.families
    families = [family for name, family in FAMILIES.items() if (family.installed if given is None else name in given)]
    full = teacher.library.size == "full"
    return sum(len(family.small) + full * len(family.full) for family in families)
