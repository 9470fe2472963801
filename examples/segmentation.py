"""A class for each pixel: discs and squares on noise, told apart by a small fully convolutional network.

The recipe segmentation.toml names the data of this module; run as a script, it goes the same way in Python.
"""

import numpy as np
import torch

import attar
from attar.network.architectures import segmenter

SIDE = 16


def data(rows: int = 600) -> dict[str, object]:
    """Images of 16 x 16 pixels with a disc, a square, both or neither, and the class of each pixel."""
    draw = np.random.default_rng(0)
    down, right = np.mgrid[:SIDE, :SIDE]
    y = np.zeros((rows, SIDE, SIDE), "int64")
    for one in y:
        for kind in draw.permutation([1, 2])[: draw.integers(0, 3)]:
            (top, left), radius = draw.uniform(4, SIDE - 5, 2), draw.uniform(3, 5)
            away = np.abs(down - top), np.abs(right - left)
            inside = np.hypot(*away) <= radius if kind == 1 else np.maximum(*away) <= 0.9 * radius
            one[inside] = kind
    x = (0.5 * (y > 0) + draw.normal(0.25, 0.1, y.shape))[:, None]
    return {"x": x.astype("float32"), "y": y, "classes": ["ground", "disc", "square"], "task": "dense"}


def main() -> None:
    """Train a large network on the maps and a small one on what it says, and deploy that."""
    torch.manual_seed(0)
    shapes = attar.from_arrays("shapes", data(rows=240))
    settings = attar.Training(epochs=6, batch_size=32, optimizer="adam", learning_rate=0.01)
    validation = attar.TransferSet(shapes.validation)
    labels = attar.Objective({"hard": attar.Term(loss=attar.HardLabels())})
    large = attar.fit(
        segmenter(3, [16, 16, 16]), labels, attar.TransferSet(shapes.train), settings=settings, validation=validation
    ).model

    teacher = attar.as_teacher(large, example=shapes.train.floats(slice(1)))
    targets = attar.label(teacher, shapes.train, "targets")
    objective = attar.Objective({"soft": attar.Term(loss=attar.SoftTargets(temperature=2.0))})
    transfer = attar.TransferSet(shapes.train, targets=targets)
    fitted = attar.fit(segmenter(3, [6, 6, 6]), objective, transfer, settings=settings, validation=validation)

    example = shapes.train.floats(slice(1))
    artifact = attar.deploy(fitted.model, "onnxruntime", "artifact", example=example, task=shapes.task)
    print(attar.measure(artifact, shapes.test, seconds=0.1))
    numbers = attar.load("artifact").predict(shapes.test.floats(slice(1)))  # of the classes, [1, height, width]
    print("\n".join("".join(".o#"[one] for one in line) for line in numbers[0]))


if __name__ == "__main__":
    main()
