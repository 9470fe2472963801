"""A loss term of your own is any function of the student's output and the batch: one value per example, not reduced."""

import torch
from torch import Tensor

import attar
from attar.network.architectures import mlp
from attar.training.batch import Batch


def mistaken_teacher_is_ignored(output: Tensor, batch: Batch) -> Tensor:
    """Soft targets, but only where the teacher names the label."""
    trusted = batch.full_targets("mistaken_teacher_is_ignored").argmax(-1) == batch.labels
    return attar.SoftTargets(temperature=4.0)(output, batch) * trusted


torch.manual_seed(0)
data = attar.load_data("digits")
hard = attar.Term(loss=attar.HardLabels())
large = attar.fit(mlp(64, 10, [512, 512]), attar.Objective({"hard": hard}), attar.TransferSet(data.train)).model
taught = attar.TransferSet(data.train, targets=attar.Live(attar.as_teacher(large, classes=10)))
mine = attar.Term(loss=mistaken_teacher_is_ignored, weight=attar.Ramp(start=1.0, end=0.5, epochs=20.0))
both = attar.Objective({"hard": hard, "mine": mine})
settings = attar.Training(epochs=30, learning_rate=0.05)
check = attar.TransferSet(data.validation)
print(attar.fit(mlp(64, 10, [16]), both, taught, settings=settings, validation=check))
