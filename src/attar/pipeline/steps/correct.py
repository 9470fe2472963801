"""The step that makes up for classes which the transfer set lacks."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from attar.data.split import Dataset
from attar.data.subset import absent_classes
from attar.deployment.torch_runner import open_torch
from attar.errors import BadInput, must, near
from attar.evidence.measure import predict_all
from attar.evidence.panel import Panel, Table, Text
from attar.models.model import Model
from attar.network.shift_bias import shift_bias
from attar.network.spec import Spec
from attar.ops.class_shift import best_class_shift
from attar.pipeline.step import Result, Step, Tools
from attar.pipeline.trained import Trained

log = logging.getLogger(__name__)


class Correct(Step):
    """The biases of classes that the transfer set lacks are shifted; by how much is chosen on validation.

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 3.
    """

    use: Literal["correct"] = "correct"
    classes: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="which ones; those that the transfer set lacks if left out"
    )

    def check(self, spec: Spec, dataset: Dataset) -> Spec:
        """See that there are such classes, and that the network has, or can have, biases for them."""
        for name in self.classes or ():
            if name not in dataset.classes:
                raise must("classes", "correct", "names of the data's classes", name, near(name, dataset.classes))
        if len(set(self.classes or ())) == len(dataset.classes):
            raise must("classes", "correct", "some of the data's classes, not all", len(dataset.classes), "Name fewer")
        _, edit = shift_bias(spec.build().eval(), torch.ones(len(dataset.classes)), dataset.train.floats(slice(0, 1)))
        return spec.with_edit(edit)

    def resolved(self, tools: Tools) -> Correct:
        """With the classes that the transfer set lacks, also for a baseline, which has none."""
        if self.classes is not None:
            return self
        absent = [] if tools.transfer is None else absent_classes(tools.transfer)
        return self.model_copy(update={"classes": [tools.dataset.classes[number] for number in absent]})

    def run(self, model: Model, tools: Tools) -> Result:
        """Shift a copy of the model."""
        validation = tools.dataset.validation
        absent = [validation.classes.index(name) for name in self.classes or ()]
        if not absent:
            raise BadInput(
                "The step correct is for classes that the transfer set lacks, and it has examples of all. Leave the "
                "step out, or set transfer.without."
            )
        assert validation.labels is not None, "data sets have labels in validation"
        logits = torch.from_numpy(predict_all(open_torch(model.module), validation))
        chosen = best_class_shift(logits, validation.labels, torch.tensor(absent))
        shift = torch.zeros(len(validation.classes)).index_fill_(0, torch.tensor(absent), chosen.shift)
        module, edit = shift_bias(model.module, shift, tools.example)
        count = len(validation)
        facts = {
            "score": _score(tools, logits + shift),
            "classes": list(self.classes or ()),
            "shift": chosen.shift,
            "validation_before": chosen.before / count,
            "validation_after": chosen.after / count,
        }
        log.info("%s: logits of %d absent classes shifted by %.3f", tools.title, len(absent), chosen.shift)
        return Result(replace(model, module=module, spec=model.spec.with_edit(edit)), facts)

    def panels(self, before: Trained | None, after: Trained) -> list[Panel]:
        """By how much, and what that does on validation."""
        facts, names = after.facts, ", ".join(after.facts["classes"])
        row = (names, facts["shift"], f"{facts['validation_before']:.2%}", f"{facts['validation_after']:.2%}")
        note = "One number is added to the logits of these classes. It is chosen on validation, where they do occur."
        columns = ("Classes that the transfer set lacks", "Shift", "Validation before", "Validation after")
        return [Panel("Bias correction", [Text(note), Table(columns, [row])])]


def _score(tools: Tools, logits: Tensor) -> float:
    """What the recipe chooses by, of logits ``[n, classes]`` on validation."""
    metric, total = tools.metric, 0.0
    for rows in torch.split(torch.arange(len(logits)), 512):
        total += float(metric(logits[rows], tools.validation.batch(rows, 0)).sum())
    return total / len(logits)
