"""The step that trains: from a teacher, or from labels where there is none."""

from __future__ import annotations

import copy
import logging
import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from attar.data.split import Dataset
from attar.data.transfer_set import Live, TargetSource
from attar.errors import BadInput
from attar.models.model import Model
from attar.network.spec import Spec
from attar.pipeline.objective import TermTable, in_units, labels_alone
from attar.pipeline.section import TrainingSettings
from attar.pipeline.step import Result, Step, Tools
from attar.quantization.attach import train_codebooks_only_
from attar.teachers.teacher import NetworkTeacher
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.objective import Objective, reads
from attar.training.settings import Training

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
"""The file by which a training that was killed goes on."""


class Distill(Step):
    """The student is trained: distilled from the teacher, or on labels where the objective has nothing else."""

    collective: ClassVar[bool] = True
    use: Literal["distill"] = "distill"
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

    @property
    def terms(self) -> Objective:
        """What is minimized; of a step that is completed."""
        assert self.objective is not None, "a step is completed before it is run"
        return Objective(self.objective)

    @property
    def settings(self) -> Training:
        """How the training goes; of a step that is completed."""
        assert self.training is not None, "a step is completed before it is run"
        return self.training

    def completed(self, objective: Objective, training: Training) -> Distill:
        """With the recipe's terms and settings where it has none of its own."""
        terms = dict(objective.terms) if self.objective is None else self.objective
        return self.model_copy(update={"objective": terms, "training": self.training or training})

    def needs_teacher(self, tools: Tools) -> bool:
        """Whether a term is about anything but labels, or a teacher learns."""
        if tools.teacher is None or tools.teacher.learning is not None:
            return tools.teacher is not None
        terms = self.terms.terms.values()
        return not all(reads(term.loss) == {"labels"} and term.of == "student" for term in terms)

    def resolved(self, tools: Tools) -> Distill:
        """Without a teacher: the loss against labels at full weight, for as many steps as the student takes."""
        if tools.teacher is not None:
            return self
        training = self.settings
        if tools.examples is not None:
            own = len(tools.rows_without_teacher())
            steps = [math.ceil(count / training.batch_size) for count in (tools.examples, own)]
            times = max(1, round(steps[0] / steps[1]))
            patience = None if training.patience is None else training.patience * times
            training = replace(training, epochs=training.epochs * times, patience=patience)
        terms = dict(labels_alone(self.terms, tools.dataset.task).terms)
        return self.model_copy(update={"objective": terms, "training": training, "teacher": "teacher"})

    def check(self, spec: Spec, dataset: Dataset) -> Spec:
        """See that there is something to train."""
        if self.train == "codebook":
            train_codebooks_only_(spec.build())
        return spec

    def run(self, model: Model, tools: Tools) -> Result:
        """Train a copy of the model."""
        settings, teacher = replace(self.settings, seed=tools.seed), tools.teacher
        beside = None if teacher is None or teacher.learning is None else teacher.learning()
        features = None if teacher is None else teacher.network
        own: TargetSource | None = None
        if self.teacher == "float_student" and teacher is not None:
            own = Live(_as_teacher(tools))
        module = copy.deepcopy(model.module)
        running = [one for one in (module, beside, features) if one is not None]
        try:
            with nullcontext() if tools.threads is None else tools.threads(running, settings.batch_size):
                fitted = fit(
                    self._prepared(module),
                    in_units(self.terms, tools.dataset),
                    tools.transfer_set(own),
                    settings=settings,
                    validation=tools.validation,
                    metric=tools.metric,
                    teacher=beside,
                    detach_teacher=teacher is None or teacher.detach,
                    feature_teacher=features,
                    checkpoint_file=None if tools.folder is None else tools.folder / CHECKPOINT,
                    fabric=make_fabric(tools.device, settings.precision),
                    progress=tools.progress,
                    title=tools.title,
                )
        except BadInput:
            log.exception("%s cannot go on", tools.title)
            raise
        log.info("%s: %s", tools.title, fitted)
        history = [entry.to_json() for entry in fitted.history]
        facts: dict[str, Any] = {
            "score": fitted.score,
            "best_epoch": fitted.best_epoch,
            "steps": fitted.steps,
            "stopped_early": fitted.stopped_early,
        }
        after = replace(model, module=fitted.model, history=[*model.history, *history])
        return Result(after, facts, history, fitted.teacher)

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
    target, module = tools.dataset.task.target, copy.deepcopy(tools.float_student.module)
    output = None if target == "logits" else target
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
