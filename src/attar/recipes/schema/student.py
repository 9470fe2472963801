"""The tables of a recipe about the student and its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from attar.errors import shown
from attar.quantization.format import Format, Ranged
from attar.quantization.formats.named import from_table, to_table
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.objective import TermTable
from attar.recipes.schema.section import Section, TrainingSettings, plain_training
from attar.training.settings import Training


def _formats(document: Any) -> Any:
    """One format for all, or patterns of layers and tensors with a format each."""
    if isinstance(document, Format) or not isinstance(document, Mapping) or isinstance(document.get("use"), str):
        return document if isinstance(document, Format) else from_table(document)
    if not document:
        raise ValueError("must be a format, or patterns with a format each; got an empty table")
    if not any(isinstance(form, Mapping | Format) for form in document.values()):
        raise ValueError(f"must say with use which format it is; got {shown(dict(document))}")
    return {str(name): form if isinstance(form, Format) else from_table(form) for name, form in document.items()}


def _plain_formats(given: Any) -> Any:
    if given is None:
        return None
    return {name: to_table(form) for name, form in given.items()} if isinstance(given, Mapping) else to_table(given)


FormatTable = Annotated[Any, PlainValidator(_formats), PlainSerializer(_plain_formats)]
"""A `Format`, a mapping of patterns to such, or None."""


class DistillStep(Section):
    """The student is trained: distilled from the teacher, or on labels where the objective has nothing else."""

    use: Literal["distill"]
    training: TrainingSettings | None = Field(
        None, description="how; what it leaves out is as student.training has it, and all of it if it is left out"
    )
    objective: Annotated[dict[str, TermTable], Field(min_length=1)] | None = Field(
        None, description="the terms of this step; those of the recipe if left out"
    )
    train: Literal["all", "codebook"] = Field(
        "all", description="codebook trains the codebooks of formats and nothing else: differentiable quantization"
    )
    freeze_bn_stats: bool = Field(
        False, description="the running statistics of batch normalization stay as they were before the step"
    )
    teacher: Literal["teacher", "float_student"] = Field(
        "teacher", description="float_student: the student as it was before it was quantized is the teacher"
    )


class QuantizeStep(Section):
    """Numbers of few bits from here on: formats ride on the weights, and on what goes into the layers."""

    use: Literal["quantize"]
    weights: FormatTable = Field(
        None, description='a format such as { use = "uniform", bits = 4 }, or patterns of layers with a format each'
    )
    activations: FormatTable = Field(None, description="the same for what goes into the layers")
    skip: list[str] = Field(
        default_factory=list, description="patterns of layers or tensors that stay as they are; first and last too"
    )
    tensors: Literal["weights", "all"] = Field("weights", description="all are biases and batch normalization too")
    calibration: Annotated[int, Field(ge=1)] = Field(
        512, description="training examples on which ranges of activations are measured"
    )
    share_points: bool = Field(False, description="all tensors of a codebook have the same points")
    allocation: Literal["equal", "gradient"] = Field(
        "equal", description="gradient gives more points, or bits, to tensors with long gradients"
    )
    allocation_batches: Annotated[int, Field(ge=1, le=100_000)] = Field(
        5, description="batches over which these gradients are averaged"
    )

    @model_validator(mode="after")
    def _something_is_quantized(self) -> QuantizeStep:
        if self.weights is None and self.activations is None:
            raise ValueError("give weights or activations a format; both are left out")
        for of in ("weights", "activations"):
            for form in self.formats(of):
                if of not in form.serves:
                    raise ValueError(f"{of} must have a format that is made for {of}; got {to_table(form)['use']!r}")
        uses = {to_table(form)["use"] for form in self.formats("weights")}
        if self.share_points and (uses != {"codebook"} or isinstance(self.weights, Mapping)):
            raise ValueError("share_points needs one codebook for all weights; set weights, or leave it out")
        if self.allocation == "gradient":
            if isinstance(self.weights, Mapping) or not uses <= {"codebook", "uniform"} or not uses:
                raise ValueError('allocation = "gradient" needs one codebook or uniform format for all weights')
            if self.share_points or getattr(self.weights, "points", None) is not None:
                raise ValueError('allocation = "gradient" gives each tensor its own points; leave out what sets them')
        return self

    def formats(self, of: str) -> list[Any]:
        """The formats of ``weights`` or ``activations``."""
        given = getattr(self, of)
        return [] if given is None else list(given.values()) if isinstance(given, Mapping) else [given]

    @property
    def measures(self) -> bool:
        """Whether the range of an activation has to be measured on examples."""
        return any(isinstance(form, Ranged) and form.measures for form in self.formats("activations"))


Step = Annotated[DistillStep | QuantizeStep, Field(discriminator="use")]
"""One thing that is done to the student."""


class StudentSection(Section):
    """The network that is trained, and how."""

    network: NetworkSection
    training: TrainingSettings = Field(default_factory=Training)
    steps: Annotated[list[Step], Field(min_length=1)] | None = Field(
        None, description="what is done to it, in this order; one distill if left out"
    )
    seeds: Annotated[int, Field(ge=1, le=20)] = Field(
        1, description="trainings from different seeds; the best on validation ships"
    )
    shift_absent: bool = Field(
        False,
        description="shift the logits of classes that the transfer set lacks; how much is chosen on validation",
    )
    choose_by: Literal["accuracy", "log_loss", "brier"] = Field(
        "accuracy", description="score on validation by which epochs, seeds and settings of a synthesis are chosen"
    )

    @model_validator(mode="before")
    @classmethod
    def _steps_inherit(cls, table: Any) -> Any:
        """What the training of a step leaves out is as the student's."""
        if not isinstance(table, Mapping) or not isinstance(table.get("steps"), list):
            return table
        usual = table.get("training", {})
        if isinstance(usual, Training):
            usual = plain_training(usual)
        steps = [dict(step) if isinstance(step, Mapping) else step for step in table["steps"]]
        for step in steps:
            if isinstance(step, dict) and isinstance(usual, Mapping) and isinstance(step.get("training"), Mapping):
                step["training"] = {**usual, **step["training"]}
        return {**table, "steps": steps}

    @model_validator(mode="after")
    def _steps_follow_each_other(self) -> StudentSection:
        distilled = quantized = False
        for place, step in enumerate(self.steps or ()):
            if isinstance(step, QuantizeStep):
                if step.measures and not distilled:
                    raise ValueError(
                        f"steps.{place}: ranges of activations must be measured on a trained student; "
                        'put a distill step before it, or use { use = "clipped" }, whose range is fixed'
                    )
                quantized = True
                continue
            if step.train == "codebook" and not quantized:
                raise ValueError(f"steps.{place}: train = 'codebook' needs a quantize step before it; add one")
            if step.teacher == "float_student" and not (distilled and quantized):
                raise ValueError(
                    f"steps.{place}: teacher = 'float_student' needs a distill and a quantize step before it"
                )
            distilled = True
        if self.steps and not distilled:
            raise ValueError("steps must train the student; add a distill step")
        return self

    @property
    def course(self) -> list[DistillStep | QuantizeStep]:
        """The steps, also where they are left out."""
        return self.steps or [DistillStep(use="distill")]
