"""Examples for a report whose labels are several, or a map: what is seen, what is true and what the teacher says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from attar.data.split import Split

Seen = Callable[[int], dict[str, Any]]
"""An example as it is seen, by its row."""

_SIDE = 64
"""Pixels of a map along an axis, about, that are drawn."""


def of_labels(train: Split, targets: Tensor, temperature: float, most: int, seen: Seen) -> list[dict[str, Any]]:
    """Examples of which a teacher is least sure, one for each label at most, with a probability for each label.

    Args:
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
            "label": train.task.label_in_words(train.labels[row]),
            "soft": soft[row].tolist(),
            "holds": (train.labels[row] == 1).tolist(),
        }
        for row in rows
    ]


def of_maps(
    train: Split, targets: Tensor, true_map: Callable[[int], Tensor], most: int, seen: Seen
) -> list[dict[str, Any]]:
    """Examples of which a teacher is least sure, each with what is true and what the teacher says as maps.

    Args:
        train: The examples, with labels.
        targets: ``[rows, classes, height, width]`` logits.
        true_map: ``[height, width]`` class numbers of a row, where its example is seen.
        most: How many examples.
        seen: Gives an example.
    """
    assert train.labels is not None, "seen to before"
    sure = targets.softmax(1).amax(1).flatten(1).mean(1)
    step = -(-max(targets.shape[2:]) // _SIDE)
    found = []
    for row in sure.argsort()[:most].tolist():
        example = seen(row)
        if example.get("image") is not None:
            example["image"] = [line[::step] for line in example["image"][::step]]
        maps = {"true": true_map(row), "teacher": targets[row].argmax(0)}
        found.append(
            {
                **example,
                "label": train.task.label_in_words(train.labels[row]),
                "maps": {name: one[::step, ::step].tolist() for name, one in maps.items()},
            }
        )
    return found
