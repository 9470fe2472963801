"""Sequences of tokens: is a sentence kind or unkind? A toy in which few labels do not suffice, and a teacher helps.

A sentence is kind if most of its adjectives are, of which there are 64, and "not" turns around the next word: order
matters, and each adjective must be known. The large network learns from the labels of all sentences. The small one has
those of a fifth, which say too little of each word, and what the large one says of all. The recipe sequence.toml names
the data of this module; run as a script, it goes the same way in Python.
"""

from dataclasses import replace

import numpy as np
import torch

import attar
from attar.network.architectures import token_mean

KIND = (
    "good fine bright warm dear kind sweet fair fresh clear brave calm deft keen lively neat "
    "proud quick rich smart soft sound strong tender true vivid wise witty apt bold clean cosy"
).split()
UNKIND = (
    "bad dull cold harsh drab false flat foul gloomy grim hollow lame limp mean numb pale "
    "petty poor rude sad shabby sour stale tame thin trite ugly vain vague weak weary wooden"
).split()
OTHER = "the a film song book play was is and so it then".split()
WORDS = ["(nothing)", "not", *KIND, *UNKIND, *OTHER]
LENGTH = 12


def data(rows: int = 2000) -> dict[str, object]:
    """Sentences of 4 to 12 words as the numbers of these, and which of them are kind in most of what they say."""
    draw = np.random.default_rng(0)
    unkind, other = 2 + len(KIND), 2 + len(KIND) + len(UNKIND)
    ids = draw.integers(other, len(WORDS), (rows, LENGTH))
    adjective = draw.random(ids.shape) < 0.5
    ids[adjective] = draw.integers(2, other, int(adjective.sum()))
    ids[draw.random(ids.shape) < 0.2] = 1
    mask = np.arange(LENGTH) < draw.integers(4, LENGTH + 1, (rows, 1))
    ids *= mask
    says = np.where((ids >= 2) & (ids < unkind), 1, np.where((ids >= unkind) & (ids < other), -1, 0))
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
    """Train a large network on the labels and a small one on what it says, beside one on few labels, and deploy."""
    torch.manual_seed(0)
    sentences = attar.from_arrays("sentences", data())
    settings = attar.Training(epochs=12, batch_size=32, optimizer="adam", learning_rate=0.01)
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
    student = token_mean(len(WORDS), 2, width=8, hidden=16, window=3)
    fitted = attar.fit(student, objective, transfer, settings=settings, validation=validation)

    few = attar.TransferSet(sentences.train.rows(torch.arange(len(sentences.train) // 5)))
    alone = token_mean(len(WORDS), 2, width=8, hidden=16, window=3)
    long = replace(settings, epochs=5 * settings.epochs)  # as many steps
    baseline = attar.fit(alone, labels, few, settings=long, validation=validation)

    example, tokens = sentences.train.floats(slice(1)), sentences.tokens
    for name, model in (("baseline", baseline.model), ("artifact", fitted.model)):
        artifact = attar.deploy(model, "onnxruntime", name, example=example, task=sentences.task, tokens=tokens)
        print(name, attar.measure(artifact, sentences.test, seconds=0.1).quality)
    sentence = [WORDS.index(word) for word in "the film was not bad and so bright".split()]
    print(attar.load("artifact").predict(ids=[sentence]))


if __name__ == "__main__":
    main()
