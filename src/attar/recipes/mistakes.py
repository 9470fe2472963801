"""What ships against the labels of the test examples: which classes it takes for which, and where it errs alone.

The test examples were read once, after every choice: nothing follows from what is shown here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attar.data.split import Split
from attar.evidence.measure import labels_of
from attar.formatting import ABSENT, trimmed
from attar.recipes.training_figures import MOST_SIDE, at_most
from attar.tables.column import Column

_CLASSES = 30
"""Up to so many classes there is a figure for each pair of them."""

_PAIRS = 20
_VALUES = 64
_FACTS = 8
_BARS = 4

Logits = NDArray[np.float32]


def confusion(test: Split, logits: Logits) -> dict[str, Any] | None:
    """How often each class is taken for each other one; of many classes the pairs that are confused most.

    Args:
        test: The examples, with labels.
        logits: ``[n, classes]`` of what ships.

    Returns:
        ``names``, and ``counts``, ``[true][named]``; or ``pairs``, each ``true``, ``named``, ``count`` and ``of``, the
        number of examples of the true class. None for other tasks than telling classes apart.
    """
    if test.task.label_kind != "class":
        return None
    labels, names = labels_of(test), list(test.task.names)
    known = labels >= 0
    true, named = labels[known].astype(np.int64), logits.argmax(1)[known].astype(np.int64)
    if len(names) <= _CLASSES:
        counts = np.bincount(true * len(names) + named, minlength=len(names) ** 2)
        return {"names": names, "counts": counts.reshape(len(names), len(names)).tolist()}
    wrong = true != named
    codes, counts = np.unique(true[wrong] * len(names) + named[wrong], return_counts=True)
    of_class = np.bincount(true, minlength=len(names))
    most = np.argsort(-counts, kind="stable")[:_PAIRS]
    pairs = [(*divmod(int(codes[one]), len(names)), int(counts[one])) for one in most]
    return {
        "pairs": [
            {"true": names[label], "named": names[other], "count": count, "of": int(of_class[label])}
            for label, other, count in pairs
        ]
    }


def mistakes(test: Split, teacher: Logits, student: Logits, most: int = 6) -> dict[str, Any] | None:
    """Test examples that the teacher gets right and what ships wrong, those first of which it is surest.

    Args:
        test: The examples, with labels.
        teacher: ``[n, classes]`` logits.
        student: The same of what ships.
        most: How many examples.

    Returns:
        ``lost`` and ``won`` (how many the teacher, and what ships, gets right alone), ``examples``: each as it is seen,
        with ``label``, ``named`` and ``bars`` (class, probability, whether it is the label). None for other tasks than
        telling classes apart.
    """
    if test.task.label_kind != "class":
        return None
    labels, names = labels_of(test), test.task.names
    known = labels >= 0
    theirs, ours = (known & (logits.argmax(1) == labels) for logits in (teacher, student))
    rows = np.flatnonzero(theirs & ~ours)
    scores = torch.from_numpy(student[rows]).double().softmax(1).numpy()
    surest = np.argsort(-scores.max(1), kind="stable")[:most]
    found = []
    for place in surest:
        row, label, shares = int(rows[place]), int(labels[rows[place]]), scores[place]
        best = [int(one) for one in np.argsort(-shares, kind="stable")[:_BARS]]
        bars = [*best, *([] if label in best else [label])]
        found.append(
            {
                **_seen(test, row),
                "label": names[label],
                "named": names[best[0]],
                "bars": [[names[one], float(shares[one]), one == label] for one in bars],
            }
        )
    return {"lost": len(rows), "won": int((ours & ~theirs).sum()), "examples": found}


def _seen(test: Split, row: int) -> dict[str, Any]:
    """An example as it is: a picture, the values of a row by their names, words, or bare numbers."""
    seen: dict[str, Any] = {"id": int(test.ids[row])}
    if test.tokens is not None:
        return {**seen, "text": test.tokens.in_words(test.inputs[row].numpy())}
    if test.columns is not None:
        values = test.inputs[row].tolist()
        shown = [(one.name, _in_words(one, value)) for one, value in zip(test.columns, values, strict=True)]
        return {**seen, "facts": shown[:_FACTS], "more_facts": max(len(shown) - _FACTS, 0)}
    pixels = test.floats(torch.tensor([row]))[0]
    if test.named is not None and test.named.images == 1:
        place, shape = test.named.image("Mistakes")
        pixels = pixels[place].reshape(shape)
    if pixels.dim() == 3 and pixels.shape[0] in (1, 3):
        pixels = at_most(pixels, MOST_SIDE)
        return {**seen, "image": (pixels[0] if pixels.shape[0] == 1 else pixels.permute(1, 2, 0)).tolist()}
    return {**seen, "values": pixels.flatten()[:_VALUES].tolist()}


def _in_words(column: Column, value: float) -> str:
    if math.isnan(value):
        return ABSENT
    if column.dates is not None:
        return column.dates.text(value)
    if not column.categories:
        return trimmed(value, 4)
    code = int(value)
    return str(column.categories[code]) if 0 <= code < len(column.categories) else ABSENT
