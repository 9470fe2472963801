"""Everything that a recipe trains: the teacher with its targets, students, and their baselines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from attar.data.store import Targets
from attar.data.transfer_set import TargetSource
from attar.data.unaugmented import UnaugmentedTargets
from attar.data.views import Views
from attar.network.weights import digest
from attar.pipeline.nodes import Node
from attar.pipeline.runner import run_steps
from attar.pipeline.step import TeacherTools, Tools
from attar.pipeline.trained import Trained
from attar.recipes.context import Context, allowed
from attar.recipes.networks import check_teacher, fitted_to, fresh
from attar.recipes.parallel import Role, train_at_once
from attar.recipes.specialists import Specialized, specialists_of
from attar.recipes.stages import TARGETS, students_stage, teacher_stage
from attar.recipes.tabular import Selected, selected_of, synthetic_rows
from attar.recipes.targets import targets_of
from attar.recipes.teachers import first_model, teacher_of, train_member
from attar.recipes.transfer_examples import TransferExamples, without_synthesis
from attar.teachers.ensemble import Ensemble
from attar.teachers.outputs import stated_output
from attar.teachers.teacher import NetworkTeacher, Teacher
from attar.training.train_module import reads_layers


@dataclass(frozen=True)
class PreparedTeacher:
    """A frozen teacher and its targets: all that comes before the first student.

    Attributes:
        teacher: The frozen source of targets.
        members: Trainings of its networks that took place in this run.
        selected: How it was selected from a library; None if it was not.
        examples: What students and baselines learn from.
        source: Its targets, stored or live.
        views: How the examples are seen.
        store: The node that stored the targets; None for a live teacher.
        specialized: The teacher as a generalist with specialists; None if it has none.
    """

    teacher: Teacher
    members: Sequence[Trained]
    selected: Selected | None
    examples: TransferExamples
    source: TargetSource
    views: Views
    store: Node | None
    specialized: Specialized | None = None


@dataclass(frozen=True)
class Trainings:
    """What was trained.

    Attributes:
        teacher: The frozen source of targets.
        members: Trainings of the teacher's networks that took place in this run.
        students: One per seed.
        baselines: The same without the teacher; empty if the recipe wants none.
        prepared: The teacher with its targets; None where it learned beside the students.
    """

    teacher: Teacher
    members: Sequence[Trained]
    students: Sequence[Trained]
    baselines: Sequence[Trained]
    prepared: PreparedTeacher | None = None

    @property
    def targets(self) -> Targets | None:
        """The stored targets; None where the teacher was asked live or learned along."""
        source = None if self.prepared is None else self.prepared.source
        source = source.targets if isinstance(source, UnaugmentedTargets) else source
        return source if isinstance(source, Targets) else None

    @property
    def selected(self) -> Selected | None:
        """How the teacher was selected from a library; None if it was not."""
        return None if self.prepared is None else self.prepared.selected

    @property
    def student(self) -> Trained:
        """The student that ships: the best on validation, the first of equals."""
        return max(self.students, key=lambda one: one.score)

    @property
    def baseline(self) -> Trained | None:
        """The baseline that it is held against, chosen in the same way."""
        return max(self.baselines, key=lambda one: one.score) if self.baselines else None

    def trained(self, kind: str) -> Trained:
        """What candidates of a kind are deployed from: the student for ``candidate``, and the ``baseline``."""
        of = self.baseline if kind == "baseline" else self.student
        assert of is not None, "without a baseline it has no candidates"
        return of


def train_all(context: Context, prepared: PreparedTeacher | None = None) -> Trainings:
    """Train teacher, students and baselines, or find them done.

    Args:
        context: The run.
        prepared: The teacher and its targets, where they are there already.
    """
    if context.recipe.teacher.learns:
        return _together(context)
    if prepared is None:
        context.stages.begin(teacher_stage(context.recipe))
        synthesis = context.recipe.transfer.synthesis is not None  # for which the teacher has to be there
        train_at_once(context, ("teacher",), train_one, later=() if synthesis else ("baseline",))
        prepared = prepare_teacher(context)
    students = train_students(context, prepared, baselines=True)
    return Trainings(prepared.teacher, prepared.members, students, _baselines(context, prepared.examples), prepared)


def train_one(context: Context, role: Role, index: int, prepared: PreparedTeacher | None = None) -> Trained:
    """One network that the recipe wants trained, or found done.

    Args:
        context: The run.
        role: Whose: a member of the teacher, a student, or a baseline.
        index: Number of the member, or of the seed.
        prepared: The teacher and its targets; None where it learns beside the student, or is not needed.
    """
    if role == "teacher":
        return train_member(context, index)
    if role == "student":
        return _beside_teacher(context, index) if prepared is None else student_of(context, index, prepared)
    if prepared is not None:
        return baseline_of(context, index, prepared.examples)
    if context.recipe.teacher.learns:
        return baseline_of(context, index, TransferExamples(None, None))
    return baseline_of(context, index, without_synthesis(context.recipe, context.dataset))


@dataclass(frozen=True)
class FrozenTeacher:
    """A frozen teacher that was not asked yet; its attributes are those of `PreparedTeacher`."""

    teacher: Teacher
    members: Sequence[Trained]
    selected: Selected | None
    examples: TransferExamples
    specialized: Specialized | None


def frozen_teacher(context: Context) -> FrozenTeacher:
    """Bring the teacher about, and what it is to be asked about."""
    selected = None if context.recipe.teacher.library is None else selected_of(context)
    teacher, members = teacher_of(context) if selected is None else (selected.teacher, [])
    if context.recipe.teacher.given:
        check_teacher(teacher, context.dataset)
    specialized = specialists_of(context, teacher)
    if specialized is not None:
        teacher = specialized.teacher
    return FrozenTeacher(teacher, members, selected, transfer_examples_of(context, teacher), specialized)


def prepare_teacher(context: Context, frozen: FrozenTeacher | None = None) -> PreparedTeacher:
    """Bring the teacher about, unless it is given, and its targets."""
    context.stages.begin(teacher_stage(context.recipe))
    frozen = frozen or frozen_teacher(context)
    context.stages.begin(TARGETS)
    source, views, store = targets_of(context, frozen.teacher, frozen.examples.transfer)
    return PreparedTeacher(**vars(frozen), source=source, views=views, store=store)


def transfer_examples_of(context: Context, teacher: Teacher) -> TransferExamples:
    """The transfer set that the recipe describes.

    Raises:
        BadInput: If a class that it names is not in the data, nothing is left, or its file of inputs is not fitting.
    """
    synthetic = synthetic_rows(context, teacher)
    if synthetic is not None:
        return TransferExamples(synthetic.split, None, synthetic)
    return without_synthesis(context.recipe, context.dataset)


def train_students(context: Context, prepared: PreparedTeacher, *, baselines: bool = False) -> list[Trained]:
    """One student per seed.

    Args:
        context: The run.
        prepared: The teacher and its targets.
        baselines: Whether baselines are trained beside them, to be found later.
    """

    def one(context: Context, role: Role, index: int) -> Trained:
        return train_one(context, role, index, prepared)

    context.stages.begin(students_stage(context.recipe))
    transfer = prepared.examples.transfer
    roles: tuple[Role, ...] = ("student", "baseline") if baselines else ("student",)
    train_at_once(context, roles, one, None if transfer is None else len(transfer))
    return [student_of(context, index, prepared) for index in range(context.recipe.student.seeds)]


def student_of(context: Context, index: int, prepared: PreparedTeacher) -> Trained:
    """The student of one seed, with the steps of the recipe.

    Args:
        context: The run.
        index: Number of the seed.
        prepared: The teacher and its targets.
    """
    return _trained(context, "student", index, teacher_tools(context, prepared), prepared.examples)


def teacher_tools(context: Context, prepared: PreparedTeacher) -> TeacherTools:
    """A frozen teacher, as the steps of students may use it."""
    transfer, fingerprint = context.recipe.transfer, prepared.teacher.fingerprint()
    network = _network_of(prepared.teacher) if _reads_layers(context) else None
    if network is not None and isinstance(prepared.teacher, Ensemble):
        # What an ensemble gives does not depend on the order of its members; what a term reads in them does.
        fingerprint += digest(network)
    networks = context.recipe.teacher.given_networks
    key = {
        "fingerprint": fingerprint,
        "networks": networks,
        **transfer.model_dump(include={"top_k", "dtype", "per_teacher", "label_views"}),
    }
    return TeacherTools(key=key, targets=prepared.source, network=network)


def baseline_of(context: Context, index: int, examples: TransferExamples) -> Trained:
    """The same network with the same steps and the same budget of training, from labels alone.

    Args:
        context: The run.
        index: Number of the seed.
        examples: What it learns from; where the student has more of them in an epoch, it gets so many more epochs that
            it takes as many steps.
    """
    return _trained(context, "baseline", index, None, examples)


def _trained(
    context: Context, role: str, index: int, teacher: TeacherTools | None, examples: TransferExamples
) -> Trained:
    recipe, section = context.recipe, context.network
    return run_steps(
        recipe.steps,
        first_model(context, recipe.seed + index),
        tools_of(context, index, teacher, examples),
        context.nodes,
        name=f"{role}/{index}",
        shared=f"baseline/{index}",
        allow=allowed(section.use),
    )


def tools_of(context: Context, index: int, teacher: TeacherTools | None, examples: TransferExamples) -> Tools:
    """What the steps of one seed of a student may use; without a teacher, of a baseline."""
    recipe = context.recipe
    return context.tools(
        recipe.transfer.views.views(recipe.seed),
        recipe.seed + index,
        run_seed=recipe.seed,
        transfer=examples.transfer,
        baseline_examples=examples.labeled,
        with_labels=recipe.transfer.labels if teacher is not None else True,
        teacher=teacher,
        examples=examples.count if teacher is None else None,
        choose_by=context.metric.name,
    )


def _network_of(teacher: Teacher) -> nn.Module | None:
    """The network whose layers terms read, by their own names; None where there is none."""
    if isinstance(teacher, NetworkTeacher):
        return teacher.network
    return getattr(teacher, "module", None)


def _together(context: Context) -> Trainings:
    """Teacher and student learn at once; the teacher of the best student is the one that is measured."""
    context.stages.begin(students_stage(context.recipe))
    train_at_once(context, ("student", "baseline"), train_one)
    students = [_beside_teacher(context, index) for index in range(context.recipe.student.seeds)]
    best = max(students, key=lambda one: one.score)
    beside = next(one.teacher for one in reversed(best.steps) if one.teacher is not None)
    learned = NetworkTeacher(beside, example=context.example, output=stated_output(context.dataset.task.target))
    return Trainings(learned, [], students, _baselines(context, TransferExamples(None, None)))


def _beside_teacher(context: Context, index: int) -> Trained:
    """The student of one seed and a teacher that learns beside it."""
    section = context.recipe.teacher
    assert section.network is not None, "the schema lets only networks learn"
    described = fitted_to(section.network, context.dataset)

    def first() -> nn.Module:
        if section.weights:
            given, _ = teacher_of(context)
            assert isinstance(given, NetworkTeacher)
            return given.module
        return fresh(described, section.seed, context.dataset).module

    fingerprint = json.dumps([described.known_by(), section.seed, digest(first())])
    teacher = TeacherTools(
        key={"fingerprint": fingerprint, "detach": section.detach}, learning=first, detach=section.detach
    )
    return _trained(context, "student", index, teacher, TransferExamples(None, None))


def _reads_layers(context: Context) -> bool:
    return any(reads_layers(objective) for objective, _ in context.recipe.trainings)


def _baselines(context: Context, examples: TransferExamples) -> list[Trained]:
    seeds = range(context.recipe.student.seeds) if context.recipe.baseline else []
    return [baseline_of(context, index, examples) for index in seeds]
