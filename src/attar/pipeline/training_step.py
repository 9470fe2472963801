"""What steps that train have in common: an objective, settings, and the one way to the loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import nn

from attar.data.transfer_set import TargetSource
from attar.errors import BadInput
from attar.pipeline.objective import TermTable, in_units, labels_alone
from attar.pipeline.section import TrainingSettings
from attar.pipeline.step import Step, Tools
from attar.training.callbacks import Callback
from attar.training.objective import Objective, reads
from attar.training.results import Fitted
from attar.training.settings import Training

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
"""The file by which a training that was killed goes on."""


class TrainingStep(Step):
    """A step in which the student is trained."""

    collective: ClassVar[bool] = True
    scratch: ClassVar[tuple[str, ...]] = (CHECKPOINT,)
    training: TrainingSettings | None = Field(
        None, description="how; what it leaves out is as student.training has it, and all of it if it is left out"
    )
    objective: Annotated[dict[str, TermTable], Field(min_length=1)] | None = Field(
        None, description="the terms of this step; those of the recipe if left out"
    )

    @property
    def of_teacher(self) -> bool:
        """Whether the recipe's teacher is the one whose targets it takes."""
        return True

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

    def completed(self, objective: Objective, training: Training) -> TrainingStep:
        """With the recipe's terms and settings where it has none of its own."""
        terms = dict(objective.terms) if self.objective is None else self.objective
        return self.model_copy(update={"objective": terms, "training": self.training or training})

    def needs_teacher(self, tools: Tools) -> bool:
        """Whether a term is about anything but labels, or a teacher learns."""
        if tools.teacher is None or tools.teacher.learning is not None:
            return tools.teacher is not None
        terms = self.terms.terms.values()
        return not all(reads(term.loss) == {"labels"} and term.of == "student" for term in terms)

    def resolved(self, tools: Tools) -> TrainingStep:
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
        return self.model_copy(update={"objective": terms, "training": training})

    def steps_per_epoch(self, tools: Tools) -> int:
        """Optimizer steps of one epoch of the training."""
        return math.ceil(len(tools.transfer_set()) / self.settings.batch_size)

    def fitted(
        self,
        module: nn.Module,
        tools: Tools,
        *,
        own_teacher: TargetSource | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Fitted:
        """Train a network under the step's objective; a killed training goes on from its checkpoint.

        Args:
            module: It is not changed.
            tools: What is trained on, and by which teacher.
            own_teacher: Whose targets take the place of the teacher's.
            callbacks: What may change the network while it is trained.
        """
        from attar.training.fabric import make_fabric
        from attar.training.fit import fit

        settings, teacher = replace(self.settings, seed=tools.seed), tools.teacher
        beside = None if teacher is None or teacher.learning is None else teacher.learning()
        features = None if teacher is None else teacher.network
        running = [one for one in (module, beside, features) if one is not None]
        try:
            with nullcontext() if tools.threads is None else tools.threads(running, settings.batch_size):
                fitted = fit(
                    module,
                    in_units(self.terms, tools.dataset),
                    tools.transfer_set(own_teacher),
                    settings=settings,
                    validation=tools.validation,
                    metric=tools.metric,
                    teacher=beside,
                    detach_teacher=teacher is None or teacher.detach,
                    feature_teacher=features,
                    callbacks=[*callbacks, *tools.watching],
                    checkpoint_file=None if tools.folder is None else tools.folder / CHECKPOINT,
                    fabric=make_fabric(tools.device, settings.precision),
                    progress=tools.progress if tools.turns is None else tools.turns.training(tools.progress),
                    title=tools.title,
                )
        except BadInput:
            log.exception("%s cannot go on", tools.title)
            raise
        log.info("%s: %s", tools.title, fitted)
        return fitted


def training_facts(fitted: Fitted) -> dict[str, Any]:
    """What is remembered of a training, as plain values."""
    return {
        "score": fitted.score,
        "best_epoch": fitted.best_epoch,
        "steps": fitted.steps,
        "stopped_early": fitted.stopped_early,
    }
