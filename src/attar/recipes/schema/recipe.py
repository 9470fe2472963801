"""A recipe: its tables, and what they ask of each other."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    model_validator,
)

from attar.budget import Limit, Prefer, What
from attar.deployment.backends import RUNTIMES
from attar.errors import shown
from attar.network.references import Trust, names_function
from attar.pipeline.objective import TermTable, check_pauses, use_of
from attar.pipeline.section import Number, Section, Seed, each_once
from attar.pipeline.step import Step
from attar.pipeline.steps.correct import Correct
from attar.pipeline.steps.distill import Distill
from attar.pipeline.training_step import TrainingStep
from attar.recipes.schema.data import DataSection
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.search import SearchSection
from attar.recipes.schema.student import StudentSection
from attar.recipes.schema.teacher import TeacherSection
from attar.recipes.schema.transfer import TransferSection
from attar.training.objective import Objective, Term, reads
from attar.training.settings import Training
from attar.training.train_module import reads_layers

if TYPE_CHECKING:
    Runtime = str
else:
    Runtime = Literal[RUNTIMES]
"""What can execute an artifact."""


def _limit(what: What) -> Any:
    """The type of a key that limits something: text or a number in a file, a `Limit` in the recipe."""
    return Annotated[Limit, PlainValidator(partial(Limit.read, what)), PlainSerializer(str)]


class BudgetSection(Section):
    """What may be lost and used, as "50 kB" or relative to the teacher as "0.05x"; what decides among those within.

    Choices are made on validation data. A relative limit on the loss is a share of the teacher's score; every other one
    is relative to what the teacher takes in the same runtime.
    """

    quality_loss: _limit("quality_loss") = Field(  # type: ignore[valid-type]
        Limit("quality_loss", 0.01), description="of the task's score, against the teacher: 1% or 0.01 is one point"
    )
    bytes: _limit("bytes") | None = Field(  # type: ignore[valid-type]
        None, description="on disk, of what is needed to run: 50 kB, 2 MB, 1 MiB, or a number of bytes"
    )
    latency: _limit("latency") | None = Field(  # type: ignore[valid-type]
        None, description="median at batch 1, with artifacts.threads on this machine: 1 ms, 80 us"
    )
    memory: _limit("memory") | None = Field(  # type: ignore[valid-type]
        None, description="by which a process grows while it loads the artifact and runs 64 examples: 20 MB"
    )
    macs: _limit("macs") | None = Field(  # type: ignore[valid-type]
        None, description="multiply-adds for one example: 3 M, or a number"
    )
    prefer: Prefer = Field("latency", description="what decides among candidates that are within the budget")

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All that are set."""
        return tuple(limit for what in get_args(What) if (limit := getattr(self, what)) is not None)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
"""What a run may be called: a folder of its own is, below runs/."""


def _is_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"must be of letters from a to z, digits, dots, hyphens and underlines, as a folder is called so; got "
            f"{shown(name)}. Put what it is for into title"
        )
    return name


class ArtifactsSection(Section):
    """Which candidates are made and how they are timed."""

    runtimes: Annotated[list[Runtime], Field(min_length=1), AfterValidator(each_once)] = Field(
        list(RUNTIMES), description="what may execute the artifact"
    )
    int8: bool = Field(True, description="also try the int8 grid of each runtime")
    calibration: Annotated[int, Field(ge=1)] = Field(512, description="training examples that calibrate int8")
    threads: Annotated[int, Field(ge=1)] = Field(1, description="threads of every timed runtime")
    seconds: Annotated[Number, Field(gt=0, le=3600)] = Field(
        1.0, description="time spent on timing each candidate, per batch size"
    )


TrackerName = Literal["tensorboard", "mlflow"]
"""What takes the curves and figures of a run besides its folder."""


def _list_of_one(given: Any) -> Any:
    """``track = "mlflow"`` says as much as ``track = ["mlflow"]``."""
    return [given] if isinstance(given, str) else given


_NO_START = (
    'student.start = "teacher" needs a teacher that is one frozen network; give teacher.network, or leave start out'
)


class Recipe(Section):
    """A whole run."""

    name: Annotated[str, Field(max_length=200), AfterValidator(_is_name)] = Field(
        description="what the run is called; its folder is runs/NAME"
    )
    title: str = Field("", description="one line on what the recipe shows")
    seed: Seed = Field(0, description="of the split, the views and the first student")
    threads: Annotated[int, Field(ge=0)] = Field(
        0, description="threads for training; 0 is one for small networks, and torch's number for large ones"
    )
    data: DataSection
    teacher: TeacherSection
    transfer: TransferSection = TransferSection()
    student: StudentSection = Field(default_factory=StudentSection)
    search: SearchSection | None = Field(None, description="the student is looked for, and this is how")
    objective: Annotated[dict[str, TermTable], Field(min_length=1)] | None = Field(
        None, description="what the student minimizes; if left out, the losses of the task against labels and teacher"
    )
    baseline: bool = Field(True, description="train the same student without the teacher beside it")
    budget: BudgetSection = BudgetSection()
    artifacts: ArtifactsSection = ArtifactsSection()
    track: Annotated[list[TrackerName], BeforeValidator(_list_of_one), AfterValidator(each_once)] | None = Field(
        None, description="where curves and figures go besides the run's folder: tensorboard, mlflow"
    )
    _trust: Trust = PrivateAttr(default_factory=Trust)

    @model_validator(mode="before")
    @classmethod
    def _student_takes_the_network(cls, table: Any) -> Any:
        """A student that starts as the teacher has its network."""
        if not isinstance(table, Mapping):
            return table
        student, teacher = table.get("student"), table.get("teacher")
        if not isinstance(student, Mapping) or not isinstance(teacher, Mapping):
            return table
        if student.get("start") != "teacher" or "network" in student:
            return table
        if "network" not in teacher:
            raise ValueError(_NO_START)
        return {**table, "student": {"network": teacher["network"], **student}}

    @model_validator(mode="after")
    def _search_is_for_the_student(self) -> Recipe:
        if self.search is None:
            return self
        for key in ("network", "steps", "start"):
            if key in self.student.model_fields_set:
                raise ValueError(
                    f"student.{key} says which student, and search looks for one; leave out student.{key}"
                    f"{' (--student)' if key == 'network' else ''}, or search (--time, --strategy)"
                )
        if self.teacher.learns or not self.transfer.cached:
            raise ValueError("search needs stored targets; leave teacher.learns and transfer.cached out")
        return self

    @model_validator(mode="after")
    def _student_starts_as_one_network(self) -> Recipe:
        if self.student.start == "fresh":
            return self
        if self.teacher.network is None or self.teacher.count != 1 or self.teacher.learns:
            raise ValueError(_NO_START)
        network = self.student.network
        if isinstance(network, str) or network.unedited != self.teacher.network:
            raise ValueError(
                'student.network must be the teacher\'s where student.start = "teacher"; leave student.network out'
            )
        return self

    @model_validator(mode="after")
    def _terms_fit_the_teacher(self) -> Recipe:
        if self.objective is None:
            return self._left_out_fits()
        if not self.teacher.learns and any(term.of == "teacher" for term in self.objective.values()):
            raise ValueError('of = "teacher" in objective needs a teacher that learns; set teacher.learns = true')
        if all(term.of == "teacher" for term in self.objective.values()):
            raise ValueError("objective must have a term that judges the student; add one, or drop an of")
        self._check_labels(self.objective, "objective")
        for key, given in (("top_k", self.transfer.top_k is not None), ("dtype", self.transfer.dtype != "float16")):
            if given and (self.teacher.learns or not self.transfer.cached):
                raise ValueError(
                    f"transfer.{key} needs stored targets; leave it out, or set cached = true and learns = false"
                )
        if not self.student.is_default:
            check_pauses(self.terms, self.student.training.epochs)
        return self

    @model_validator(mode="after")
    def _steps_fit_the_teacher(self) -> Recipe:
        trained = [step for step in self.student.all_steps if isinstance(step, TrainingStep)]
        distills = [step for step in trained if isinstance(step, Distill)]
        if self.teacher.learns and (len(distills) != 1 or len(trained) != 1):
            raise ValueError(
                "student.steps must have one distill step where the teacher learns along, and no other that trains; "
                "leave out others"
            )
        if self.teacher.learns and distills[0].teacher == "float_student":
            raise ValueError("student.steps: a student that is its own teacher has no teacher that learns along")
        for step in trained:
            if step.objective is None:
                continue
            if not self.teacher.learns and any(term.of == "teacher" for term in step.objective.values()):
                raise ValueError('of = "teacher" in a step needs a teacher that learns; set teacher.learns = true')
            if all(term.of == "teacher" for term in step.objective.values()):
                raise ValueError("the objective of a step must have a term that judges the student; add one")
            self._check_labels(step.objective, "a step")
        settled = self.objective is not None and not self.student.is_default
        for objective, training in self.trainings if settled else ():
            check_pauses(objective, training.epochs)
        return self

    @model_validator(mode="after")
    def _transfer_fits_the_teacher(self) -> Recipe:
        teacher, transfer = self.teacher, self.transfer
        frozen_only = {
            "transfer.only": transfer.only is not None,
            "transfer.without": transfer.without is not None,
            "transfer.share": transfer.share < 1,
            "transfer.labeled_share": transfer.labeled_share < 1,
            "transfer.unlabeled": transfer.unlabeled is not None,
            "transfer.label_views": not transfer.label_views,
            "transfer.per_teacher": transfer.per_teacher,
            "transfer.synthesis": transfer.synthesis is not None,
            "the step correct": self.corrects,
        }
        for key, given in frozen_only.items():
            if teacher.learns and given:
                raise ValueError(f"{key} needs a teacher that does not learn; leave it out")
        if teacher.rows_at_once is not None and not transfer.cached:
            raise ValueError("teacher.rows_at_once needs stored targets; leave it out, or set transfer.cached = true")
        if transfer.per_teacher:
            if not transfer.cached:
                raise ValueError("transfer.per_teacher needs stored targets; leave it out, or set cached = true")
            if teacher.count == 1:
                raise ValueError("transfer.per_teacher needs a teacher of several members; leave it out")
            if any(one.classes is not None for one in teacher.each or ()):
                raise ValueError(
                    "transfer.per_teacher needs members that know all classes; leave it out, or teacher.each.classes"
                )
        if self.corrects and transfer.synthesis is not None:
            raise ValueError("the step correct is for classes left out, and synthesis leaves none out; drop one")
        reading = self.objective is not None and any(reads_layers(objective) for objective, _ in self.trainings)
        if teacher.specialists is not None and reading:
            raise ValueError(
                "teacher.specialists are no one network whose layers a term could read; leave one of them out"
            )
        return self

    def _left_out_fits(self) -> Recipe:
        """What is learned where nothing says it takes a frozen teacher."""
        if self.teacher.learns:
            raise ValueError("objective must be given where the teacher learns along. Add its terms")
        return self

    def _check_labels(self, objective: Mapping[str, Term], where: str) -> None:
        """Terms of labels must have some."""
        for term in objective.values():
            if not self.transfer.labels and "labels" in reads(term.loss):
                name = use_of(term.loss)
                raise ValueError(f"{name} in {where} needs labels; drop the term or set transfer.labels = true")

    @property
    def steps(self) -> list[Step]:
        """What is done to the student, every step completed by what the recipe says for all of them."""
        return [step.completed(self.terms, self.student.training) for step in self.student.all_steps]

    @property
    def all_training(self) -> list[Training]:
        """Settings of all trainings of a student, in order; the objective need not be known."""
        given = (step.training for step in self.student.all_steps if isinstance(step, TrainingStep))
        return [training or self.student.training for training in given]

    @property
    def trainings(self) -> list[tuple[Objective, Training]]:
        """Objective and settings of all trainings of a student, in order."""
        return [(step.terms, step.settings) for step in self.steps if isinstance(step, TrainingStep)]

    @property
    def corrects(self) -> bool:
        """Whether a step makes up for classes that the transfer set lacks."""
        return any(isinstance(step, Correct) for step in self.student.all_steps)

    @property
    def terms(self) -> Objective:
        """The objective that the loop minimizes; of a recipe that was completed by its data."""
        assert self.objective is not None, "a recipe is completed by its data"
        return Objective(self.objective)

    @property
    def network(self) -> NetworkSection:
        """The student's network; of a recipe that was completed by its data."""
        assert isinstance(self.student.network, NetworkSection), "a recipe is completed by its data"
        return self.student.network

    @property
    def temperature(self) -> float:
        """The temperature at which targets are softened: that of the first term of the last training that has one."""
        for objective, training in reversed(self.trainings):
            for term in objective.at(math.nextafter(float(training.epochs), 0.0)):
                temperature = getattr(term.loss, "temperature", None)
                if temperature is not None:
                    return float(temperature)
        return 1.0

    @property
    def trust(self) -> Trust:
        """Whose functions the recipe may name; no part of what it says."""
        return self._trust

    def trusting(self, trust: Trust) -> Recipe:
        """The same recipe, which may name what is trusted here."""
        trusting = self.model_copy()
        trusting._trust = trust
        return trusting

    @property
    def references(self) -> dict[str, str]:
        """The functions that it names: dotted key to ``package.module:function``."""
        return dict(_references(self.document(), ()))

    def document(self) -> dict[str, Any]:
        """The resolved recipe as a plain document, defaults included; but for those that its data are to tell."""
        document = self.model_dump(mode="python", exclude_none=True)
        if self.student.is_default and "views" not in self.transfer.model_fields_set:
            del document["transfer"]["views"]
        if self.search is not None:
            for key in ("network", "start"):
                document["student"].pop(key, None)
        return document


_NAMING = ("use", "estimator", "unlabeled", "test", "validation")
"""Keys of which a value with a colon names a function."""


def _references(table: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Dotted key and value of all that names a function; what goes into a function as an argument does not."""
    if isinstance(table, Mapping):
        for key, value in table.items():
            if isinstance(value, str) and key in _NAMING and names_function(value):
                yield ".".join((*path, key)), value
            elif key != "arguments":
                yield from _references(value, (*path, str(key)))
    elif isinstance(table, list):
        for place, value in enumerate(table):
            yield from _references(value, (*path, str(place)))
