"""The step that trains: from a teacher, or from labels where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from attar.data.split import Dataset
from attar.data.transfer_set import Live, TargetSource
from attar.models.model import Model
from attar.network.copying import copied
from attar.network.spec import Spec
from attar.pipeline.step import Result, Tools
from attar.pipeline.training_step import TrainingStep, training_facts
from attar.quantization.attach import train_codebooks_only_
from attar.teachers.outputs import stated_output
from attar.teachers.teacher import NetworkTeacher


class Distill(TrainingStep):
    """The student is trained: distilled from the teacher, or on labels where the objective has nothing else."""

    use: Literal["distill"] = "distill"
    train: Literal["all", "codebook"] = Field(
        "all", description="codebook trains the codebooks of formats and nothing else: differentiable quantization"
    )
    freeze_bn_stats: bool = Field(
        False, description="the running statistics of batch normalization stay as they were before the step"
    )
    teacher: Literal["teacher", "float_student"] = Field(
        "teacher", description="float_student: the student as it was before it was quantized is the teacher"
    )

    @property
    def of_teacher(self) -> bool:
        """Whether the recipe's teacher is the one whose targets it takes."""
        return self.teacher == "teacher"

    def resolved(self, tools: Tools) -> TrainingStep:
        """Without a teacher, the student as it was before it was quantized is none, either."""
        step = super().resolved(tools)
        return step if tools.teacher is not None else step.model_copy(update={"teacher": "teacher"})

    def check(self, spec: Spec, dataset: Dataset) -> Spec:
        """See that there is something to train."""
        if self.train == "codebook":
            train_codebooks_only_(spec.build())
        return spec

    def run(self, model: Model, tools: Tools) -> Result:
        """Train a copy of the model."""
        own: TargetSource | None = None
        if self.teacher == "float_student" and tools.teacher is not None:
            own = Live(_as_teacher(tools))
        fitted = self.fitted(self._prepared(copied(model.module)), tools, own_teacher=own)
        history = [entry.to_json() for entry in fitted.history]
        after = replace(model, module=fitted.model, history=[*model.history, *history])
        return Result(after, training_facts(fitted), history, fitted.teacher)

    def _prepared(self, module: nn.Module) -> nn.Module:
        """The network for this training alone, in place."""
        if self.train == "codebook":
            train_codebooks_only_(module)
        if self.freeze_bn_stats:
            freeze_bn_stats_(module)
        return module


def _as_teacher(tools: Tools) -> NetworkTeacher:
    """The student as it was before it was quantized."""
    assert tools.float_student is not None, "the recipe wants a step before it"
    module, output = copied(tools.float_student.module), stated_output(tools.dataset.task.target)
    return NetworkTeacher(module, example=tools.example, device=tools.device, output=output)


def freeze_bn_stats_(network: nn.Module) -> nn.Module:
    """Let the running statistics of batch normalization stay as they are while the network is trained, in place.

    Each batch is normalized by its own statistics as ever; evaluation uses those that there were before. The code of
    Polino et al. (2018) has that effect: it saves them before its points learn and puts them back.
    """
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.momentum = 0.0
    return network
