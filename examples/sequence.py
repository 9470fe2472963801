"""Sequences of tokens: is a sentence kind or unkind? A toy, whose sentences are drawn from a dozen and a half words.

"not" turns around the next word, so that order matters. The recipe sequence.toml names the data of this module; run as
a script, it goes the same way in Python.
"""

import numpy as np
import torch

import attar
from attar.network.architectures import token_mean

KIND, UNKIND = ["good", "fine", "bright", "warm"], ["bad", "dull", "cold", "harsh"]
WORDS = ["(nothing)", "not", *KIND, *UNKIND, "the", "film", "song", "was", "and", "so"]
LENGTH = 12


def data(rows: int = 2000) -> dict[str, object]:
    """Sentences of 4 to 12 words as the numbers of these, and which of them are kind in most of what they say."""
    draw = np.random.default_rng(0)
    ids = draw.integers(10, len(WORDS), (rows, LENGTH))
    opinion = draw.random(ids.shape) < 0.5
    ids[opinion] = draw.integers(2, 10, int(opinion.sum()))
    ids[draw.random(ids.shape) < 0.25] = 1
    mask = np.arange(LENGTH) < draw.integers(4, LENGTH + 1, (rows, 1))
    ids *= mask
    says = np.where((ids >= 2) & (ids < 6), 1, np.where((ids >= 6) & (ids < 10), -1, 0))
    says[:, 1:] *= np.where(ids[:, :-1] == 1, -1, 1)
    total = says.sum(axis=1)
    told = total != 0  # whether it is anything at all
    return {
        "ids": ids[told],
        "mask": mask[told].astype("int64"),
        "y": (total[told] > 0).astype("int64"),
        "classes": ["unkind", "kind"],
        "words": WORDS,
    }


def main() -> None:
    """Train a large network on the labels and a small one on what it says, and deploy that."""
    torch.manual_seed(0)
    sentences = attar.from_arrays("sentences", data())
    settings = attar.Training(epochs=6, batch_size=32, optimizer="adam", learning_rate=0.01)
    validation = attar.TransferSet(sentences.validation)
    labels = attar.Objective({"hard": attar.Term(loss=attar.HardLabels())})
    large = attar.fit(
        token_mean(len(WORDS), 2, width=32, hidden=64, window=3),
        labels,
        attar.TransferSet(sentences.train),
        settings=settings,
        validation=validation,
    ).model

    teacher = attar.as_teacher(large, classes=2)
    targets = attar.label(teacher, sentences.train, "targets")
    objective = attar.Objective({"soft": attar.Term(loss=attar.SoftTargets(temperature=2.0))})
    transfer = attar.TransferSet(sentences.train, targets=targets)
    student = token_mean(len(WORDS), 2, width=4, hidden=8, window=3)
    fitted = attar.fit(student, objective, transfer, settings=settings, validation=validation)

    example, tokens = sentences.train.floats(slice(1)), sentences.tokens
    artifact = attar.deploy(
        fitted.model, "onnxruntime", "artifact", example=example, task=sentences.task, tokens=tokens
    )
    print(attar.measure(artifact, sentences.test, seconds=0.1))
    sentence = [WORDS.index(word) for word in "the film was not bad and so bright".split()]
    print(attar.load("artifact").predict_classes(ids=[sentence]))


if __name__ == "__main__":
    main()
