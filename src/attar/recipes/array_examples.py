"""Examples for a report whose labels are several, or a map: what is seen, what is true and what models say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
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


def of_fixations(
    train: Split,
    targets: Tensor,
    student: Callable[[list[int]], Tensor],
    true_map: Callable[[int], Tensor],
    most: int,
    seen: Seen,
) -> list[dict[str, Any]]:
    """Examples whose densities the teacher has farthest from each other, with fixations and densities as maps.

    The first is the one that is farthest from the mean of all, and each further one that which is farthest from those
    that are there, by how much of their probability is not in common.

    Args:
        train: The examples, with labels.
        targets: ``[rows, positions]`` logits of the teacher.
        student: ``[some, positions]`` logits of the student for some rows.
        true_map: ``[height, width]`` counts of a row, where its example is seen.
        most: How many examples.
        seen: Gives an example.
    """
    assert train.labels is not None, "seen to before"
    height, width = train.labels.shape[1:]
    densities = targets.softmax(1)
    far = (densities - densities.mean(0)).abs().sum(1)
    rows: list[int] = []
    for _ in range(min(most, len(train))):
        rows.append(int(far.argmax()))
        apart = (densities - densities[rows[-1]]).abs().sum(1)
        far = apart if len(rows) == 1 else torch.minimum(far, apart)
    step = -(-max(height, width) // _SIDE)
    says = {"teacher": densities[rows], "student": student(rows).softmax(1)}
    found = []
    for place, row in enumerate(rows):
        example = seen(row)
        if example.get("image") is not None:
            example["image"] = [line[::step] for line in example["image"][::step]]
        fixations = true_map(row).clamp(min=0)
        found.append(
            {
                **example,
                "label": train.task.label_in_words(train.labels[row]),
                "fixations": [[y // step, x // step] for y, x in fixations.nonzero().tolist()],
                "densities": {
                    name: _shown(one[place].reshape(height, width)[::step, ::step]) for name, one in says.items()
                },
            }
        )
    return found


def _shown(density: Tensor) -> list[list[float]]:
    """A density as shares of its largest number, in few digits."""
    shares = density / density.amax()
    return [[round(one, 3) for one in line] for line in shares.tolist()]
