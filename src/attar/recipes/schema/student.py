"""The table of a recipe about the student, with its steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, PrivateAttr, model_serializer, model_validator

from attar.errors import near, shown
from attar.network.references import names_function
from attar.pipeline.section import Section, TrainingSettings, training_table
from attar.pipeline.step import Step
from attar.pipeline.steps import AnyStep
from attar.pipeline.steps.correct import Correct
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.prune import Prune
from attar.pipeline.steps.quantize import Quantize
from attar.recipes.schema.network import NetworkSection
from attar.search.students import SIZES, StudentSize
from attar.training.settings import Training

DEFAULT: StudentSize = "small"
"""The student of a recipe that names none."""


def _size(name: str, otherwise: str, own: str) -> StudentSize:
    """The size of a default student.

    Args:
        name: What stands in its place.
        otherwise: What else may stand there.
        own: How a function is named there.

    Raises:
        ValueError: If it is none; what follows the key in a sentence.
    """
    for size in SIZES:
        if name == size:
            return size
    close = near(name, SIZES)
    hint = f". Write {own}" if names_function(name) else f". {close}" if close.endswith("?") else ""
    raise ValueError(f"must be one of {', '.join(map(repr, SIZES))}, or {otherwise}; got {shown(name)}{hint}")


def _network(value: Any) -> NetworkSection | StudentSize:
    """A table, or the size of a default student."""
    if isinstance(value, str):
        return _size(value, "a table with use", f'{{ use = "{value[:60]}" }}')
    return value if isinstance(value, NetworkSection) else NetworkSection.model_validate(value)


def _network_table(network: NetworkSection | StudentSize) -> dict[str, Any] | str:
    return network if isinstance(network, str) else network.model_dump(exclude_none=True)


class StudentSection(Section):
    """The network that is trained, and how. One that starts as the teacher has its network, which is left out."""

    network: Annotated[NetworkSection | StudentSize, PlainValidator(_network), PlainSerializer(_network_table)] = Field(
        DEFAULT,
        description="a table with use, or tiny, small or medium: a network that suits the data, whose training is what "
        "training leaves out",
    )
    start: Literal["fresh", "teacher"] = Field(
        "fresh",
        description="teacher: the student is the teacher's network at first, with its weights; to make that smaller",
    )
    training: TrainingSettings = Field(default_factory=Training)
    steps: Annotated[list[AnyStep], Field(min_length=1)] | None = Field(
        None, description="what is done to it, in this order; one distill if left out"
    )
    seeds: Annotated[int, Field(ge=1, le=20)] = Field(
        1, description="trainings from different seeds; the best on validation ships"
    )
    choose_by: str | None = Field(
        None,
        description="metric on validation by which epochs, seeds and settings of a synthesis are chosen: accuracy, "
        "log_loss or rmse where classes are told apart; the first of the task's if left out",
    )
    _given: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    """Of a default student what is given of its training and steps: what they leave out, the data tell."""

    @model_validator(mode="wrap")
    @classmethod
    def _keep_what_is_given(cls, table: Any, handler: Callable[[Any], StudentSection]) -> StudentSection:
        """A size alone is a table, too."""
        if isinstance(table, str):
            table = {"network": _size(table, "a table", f'student.network = {{ use = "{table[:60]}" }}')}
        section = handler(table)
        if isinstance(section.network, str) and isinstance(table, Mapping):
            section._given = {key: _as_in_a_file(table[key]) for key in _OF_TRAINING if key in table}
        return section

    @model_serializer(mode="wrap")
    def _as_given(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """A default student is what was given of it, until the data complete it."""
        table = handler(self)
        if not isinstance(self.network, str):
            return table
        return {key: value for key, value in table.items() if key not in _OF_TRAINING} | dict(self._given)

    @model_validator(mode="before")
    @classmethod
    def _steps_inherit(cls, table: Any) -> Any:
        """What the training of a step leaves out is as the student's."""
        if not isinstance(table, Mapping) or not isinstance(table.get("steps"), list):
            return table
        usual = table.get("training", {})
        if isinstance(usual, Training):
            usual = training_table(usual)
        steps = [dict(step) if isinstance(step, Mapping) else step for step in table["steps"]]
        for step in steps:
            if isinstance(step, dict) and isinstance(usual, Mapping) and isinstance(step.get("training"), Mapping):
                step["training"] = {**usual, **step["training"]}
        return {**table, "steps": steps}

    @model_validator(mode="after")
    def _steps_follow_each_other(self) -> StudentSection:
        distilled, quantized = self.start == "teacher", False
        for place, step in enumerate(self.steps or ()):
            if isinstance(step, Quantize):
                if step.calibrates and not distilled:
                    raise ValueError(
                        f"steps.{place}: ranges of activations must be measured on a trained student; "
                        'put a distill step before it, or use { use = "clipped" }, whose range is fixed'
                    )
                quantized = True
            elif isinstance(step, Distill):
                if step.train == "codebook" and not quantized:
                    raise ValueError(f"steps.{place}: train = 'codebook' needs a quantize step before it; add one")
                if step.teacher == "float_student" and not (distilled and quantized):
                    raise ValueError(
                        f"steps.{place}: teacher = 'float_student' needs a distill and a quantize step before it"
                    )
                distilled = True
            elif isinstance(step, Correct) and not distilled:
                raise ValueError(
                    f"steps.{place}: the biases of an untrained student cannot be corrected; put a distill step before "
                    "correct"
                )
            elif isinstance(step, Prune):
                if quantized and not any(isinstance(after, Quantize) for after in (self.steps or ())[place:]):
                    raise ValueError(
                        f"steps.{place}: prune takes the number formats of an earlier step off; put a quantize step "
                        "after it"
                    )
                quantized = False
        if self.steps and not distilled:
            raise ValueError(
                "steps must train the student; add a distill step before them, or let it start as a network that is "
                'trained: start = "teacher"'
            )
        return self

    @property
    def is_default(self) -> bool:
        """Whether the data are to tell its network, and its training where nothing says it."""
        return isinstance(self.network, str)

    @property
    def all_steps(self) -> Sequence[Step]:
        """The steps, also where they are left out."""
        return self.steps or [Distill()]


_OF_TRAINING = ("training", "steps")
"""Keys of which a default student has what is given, and the rest when the data are known."""


def _as_in_a_file(given: Any) -> Any:
    """What is given as a file has it."""
    if isinstance(given, Training):
        return training_table(given)
    if isinstance(given, list):
        return [one.model_dump(exclude_none=True) if isinstance(one, Step) else copy.deepcopy(one) for one in given]
    return copy.deepcopy(given)
