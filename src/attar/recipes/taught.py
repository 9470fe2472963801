"""Everything that a recipe trains: teacher, targets, students and their controls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from attar.network.describe import digest
from attar.recipes.folder import Stage
from attar.recipes.stages import (
    Context,
    Trained,
    control_of,
    network_of,
    student_of,
    targets_of,
    teacher_of,
)
from attar.teachers.teacher import NetworkTeacher, Teacher
from attar.transfer.store import Targets


@dataclass(frozen=True)
class Taught:
    """What the training stages left.

    Attributes:
        teacher: The frozen source of targets.
        members: Trainings of the teacher's networks that took place in this run.
        students: One training per seed.
        controls: The same without the teacher; empty if the recipe wants none.
        targets: The stored targets; None where the teacher was asked live or learned along.
        store: The stage that stored them.
    """

    teacher: Teacher
    members: Sequence[Trained]
    students: Sequence[Trained]
    controls: Sequence[Trained]
    targets: Targets | None = None
    store: Stage | None = None

    @property
    def student(self) -> Trained:
        """The student that ships: the best on validation, the first of equals."""
        return max(self.students, key=lambda one: one.score)

    @property
    def control(self) -> Trained | None:
        """The control that it is held against, chosen in the same way."""
        return max(self.controls, key=lambda one: one.score) if self.controls else None


def teach(context: Context) -> Taught:
    """Run the training stages of a recipe, or find them done."""
    if context.recipe.teacher.learns:
        return _together(context)
    seeds = range(context.recipe.student.seeds)
    teacher, members = teacher_of(context)
    source, views, store = targets_of(context, teacher)
    students = [student_of(context, index, source, views, teacher.fingerprint(), None) for index in seeds]
    targets = source if isinstance(source, Targets) else None
    return Taught(teacher, members, students, _controls(context), targets, store)


def _together(context: Context) -> Taught:
    """Teacher and student learn at once; the teacher of the best student is the one that is measured."""
    recipe, section = context.recipe, context.recipe.teacher
    assert section.network is not None, "the schema lets only networks learn"
    described = section.network

    def fresh() -> nn.Module:
        if section.weights:
            given, _ = teacher_of(context)
            assert isinstance(given, NetworkTeacher)
            return given.module
        return network_of(described, section.seed)

    heard = json.dumps([described.model_dump(), section.seed, digest(fresh())])
    views = recipe.transfer.views.views(recipe.seed)
    students = [student_of(context, index, None, views, heard, fresh) for index in range(recipe.student.seeds)]
    beside = max(students, key=lambda one: one.score).teacher
    assert beside is not None
    return Taught(NetworkTeacher(beside, example=context.example), [], students, _controls(context))


def _controls(context: Context) -> list[Trained]:
    recipe = context.recipe
    return [control_of(context, index) for index in range(recipe.student.seeds)] if recipe.control else []
