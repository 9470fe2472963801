"""Your own data as arrays: three spirals, taught by an ensemble, learned by a student of a few hidden units."""

import numpy as np
import torch

import attar
from attar.network.architectures import mlp

draw = np.random.default_rng(0)
y = np.arange(1500) % 3
radius = draw.uniform(0.2, 1.0, 1500)
angle = 5 * radius + y * 2 * np.pi / 3 + draw.normal(0, 0.15, 1500)
x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype("float32")
data = attar.from_arrays("spirals", {"x": x, "y": y, "classes": ["red", "green", "blue"]})

torch.manual_seed(0)
settings = attar.Training(epochs=30, batch_size=64, optimizer="adam", learning_rate=0.02)
labels = attar.Objective({"hard": attar.Term(loss=attar.HardLabels())})
seen, validation = attar.TransferSet(data.train), attar.TransferSet(data.validation)
members = [
    attar.fit(mlp(2, 3, [64, 64]), labels, seen, settings=settings, validation=validation).model for _ in range(3)
]

objective = attar.Objective({"soft": attar.Term(loss=attar.SoftTargets(temperature=2.0))})
transfer_set = attar.TransferSet(data.train, targets=attar.Live(attar.as_teacher(members, classes=3)))
fitted = attar.fit(mlp(2, 3, [16]), objective, transfer_set, settings=settings, validation=validation)
print(fitted)
print(attar.measure(fitted.model, data.test))
