"""Examples for a report whose labels are several, or a map: the images or numbers, what is true and what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from attar.tasks.dense import Dense
from attar.tasks.labels import ABSENT
from attar.tasks.multilabel import MultiLabel
from attar.transfer.split import Split

Seen = Callable[[int], dict[str, Any]]
"""An example as it is seen, by its row."""


def of_labels(
    task: MultiLabel, train: Split, targets: Tensor, temperature: float, most: int, seen: Seen
) -> list[dict[str, Any]]:
    """Examples of which a teacher is least sure, one for each label at most, with a probability for each label.

    Args:
        task: Which labels there are.
        train: The examples, with labels.
        targets: ``[rows, labels]`` log-odds.
        temperature: By which they are softened.
        most: How many examples.
        seen: Gives an example.
    """
    assert train.labels is not None, "seen to before"
    soft = (targets / temperature).sigmoid()
    unsure = 1 - (2 * soft - 1).abs()
    rows = list(dict.fromkeys(unsure.argmax(0).tolist()))
    rows = sorted(rows, key=lambda row: -float(unsure[row].max()))[:most]
    return [
        {
            **seen(row),
            "label": task.label_in_words(train.labels[row]),
            "soft": soft[row].tolist(),
            "holds": [bool(one) for one in train.labels[row] == 1],
        }
        for row in rows
    ]


def of_maps(
    task: Dense, train: Split, targets: Tensor, views: Callable[[Tensor, int], Tensor], most: int, seen: Seen
) -> list[dict[str, Any]]:
    """Examples of which a teacher is least sure, each with what is true and what the teacher says as maps.

    Args:
        task: Which classes there are.
        train: The examples, with labels.
        targets: ``[rows, classes, height, width]`` logits.
        views: Moves a map ``[height, width]`` as the example of a row is moved where it is seen.
        most: How many examples.
        seen: Gives an example.
    """
    assert train.labels is not None, "seen to before"
    sure = targets.softmax(1).amax(1).flatten(1).mean(1)
    rows = sure.argsort()[:most].tolist()
    return [
        {
            **seen(row),
            "label": task.label_in_words(train.labels[row]),
            "maps": {
                "true": views(train.labels[row], row).clamp_min(ABSENT).tolist(),
                "teacher": targets[row].argmax(0).tolist(),
            },
        }
        for row in rows
    ]
