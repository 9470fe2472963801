"""Any of several labels may hold: which instruments play, told from the spectrum of their sound.

The recipe multilabel.toml names the data of this module; run as a script, it goes the same way in Python.
"""

import numpy as np
import torch

import attar
from attar.network.architectures import mlp

INSTRUMENTS = ["flute", "violin", "horn", "bass", "drum"]


def data(rows: int = 2000) -> dict[str, object]:
    """Energies in 24 bands of frequency, and for each instrument whether it plays; rarer ones play less often."""
    draw = np.random.default_rng(0)
    bands, places = np.arange(24), np.linspace(2, 21, len(INSTRUMENTS))
    # Each instrument has energy around a place of its own and at its octave.
    spectra = np.exp(-0.1 * (bands - places[:, None]) ** 2) + 0.5 * np.exp(-0.1 * (bands - places[::-1, None]) ** 2)
    plays = draw.random((rows, len(INSTRUMENTS))) < [0.5, 0.4, 0.3, 0.3, 0.15]
    loud = plays * draw.uniform(0.5, 1.5, plays.shape)
    x = loud @ spectra + 0.25 * draw.normal(size=(rows, len(bands)))
    return {"x": x.astype("float32"), "y": plays.astype("int64"), "classes": INSTRUMENTS, "task": "multilabel"}


def main() -> None:
    """Train a large network on the labels and a small one on what it says, and deploy that."""
    torch.manual_seed(0)
    sounds = attar.from_arrays("sounds", data())
    settings = attar.Training(epochs=15, batch_size=64, optimizer="adam", learning_rate=0.005)
    validation = attar.TransferSet(sounds.validation)
    labels = attar.Objective({"hard": attar.Term(loss=attar.BinaryLabels())})
    large = attar.fit(
        mlp(24, 5, [128, 128]), labels, attar.TransferSet(sounds.train), settings=settings, validation=validation
    ).model

    teacher = attar.as_teacher(large, classes=5, output="log_odds")  # each logit means a probability by itself
    targets = attar.label(teacher, sounds.train, "targets")
    objective = attar.Objective({"soft": attar.Term(loss=attar.BinaryTargets(temperature=2.0))})
    transfer = attar.TransferSet(sounds.train, targets=targets)
    fitted = attar.fit(mlp(24, 5, [16]), objective, transfer, settings=settings, validation=validation)

    example = sounds.train.floats(slice(1))
    artifact = attar.deploy(fitted.model, "onnxruntime", "artifact", example=example, task=sounds.task)
    print(attar.measure(artifact, sounds.test, seconds=0.1))
    for probabilities in attar.load("artifact").predict_proba(sounds.test.floats(slice(3))):
        print(", ".join(name for name, one in zip(INSTRUMENTS, probabilities, strict=True) if one > 0.5) or "none")


if __name__ == "__main__":
    main()
