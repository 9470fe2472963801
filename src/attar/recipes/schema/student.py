"""The table of a recipe about the student, with its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from attar.pipeline.section import Section, TrainingSettings, training_table
from attar.pipeline.step import Step
from attar.pipeline.steps import AnyStep
from attar.pipeline.steps.correct import Correct
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.prune import Prune
from attar.pipeline.steps.quantize import Quantize
from attar.recipes.schema.network import NetworkSection
from attar.training.settings import Training


class StudentSection(Section):
    """The network that is trained, and how. One that starts as the teacher has its network, which is left out."""

    network: NetworkSection
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
            raise ValueError("steps must train the student; add a distill step")
        return self

    @property
    def all_steps(self) -> Sequence[Step]:
        """The steps, also where they are left out."""
        return self.steps or [Distill()]
