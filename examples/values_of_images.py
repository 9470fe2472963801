"""Numbers from images: how slanted a handwritten digit is, taught by a network, learned by a much smaller one."""

import numpy as np
import torch

import attar
from attar.network.architectures import mlp
from attar.network.scaled_outputs import scaled_to

digits = attar.load_data("digits")
images = torch.cat([part.inputs for part in digits.splits().values()])

# What is true is computed from the pixels: the direction in which the ink spreads most, in degrees from upright.
ink = images[:, 0].numpy().astype("float64")
ink /= ink.sum(axis=(1, 2), keepdims=True)
rows, columns = np.mgrid[:8, :8]
down, right = (grid - (ink * grid).sum(axis=(1, 2))[:, None, None] for grid in (rows, columns))
covariance = (ink * down * right).sum(axis=(1, 2))
slant = np.degrees(np.arctan2(2 * covariance, (ink * (down**2 - right**2)).sum(axis=(1, 2)))) / 2
data = attar.from_arrays("slant of digits", {"x": images, "y": slant, "names": ["slant"], "task": "regression"})

torch.manual_seed(0)
settings = attar.Training(epochs=8, batch_size=64, optimizer="adam", learning_rate=0.01, schedule="cosine")
validation, labels = attar.TransferSet(data.validation), data.train.labels
spread = float(labels.std())
hard = attar.Objective({"hard": attar.Term(loss=attar.HardValues(scale=spread))})
large = scaled_to(mlp(64, 1, [128]), labels)  # learns standardized values, and gives degrees
teacher = attar.fit(large, hard, attar.TransferSet(data.train), settings=settings, validation=validation).model

soft = attar.Objective({"soft": attar.Term(loss=attar.SquaredError(kind="values", scale=spread))})
targets = attar.Live(attar.as_teacher(teacher, classes=1, output="values"))
transfer_set = attar.TransferSet(data.train, targets=targets)
student = scaled_to(mlp(64, 1, [16]), labels)
fitted = attar.fit(student, soft, transfer_set, settings=settings, validation=validation)

artifact = attar.deploy(
    fitted.model,
    "onnxruntime",
    "artifact",
    task=data.task,
    example=data.train.floats(slice(1)),
)
print(attar.measure(teacher, data.test, kind="teacher", seconds=0.1))
print(attar.measure(artifact, data.test, seconds=0.1))
print(artifact(data.test.floats(slice(3)).numpy()), "degrees")
