"""What a recipe would do, found out without training anything."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attar.budget import PREFERRED
from attar.data.datasets import Dataset
from attar.deployment.candidates import candidates
from attar.formatting import count, grouped, plural, seconds, size
from attar.network.cost import cost
from attar.network.entry_point import entry_point
from attar.pipeline.nodes import Nodes
from attar.pipeline.step import Step
from attar.pipeline.workers import Workers
from attar.recipes.checks import check_budget, check_device, check_networks, check_steps
from attar.recipes.completed import completed
from attar.recipes.context import Context, with_threads
from attar.recipes.data import data_of, rows_in_words
from attar.recipes.data_guards import of_data
from attar.recipes.doubts import doubts
from attar.recipes.estimate import check_room, seconds_per_step, stored
from attar.recipes.fitting import to_fit
from attar.recipes.folder import run_folder
from attar.recipes.networks import check_teacher, fitted_to, network_of
from attar.recipes.read import recipe_of, with_budget
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.teacher import SpecialistsSection, TeacherSection
from attar.recipes.teachers import inputs_of, teacher_of
from attar.recipes.trackers import check_trackers
from attar.recipes.trusted import trusted
from attar.recipes.winner import judged_by
from attar.tasks.labels import ABSENT
from attar.teachers.onnx_file import OnnxFile
from attar.teachers.trial import remarks
from attar.training.progress import Progress, silent

_SHOWN = 40
"""Columns of a table that are listed, at most."""

_OMITTED = {"use", "training", "objective"}
"""What a line of steps leaves out: it says what is done, and other lines say how long that takes."""

_USUAL = {"train": "all", "teacher": "teacher"}
"""What distillation is where nothing is said of it."""


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
        student_parameters: Parameters of the student, before its steps.
        student_macs: Its multiply-adds for one example, before its steps.
        student_steps: Optimizer steps for all students and baselines.
        labels: Examples that the teacher labels, views counted; 0 where it is asked live.
        targets_bytes: About how large the stored targets become.
        candidates: Ways to deploy that would be tried.
        budget: What is asked, in words.
        left_out: What takes time besides, of which nothing is known before.
        training_seconds: About how long all of these steps take on this CPU, by a few that were made; None if unknown.
        timing_seconds: How long the candidates are timed.
        disk_bytes: About how large the run folder becomes.
        warnings: Settings to think about.
        columns: What each column of a table is taken for.
        teacher_origin: Where the teacher comes from, in words.
        default_student: What was picked for a recipe that names no network for its student; empty for others.
        search: What is looked for, how, and what that takes; empty where the recipe names its student. What is said of
            the student is then about one from the middle of what is looked for.
        steps: What is done to the student, in words; empty where it is distilled and no more.
        teacher_inputs: What images are changed to before the teacher sees them, in words; empty where it is nothing.
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
    budget: str
    left_out: list[str]
    specialist_steps: int = 0
    training_seconds: float | None = None
    timing_seconds: float = 0.0
    disk_bytes: int = 0
    warnings: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    teacher_origin: str = ""
    default_student: str = ""
    search: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    teacher_inputs: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same as a plain document."""
        return asdict(self)

    def __str__(self) -> str:
        student = f"{count(self.student_parameters)} parameters, {count(self.student_macs)} multiply-adds"
        macs = "unknown multiply-adds" if self.teacher_macs is None else f"{count(self.teacher_macs)} multiply-adds"
        fewer = ""
        if self.teacher_macs == self.student_macs:
            fewer = ", as many as the teacher's"
        elif self.teacher_macs is not None and self.student_macs:
            fewer = f", {self.teacher_macs / self.student_macs:.1f}x fewer than the teacher's"
        specialists = f", about {grouped(self.specialist_steps)} of its specialists" if self.specialist_steps else ""
        trained = f"; {grouped(self.teacher_steps)} steps of training{specialists}" if self.teacher_steps else ""
        label = "" if self.default_student or self.search else "student"
        models = f"{plural(self.teacher_members, 'model')}, {self.teacher_origin}"
        return "\n".join(
            [
                f"{self.name} into {self.folder}; nothing was trained or written",
                f"data      {self.data}",
                *(f"          {name!r}: {what}" for name, what in list(self.columns.items())[:_SHOWN]),
                *([f"          and {len(self.columns) - _SHOWN} more columns"] if len(self.columns) > _SHOWN else []),
                f"teacher   {models}; {macs}{trained}",
                *([f"          sees images {self.teacher_inputs}"] if self.teacher_inputs else []),
                f"targets   {grouped(self.labels)} examples to label, about {size(self.targets_bytes)}",
                *_under("search", self.search),
                *_under(
                    "student", ["one from the middle of what is searched" if self.search else self.default_student]
                ),
                f"{label:<10}{student}{fewer}; {grouped(self.student_steps)} steps, those of the baseline with them",
                *([f"steps     {'; then '.join(self.steps)}"] if self.steps else []),
                f"deploy    {', '.join(self.candidates)}",
                f"budget    {self.budget}",
                f"takes     {self._time()}; about {size(self.disk_bytes)} on disk",
                *(f"warning   {text}" for text in self.warnings),
            ]
        )

    def _time(self) -> str:
        training = "an unknown time"
        if self.training_seconds is not None:
            training = f"about {seconds(self.training_seconds)}"
        return (
            f"{training} of training on this CPU (by a few steps), {seconds(self.timing_seconds)} of timing; not "
            f"counted: {', '.join(self.left_out)}"
        )


@entry_point
def plan(
    recipe: Recipe | Mapping[str, Any] | Path | str,
    out: Path | str | None = None,
    *,
    allow: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress = silent,
    budget: Mapping[str, Any] | None = None,
) -> Plan:
    """Check a recipe down to its data and networks, and say what it would do.

    The data are read, networks are built, a given teacher is opened, and both are asked about a few rows. A few steps
    of each training are made on the CPU, to say how long it takes.

    Args:
        recipe: The recipe, as for `attar.recipes.compress.compress`.
        out: The run folder it would go to.
        allow: Packages whose functions it may name, as there.
        device: Where networks would be trained; it must be there.
        progress: Shown while data are downloaded.
        budget: Limits that go over those of the recipe, as there.

    Raises:
        BadInput: If anything that the recipe names breaks a rule.
    """
    recipe = with_budget(recipe_of(recipe, allow), budget)
    folder = run_folder(recipe, out)
    check_device(recipe, device)
    check_budget(recipe)
    check_trackers(recipe)
    with trusted(recipe), with_threads(recipe.threads):
        return _plan(recipe, folder, device, progress)


def _plan(recipe: Recipe, folder: Path, device: str, progress: Progress) -> Plan:
    dataset = data_of(recipe, progress)
    recipe, default = completed(recipe, dataset)
    checked = recipe
    if recipe.search is not None:
        from attar.recipes.search import check_search

        checked = check_search(recipe, dataset, folder)
    check_networks(checked, dataset)
    network = check_steps(checked, dataset)
    check_room(recipe, dataset, folder)
    notes: list[str] = []
    # No worker is started, but it is known how many there would be.
    context = Context(recipe, dataset, dataset.fingerprint(), Nodes(folder), device, progress, Workers())
    given = teacher_of(context)[0] if recipe.teacher.given else None
    if recipe.teacher.fit:
        to_fit(recipe.teacher, dataset.train)
    if given is not None:
        check_teacher(given, dataset)
        notes = remarks(given)
    lines, looking = list[str](), 0.0
    if recipe.search is not None:
        from attar.recipes.search_estimate import seconds_of
        from attar.recipes.search_plan import search_lines

        lines, looking = search_lines(context, checked, given), seconds_of(context, checked)
    recipe = checked
    example = dataset.train.floats(slice(0, 1))
    student = cost(network_of(fitted_to(recipe.network, dataset), recipe.seed), example)
    teacher, teacher_parameters, steps = None, 0, 0
    if recipe.teacher.network is not None:
        one = cost(network_of(fitted_to(recipe.teacher.network, dataset), recipe.teacher.seed), example)
        teacher, teacher_parameters = recipe.teacher.count * one.macs, recipe.teacher.count * one.parameters
        if not recipe.teacher.weights and not recipe.teacher.learns:
            training = recipe.teacher.training
            steps = recipe.teacher.count * training.epochs * math.ceil(len(dataset.train) / training.batch_size)
    module = getattr(given, "module", None)
    if recipe.teacher.network is None and isinstance(module, nn.Module):
        one = cost(module, example)
        teacher, teacher_parameters = one.macs, one.parameters
    wanted = stored(recipe, dataset)
    deployed = candidates(recipe.artifacts.runtimes, recipe.artifacts.int8, network)
    student_steps = [
        recipe.student.seeds
        * (1 + recipe.baseline)
        * training.epochs
        * math.ceil(wanted.examples / training.batch_size)
        for _, training in recipe.trainings
    ]
    training_seconds = _training_seconds(recipe, dataset, steps, student_steps)
    return Plan(
        name=recipe.name,
        folder=str(folder),
        data="; ".join([repr(dataset), *rows_in_words(recipe, dataset)]),
        columns={} if dataset.columns is None else {one.name: str(one) for one in dataset.columns},
        teacher_members=_models(recipe.teacher),
        teacher_macs=teacher,
        teacher_steps=steps,
        student_parameters=student.parameters,
        student_macs=student.macs,
        student_steps=sum(student_steps),
        labels=wanted.labels,
        targets_bytes=wanted.size_bytes,
        candidates=[one.name for one in deployed],
        budget=_budget(recipe, dataset, teacher, teacher_parameters),
        left_out=_left_out(recipe, [one.name for one in deployed]),
        training_seconds=None if training_seconds is None else training_seconds + looking,
        timing_seconds=2 * recipe.artifacts.seconds * (len(deployed) + 2),
        disk_bytes=wanted.size_bytes + _weights(recipe, teacher_parameters, student.parameters, len(deployed)),
        warnings=[*of_data(recipe, dataset), *notes, *doubts(recipe, wanted.examples)],
        teacher_origin=_origin(recipe.teacher),
        default_student="" if default is None else str(default),
        search=lines,
        steps=_steps(recipe.student.all_steps),
        teacher_inputs=inputs_of(given),
        specialist_steps=0
        if recipe.teacher.specialists is None
        else _specialist_steps(recipe.teacher.specialists, dataset),
    )


def _steps(steps: Sequence[Step]) -> list[str]:
    """What is done to the student, with what the recipe says of it and what it leaves to defaults.

    Nothing where it is distilled and no more.
    """
    return [] if [step.use for step in steps] == ["distill"] else [_step(step) for step in steps]


def _step(step: Step) -> str:
    given = step.model_dump(mode="json", exclude_unset=True, exclude=_OMITTED)
    others = step.model_dump(mode="json", exclude={*given, *_OMITTED, *step.without_effect}, exclude_none=True)
    # An empty list and a switch that is off say of something that it is not done.
    shown = {key: value for key, value in others.items() if value not in ([], False) and _USUAL.get(key) != value}
    defaults = f"by default {', '.join(_settings(shown))}" if shown else ""
    settings = "; ".join(filter(None, (", ".join(_settings(given)), defaults)))
    return f"{step.use} ({settings})" if settings else step.use


def _settings(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Settings as a recipe has them, each with its dotted key."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key} = {json.dumps(value, ensure_ascii=False)}"


def _budget(recipe: Recipe, dataset: Dataset, macs: int | None, parameters: int) -> str:
    """What is asked in words, with what relative limits come to where that is known of the teacher."""
    files = [Path(name) for name in recipe.teacher.onnx]
    size_bytes = sum(OnnxFile.read(file).size_bytes for file in files) if files else 4 * parameters
    known = {"bytes": float(size_bytes) if size_bytes else None, "macs": None if macs is None else float(macs)}
    score = judged_by(dataset.task)
    phrases = [limit.of(score).asked(score, known.get(limit.what)) for limit in recipe.budget.limits]
    return f"{', '.join(phrases)}; of those within, {PREFERRED[recipe.budget.prefer]}"


def _left_out(recipe: Recipe, deployed: Sequence[str]) -> list[str]:
    """What takes time and is not in the estimate."""
    found = ["validation", *(["labelling"] if recipe.transfer.cached and not recipe.teacher.learns else [])]
    if recipe.teacher.library is not None:
        found.append("the models of the library, and the selection")
    if recipe.teacher.specialists is not None:
        found.append("the specialists")
    if recipe.teacher.fit:
        found.append("fitting the estimator")
    synthesis = recipe.transfer.synthesis
    if synthesis is not None:
        chosen = synthesis.method == "munge" and (synthesis.p is None or synthesis.s is None)
        found.append(f"synthesis{' with short trainings that choose p and s' if chosen else ''}")
    int8 = any("int8" in name for name in deployed)
    of_them = "1 candidate, and its memory" if len(deployed) == 1 else f"{len(deployed)} candidates, and their memory"
    return [*found, f"export{' and int8 calibration' if int8 else ''} of {of_them}"]


def _training_seconds(
    recipe: Recipe, dataset: Dataset, teacher_steps: int, student_steps: Sequence[int]
) -> float | None:
    """Steps times what one of them takes; None where something is trained whose steps are not known."""
    if recipe.teacher.library is not None or recipe.teacher.specialists is not None:
        return None
    total = 0.0
    trainings = [
        (fitted_to(recipe.network, dataset), recipe.seed, training, steps)
        for (_, training), steps in zip(recipe.trainings, student_steps, strict=True)
    ]
    if recipe.teacher.network is not None and teacher_steps:
        section = fitted_to(recipe.teacher.network, dataset)
        trainings.append((section, recipe.teacher.seed, recipe.teacher.training, teacher_steps))
    for network, seed, training, steps in trainings:
        one = seconds_per_step(network_of(network, seed), dataset, training)
        if one is None:
            return None
        total += one * steps
    return total


def _weights(recipe: Recipe, teacher: int, student: int, deployed: int) -> int:
    """Bytes of all weights that a run keeps: of teacher, of students and baselines after each step, of artifacts."""
    trained = recipe.student.seeds * (1 + recipe.baseline) * len(recipe.steps)
    return 4 * ((0 if recipe.teacher.given else teacher) + student * (trained + 2 * deployed))


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


def _origin(teacher: TeacherSection) -> str:
    """Where a teacher comes from."""
    if teacher.library is not None:
        return "trained here, of which an ensemble is selected"
    if teacher.estimator is not None:
        return "fitted here" if teacher.fit else "given"
    return "given" if teacher.given else "trained beside the student" if teacher.learns else "trained here"


def _models(teacher: TeacherSection) -> int:
    """Members of the teacher, or models in its library."""
    if teacher.library is None:
        return teacher.count
    given = teacher.library.families
    from attar.teachers.families import FAMILIES

    families = [family for name, family in FAMILIES.items() if (family.installed if given is None else name in given)]
    full = teacher.library.size == "full"
    return sum(len(family.small) + full * len(family.full) for family in families)


def _under(title: str, lines: Sequence[str]) -> list[str]:
    """Lines of the outline below a title; none where there is nothing to say."""
    return [f"{title if place == 0 else '':<10}{line}" for place, line in enumerate(lines) if line]
