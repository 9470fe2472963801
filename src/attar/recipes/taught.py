"""Everything that a recipe trains: teacher, targets, students and their baselines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from attar.network.weights import digest
from attar.pipeline.nodes import Node
from attar.recipes.corrected import Corrected, corrected_of
from attar.recipes.imitated import Imitated, imitated_of
from attar.recipes.networks import check_teacher, network_of
from attar.recipes.specialists import Specialized, specialists_of
from attar.recipes.stages import Context, Trained, targets_of
from attar.recipes.steps import baseline_of, student_of
from attar.recipes.tabular import Made, Selected, selected_of
from attar.recipes.teachers import teacher_of
from attar.teachers.ensemble import Ensemble
from attar.teachers.teacher import NetworkTeacher, Teacher
from attar.training.train_module import reads_layers
from attar.transfer.once import Once
from attar.transfer.store import Targets
from attar.transfer.transfer_set import TargetSource
from attar.transfer.views import Views


@dataclass(frozen=True)
class Heard:
    """A frozen teacher and what it says: all that comes before the first student.

    Attributes:
        teacher: The frozen source of targets.
        members: Trainings of its networks that took place in this run.
        selected: How it was selected from a library; None if it was not.
        imitated: The examples that students and baselines have.
        source: Its targets, stored or live.
        views: How the examples are seen.
        store: The stage that stored the targets; None for a live teacher.
        specialized: The teacher as a generalist with specialists; None if it has none.
    """

    teacher: Teacher
    members: Sequence[Trained]
    selected: Selected | None
    imitated: Imitated
    source: TargetSource
    views: Views
    store: Node | None
    specialized: Specialized | None = None


@dataclass(frozen=True)
class Taught:
    """What the training stages left.

    Attributes:
        teacher: The frozen source of targets.
        members: Trainings of the teacher's networks that took place in this run.
        students: One training per seed.
        baselines: The same without the teacher; empty if the recipe wants none.
        heard: The teacher with its targets, as the students heard it; None where it learned along.
        corrected: Students and baselines before and after a shift of their logits; None without one.
    """

    teacher: Teacher
    members: Sequence[Trained]
    students: Sequence[Trained]
    baselines: Sequence[Trained]
    heard: Heard | None = None
    corrected: Corrected | None = None

    @property
    def targets(self) -> Targets | None:
        """The stored targets; None where the teacher was asked live or learned along."""
        source = None if self.heard is None else self.heard.source
        source = source.targets if isinstance(source, Once) else source
        return source if isinstance(source, Targets) else None

    @property
    def store(self) -> Node | None:
        """The stage that stored them."""
        return None if self.heard is None else self.heard.store

    @property
    def selected(self) -> Selected | None:
        """How the teacher was selected from a library; None if it was not."""
        return None if self.heard is None else self.heard.selected

    @property
    def specialized(self) -> Specialized | None:
        """The teacher as a generalist with specialists; None if it has none."""
        return None if self.heard is None else self.heard.specialized

    @property
    def made(self) -> Made | None:
        """Rows made for the teacher to be asked about; None if none were."""
        return None if self.heard is None else self.heard.imitated.made

    @property
    def student(self) -> Trained:
        """The student that ships: the best on validation, the first of equals."""
        return max(self.students, key=lambda one: one.score)

    @property
    def baseline(self) -> Trained | None:
        """The baseline that it is held against, chosen in the same way."""
        return max(self.baselines, key=lambda one: one.score) if self.baselines else None

    def network_of(self, kind: str) -> nn.Module:
        """What candidates of a kind are deployed from: the baseline for ``baseline``, the student for ``candidate``."""
        of = self.baseline if kind == "baseline" else self.student
        assert of is not None, "without a baseline it has no candidates"
        return of.network


def teach(context: Context) -> Taught:
    """Run the training stages of a recipe, or find them done."""
    if context.recipe.teacher.learns:
        return _together(context)
    heard, students = learn(context)
    baselines = _baselines(context, heard.imitated)
    corrected = corrected_of(context, heard.imitated.transfer, students, baselines)
    if corrected is not None:
        students, baselines = [one.after for one in corrected.students], [one.after for one in corrected.baselines]
    return Taught(heard.teacher, heard.members, students, baselines, heard, corrected)


def listen(context: Context) -> Heard:
    """Bring the teacher about, and its targets."""
    selected = None if context.recipe.teacher.library is None else selected_of(context)
    teacher, members = teacher_of(context) if selected is None else (selected.teacher, [])
    if context.recipe.teacher.given:
        check_teacher(teacher, context.dataset)
    specialized = specialists_of(context, teacher)
    if specialized is not None:
        teacher = specialized.teacher
    imitated = imitated_of(context, teacher)
    source, views, store = targets_of(context, teacher, imitated.transfer)
    return Heard(teacher, members, selected, imitated, source, views, store, specialized)


def learn(context: Context) -> tuple[Heard, list[Trained]]:
    """The teacher with its targets, and one student per seed."""
    heard = listen(context)
    split, fingerprint = heard.imitated.transfer, heard.teacher.fingerprint()
    feature_teacher = _feature_teacher_of(heard.teacher) if _reads(context) else None
    if feature_teacher is not None and isinstance(heard.teacher, Ensemble):
        # What an ensemble says does not depend on the order of its members; what a term reads in them does.
        fingerprint += digest(feature_teacher)
    students = [
        student_of(
            context, index, heard.source, heard.views, fingerprint, None, split, feature_teacher, heard.imitated.labeled
        )
        for index in range(context.recipe.student.seeds)
    ]
    return heard, students


def _feature_teacher_of(teacher: Teacher) -> nn.Module | None:
    """The network whose layers terms read, by their own names; None where there is none."""
    if isinstance(teacher, NetworkTeacher):
        return teacher.network
    return getattr(teacher, "module", None)


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
    return Taught(NetworkTeacher(beside, example=context.example), [], students, _baselines(context, None))


def _reads(context: Context) -> bool:
    return any(reads_layers(objective) for objective, _ in context.recipe.trainings)


def _baselines(context: Context, imitated: Imitated | None) -> list[Trained]:
    recipe = context.recipe
    examples, labeled = (None, None) if imitated is None else (imitated.examples, imitated.labeled)
    seeds = range(recipe.student.seeds) if recipe.baseline else []
    return [baseline_of(context, index, examples, labeled) for index in seeds]
