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
from attar.recipes.tabular import Made, Selected, made_of, selected_of
from attar.teachers.teacher import NetworkTeacher, Teacher
from attar.transfer.store import Targets
from attar.transfer.transfer_set import TargetSource
from attar.transfer.views import Views


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
        selected: How the teacher was selected from a library; None if it was not.
        made: Rows made for the teacher to be asked about; None if none were.
    """

    teacher: Teacher
    members: Sequence[Trained]
    students: Sequence[Trained]
    controls: Sequence[Trained]
    targets: Targets | None = None
    store: Stage | None = None
    selected: Selected | None = None
    made: Made | None = None

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
    heard, students = learn(context)
    controls = _controls(context, None if heard.made is None else len(heard.made.split))
    targets = heard.source if isinstance(heard.source, Targets) else None
    return Taught(heard.teacher, heard.members, students, controls, targets, heard.store, heard.selected, heard.made)


@dataclass(frozen=True)
class Heard:
    """A frozen teacher and what it says: all that comes before the first student.

    Attributes:
        teacher: The frozen source of targets.
        members: Trainings of its networks that took place in this run.
        selected: How it was selected from a library; None if it was not.
        made: Rows made for it; None if none were.
        source: Its targets, stored or live.
        views: How the examples are seen.
        store: The stage that stored the targets; None for a live teacher.
    """

    teacher: Teacher
    members: Sequence[Trained]
    selected: Selected | None
    made: Made | None
    source: TargetSource
    views: Views
    store: Stage | None


def listen(context: Context) -> Heard:
    """Bring the teacher about, and its targets."""
    selected = None if context.recipe.teacher.library is None else selected_of(context)
    teacher, members = teacher_of(context) if selected is None else (selected.teacher, [])
    made = made_of(context, teacher)
    source, views, store = targets_of(context, teacher, None if made is None else made.split)
    return Heard(teacher, members, selected, made, source, views, store)


def learn(context: Context) -> tuple[Heard, list[Trained]]:
    """The teacher with its targets, and one student per seed."""
    heard = listen(context)
    split = None if heard.made is None else heard.made.split
    fingerprint = heard.teacher.fingerprint()
    seeds = range(context.recipe.student.seeds)
    return heard, [student_of(context, index, heard.source, heard.views, fingerprint, None, split) for index in seeds]


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


def _controls(context: Context, examples: int | None = None) -> list[Trained]:
    recipe = context.recipe
    return [control_of(context, index, examples) for index in range(recipe.student.seeds)] if recipe.control else []
