"""From a trained torch module to an artifact: a small student learns the module's outputs, and ONNX Runtime runs it."""

import torch

import attar
from attar.network.architectures import mlp

torch.manual_seed(0)
data = attar.load_data("digits")
labels = attar.Objective({"hard": attar.Term(loss=attar.HardLabels())})
large = attar.fit(mlp(64, 10, [512, 512]), labels, attar.TransferSet(data.train)).model  # in its place, your own

teacher = attar.as_teacher(large, classes=10)
targets = attar.label(teacher, data.train, "targets")
objective = attar.Objective({"soft": attar.Term(loss=attar.SoftTargets(temperature=4.0))})
settings = attar.Training(epochs=30, learning_rate=0.05)
check = attar.TransferSet(data.validation)
fitted = attar.fit(
    mlp(64, 10, [16]), objective, attar.TransferSet(data.train, targets=targets), settings=settings, validation=check
)

artifact = attar.deploy(fitted.model, "onnxruntime", "artifact", example=data.train.floats(slice(1)), task=data.task)
print(attar.measure(artifact, data.test))
print(attar.load("artifact").predict(data.test.floats(slice(5))))
