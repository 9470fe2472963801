"""Labels that are arrays of their own for each example: a row of 1 and 0, or a map of class numbers or fixations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import BadInput, Words, must
from attar.tasks.labels import ABSENT
from attar.tasks.metrics.gaze import Center, fitted_center

_NOT_COUNTED = 255
"""What many files of maps have where a position does not count."""

_MOST = 2**15
"""Classes of a map, at most, where their names are not given."""


def label_rows(
    name: str, given: Mapping[str, tuple[str, object]], classes: object = None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Rows of 1 and 0 as labels, and what the labels are called.

    Args:
        name: What the data set is called.
        given: By the role of a split, the key of its labels and the labels, ``[n, labels]``: 1 or True where a label
            holds, 0 or False where it does not, -1 or NaN where that is not known; ``train`` must be there.
        classes: Names of the labels; None calls them by their places.

    Returns:
        By role, int64 ``[n, labels]``; and the names.

    Raises:
        BadInput: If they are anything else.
    """
    arrays = {
        role: _integers(key, name, values, "1, 0, or -1 where not known") for role, (key, values) in given.items()
    }
    key, train = given["train"][0], arrays["train"]
    for role, array in arrays.items():
        if array.ndim != 2 or array.shape[1:] != train.shape[1:] or not array.shape[1]:
            rule = "[n, labels], a column of 1 and 0 for each label, as many in every split"
            raise must(given[role][0], name, rule, tuple(array.shape), "Give a column for each label")
        if len(array) and not ABSENT <= array.min() <= array.max() <= 1:
            rule = "of 1, 0, or -1 where not known"
            got = Words(f"{array.min()} .. {array.max()}")
            raise must(given[role][0], name, rule, got, "Write a column of 1 and 0 for each label")
    names = _names(name, classes, tuple(f"label {place}" for place in range(train.shape[1])))
    if len(names) != train.shape[1]:
        rule = f"{train.shape[1]} names, one for each column of {key}"
        raise must("classes", name, rule, list(names), "Name each label once")
    return {role: torch.from_numpy(array) for role, array in arrays.items()}, names


def label_maps(
    name: str, given: Mapping[str, tuple[str, object]], classes: object = None
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[int, int]]:
    """Maps of class numbers as labels, and what the classes are called.

    Args:
        name: What the data set is called.
        given: By the role of a split, the key of its labels and the labels, ``[n, height, width]`` whole numbers from
            0, -1 where a position does not count; ``train`` must be there.
        classes: Names of the classes; None calls them by their numbers.

    Returns:
        By role, int64 ``[n, height, width]``; the names; and height and width.

    Raises:
        BadInput: If they are anything else.
    """
    arrays = {role: _integers(key, name, values, "class numbers") for role, (key, values) in given.items()}
    train = arrays["train"]
    for role, array in arrays.items():
        if array.ndim != 3 or array.shape[1:] != train.shape[1:] or 0 in array.shape[1:]:
            rule = "[n, height, width], maps of class numbers of one size in every split"
            raise must(given[role][0], name, rule, tuple(array.shape), "Give a map for each row")
    most = max((int(array.max()) for array in arrays.values() if array.size), default=0)
    least = min((int(array.min()) for array in arrays.values() if array.size), default=0)
    if least < ABSENT or most >= _MOST:
        rule = "numbers of classes from 0, or -1 where a position does not count"
        raise must(given["train"][0], name, rule, Words(f"{least} .. {most}"), "Number the classes from 0")
    if classes is None and most == _NOT_COUNTED and not any((array == most - 1).any() for array in arrays.values()):
        others = max((int(array[array != most].max(initial=ABSENT)) for array in arrays.values()), default=ABSENT)
        raise BadInput(
            f"{given['train'][0]} of {name} has {most}, which is no class where the others go up to {others}. Write -1 "
            "where a position does not count, or name all of the classes in classes."
        )
    names = _names(name, classes, tuple(str(number) for number in range(max(2, most + 1))))
    size = (int(train.shape[1]), int(train.shape[2]))
    return {role: torch.from_numpy(array) for role, array in arrays.items()}, names, size


def fixation_maps(
    name: str, given: Mapping[str, tuple[str, object]]
) -> tuple[dict[str, Tensor], tuple[int, int], Center | None]:
    """Maps of how many fixations fell on each pixel as labels, and the center bias of those of train.

    Args:
        name: What the data set is called.
        given: By the role of a split, the key of its labels and the labels, ``[n, height, width]`` whole numbers from
            0, -1 where none could be seen; ``train`` must be there.

    Returns:
        By role, int64 ``[n, height, width]``; height and width; and the center bias, None where train has no fixation.

    Raises:
        BadInput: If they are anything else.
    """
    arrays = {role: _integers(key, name, values, "counts of fixations") for role, (key, values) in given.items()}
    train = arrays["train"]
    for role, array in arrays.items():
        if array.ndim != 3 or array.shape[1:] != train.shape[1:] or 0 in array.shape[1:]:
            rule = "[n, height, width], how many fixations each pixel has, of one size in every split"
            raise must(given[role][0], name, rule, tuple(array.shape), "Give a map of counts for each row")
    size = (int(train.shape[1]), int(train.shape[2]))
    center = fitted_center(train) if (train > 0).any() else None
    return {role: torch.from_numpy(array) for role, array in arrays.items()}, size, center


def are_maps(labels: object) -> bool:
    """Whether labels can only be maps of class numbers: whole numbers with two axes behind that of the examples."""
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    return array.ndim == 3 and array.dtype.kind in "iub"


def _integers(key: str, name: str, values: object, what: str) -> NDArray[np.int64]:
    """Whole numbers; NaN is what is not known."""
    array: NDArray[Any] = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "biuf":
        got = Words(f"{type(values).__name__} of {array.dtype}")
        raise must(key, name, f"whole numbers: {what}", got, "Convert them to numbers")
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), ABSENT, array)
        if not (np.isfinite(array) & (array == np.rint(array))).all():
            got = Words("numbers with a fraction")
            raise must(key, name, f"whole numbers: {what}", got, "Round them, or look again")
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise must(key, name, "whole numbers below 2**63", int(array.max()), "Number the classes from 0")
    return np.ascontiguousarray(array.astype(np.int64))


def _names(name: str, given: object, default: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return default
    if isinstance(given, str) or np.ndim(given) != 1:  # type: ignore[arg-type]
        raise must("classes", name, "a list of names", given, "Name the classes in the order of their numbers")
    return tuple(map(str, np.asarray(given).tolist()))
