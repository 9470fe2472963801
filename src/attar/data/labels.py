"""Labels of any usual kind as class numbers from 0: what a user's classes are, and what they are called."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import BadInput, Words, must, near, shown
from attar.tasks.labels import ABSENT

log = logging.getLogger(__name__)

_MOST = 20
"""Names or numbers in a message, at most."""


def numbered_labels(
    name: str, given: Mapping[str, tuple[str, object]], classes: object = None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Labels as class numbers, and the names of the classes.

    Labels are whole numbers (also as floats), bools, or strings. Strings and bools are the classes themselves, sorted
    where ``classes`` does not say in which order. Numbers count the classes from 0; where none is 0 and no names are
    given they may count from 1, and the classes are called by these numbers.

    Args:
        name: What the data set is called.
        given: By the role of a split, the key of its labels and the labels ``[n]``; ``train`` must be there. In train
            -1, NaN and None are unknown.
        classes: Names of the classes; None where the labels tell.

    Returns:
        By role, int64 ``[n]`` with `ABSENT` where unknown; and the names.

    Raises:
        BadInput: If labels are none of these, or there are not two classes or more that train has all.
    """
    arrays = {role: (key, _array(key, name, labels)) for role, (key, labels) in given.items()}
    if classes is None:
        _warn_of_absent(name, *arrays["train"])
    kinds = {role: "text" if labels.dtype.kind in "UO" else "number" for role, (_, labels) in arrays.items()}
    if len(set(kinds.values())) > 1:
        remedy = "Use the same labels in every split"
        raise must(
            "labels",
            name,
            "of one kind",
            Words(" and ".join(f"{kind}s in {role}" for role, kind in kinds.items())),
            remedy,
        )
    names = _names(name, classes)
    if kinds["train"] == "text":
        return _of_texts(name, arrays, names)
    labels_by_role = {role: (key, _integers(key, name, labels, role)) for role, (key, labels) in arrays.items()}
    logical = all(labels.dtype.kind == "b" for _, labels in arrays.values())
    return _of_numbers(name, labels_by_role, names, logical)


def _warn_of_absent(name: str, key: str, labels: NDArray[Any]) -> None:
    """Log that -1 says that a label is unknown, where some are -1 and others tell classes apart."""
    if labels.dtype.kind not in "if" or not (unknown := int((labels == ABSENT).sum())):
        return
    if len(np.unique(labels[labels >= 0])) > 1:
        log.warning(
            "%d of the %d labels in %s of %s are -1, which says that they are unknown: where -1 is a class, give y + 1",
            unknown, len(labels), key, name,
        )  # fmt: skip


def label_dtype(key: str, name: str, values: object, classes: object = None) -> str:
    """NumPy's name of the type of a user's labels, of which the names of the classes are the texts.

    Args:
        key: What the labels are called.
        name: What the data set is called.
        values: The labels ``[n]`` of train.
        classes: Names of the classes, where the user gives them: these are then what is predicted.

    Returns:
        ``str`` for texts and where there are names; of objects that are numbers ``int64``, as gaps made them objects.
    """
    given = np.asarray(values if not isinstance(values, Tensor) else values.detach().cpu().numpy()).dtype
    if classes is not None or _array(key, name, values).dtype.kind in "UO":
        return "str"
    return "int64" if given.kind == "O" else given.name


def _array(key: str, name: str, values: object) -> NDArray[Any]:
    """Labels as a one-dimensional array of numbers, bools or strings."""
    array: NDArray[Any] = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1:
        remedy = "Use .argmax(1) for one-hot rows, .reshape(-1) for a column"
        if array.ndim == 2:
            remedy += ', task "multilabel" where any of several labels may hold'
        raise must(key, name, "[n], one number for each row", tuple(array.shape), remedy)
    if array.dtype.kind == "S":  # as HDF5 has texts
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise must(key, name, "names in UTF-8", Words(str(error)), "Give them as texts") from error
    if array.dtype.kind == "O":
        array = _of_objects(key, name, array)
    if array.dtype.kind not in "biufUO":
        got = Words(f"{type(values).__name__} of {array.dtype}")
        raise must(key, name, "whole numbers, bools or names", got, "Number the classes from 0")
    return array


def _of_objects(key: str, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Objects as what they all are; texts stay objects, None where there is none."""
    there = np.array([value is not None and value == value for value in array.tolist()], bool)
    values = array[there].tolist()
    if all(isinstance(value, str) for value in values):
        found = np.full(len(array), None, object)
        found[there] = values
        return found
    if all(isinstance(value, bool | int | float) for value in values):
        numbers = np.full(len(array), np.nan)
        numbers[there] = values
        return numbers
    kinds = sorted({type(value).__name__ for value in values})
    raise must(key, name, "whole numbers, bools or names", Words(", ".join(kinds)), "Number the classes from 0")


def _names(name: str, given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or np.ndim(given) != 1:  # type: ignore[arg-type]
        raise must("classes", name, "a list of names", given, "Name the classes in the order of their numbers")
    return tuple(map(str, np.asarray(given).tolist()))


def _integers(key: str, name: str, labels: NDArray[Any], role: str) -> NDArray[np.int64]:
    """Labels as whole numbers, `ABSENT` for NaN in train."""
    if labels.dtype.kind != "f":
        if labels.dtype.kind == "u" and labels.size and int(labels.max()) > np.iinfo(np.int64).max:
            raise must(key, name, "whole numbers below 2**63", int(labels.max()), "Number the classes from 0")
        return labels.astype(np.int64)
    gaps = np.isnan(labels) & (role == "train")
    filled = np.where(gaps, ABSENT, labels)
    wrong = ~(np.isfinite(filled) & (filled == np.rint(filled)) & (abs(filled) < 2**53))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        rule = "whole numbers, one for each class"
        remedy = "Number the classes from 0; values that are measured are no classes"
        raise must(key, name, rule, Words(f"{float(labels[row])} in row {row}"), remedy)
    return filled.astype(np.int64)


def _of_numbers(
    name: str, given: Mapping[str, tuple[str, NDArray[np.int64]]], names: tuple[str, ...] | None, logical: bool
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    key, train = given["train"]
    found = np.unique(train[train != ABSENT]) if not logical else np.unique(train)
    shift = 0
    if names is not None and len(found) and int(found[0]) == 1 and int(found[-1]) == len(names):
        shift = 1
        log.info("%s of %s counts the %d named classes from 1", key, name, len(names))
    if names is None and len(found):
        if len(found) == 1:
            minus = (
                " (-1 says that a label is unknown; for labels -1 and 1 give (y + 1) // 2)" if ABSENT in train else ""
            )
            raise BadInput(
                f"{key} of {name} must be of two or more classes; got {int(found[0])} alone{minus}. "
                "There is nothing to tell apart."
            )
        from_one = int(found[0]) == 1 and int(found[-1]) == len(found)
        if from_one:
            shift = 1
            log.info("%s of %s counts the classes from 1: they are called '1' to '%d'", key, name, len(found))
        elif int(found[0]) < 0 or int(found[-1]) != len(found) - 1:
            raise _gaps(key, name, found)
        names = tuple(str(value) for value in found.tolist())
    if not names:
        raise must(key, name, "known for some rows of train", Words("no label"), "Give labels of two classes or more")
    labels = {}
    for role, (key, own) in given.items():
        moved = np.where(own == ABSENT, ABSENT, own - shift) if shift else own
        least = ABSENT if role == "train" else 0
        for label in (int(moved.min()), int(moved.max())) if len(moved) else ():
            if not least <= label < len(names):
                raise _outside(key, name, label + shift * (label != ABSENT), least, shift, len(names), own)
        labels[role] = torch.from_numpy(moved)
    return labels, names


def _gaps(key: str, name: str, found: NDArray[np.int64]) -> BadInput:
    """The error for numbers that do not count classes."""
    low, high = int(found[0]), int(found[-1])
    there = set(found.tolist())
    lacking = next(value for value in range(len(there) + 1) if value not in there)
    rest = "" if low < 0 else f", and none is {lacking}"
    return BadInput(
        f"{key} of {name} must number the classes from 0 (or from 1) without gaps; got {len(found)} different labels "
        f"from {low} to {high}{rest}. Name all of the classes in classes, or number those that there are with "
        "numpy.unique(y, return_inverse=True)."
    )


def _outside(key: str, name: str, label: int, least: int, shift: int, count: int, own: NDArray[np.int64]) -> BadInput:
    """The error for a label that is none of the classes."""
    unknown = " or -1 where unknown" if least == ABSENT else ""
    rule = f"from {shift} to {count - 1 + shift} (there are {count} classes){unknown}"
    remedy = "Number the classes from 0, or name all of them in classes"
    if not shift and label == count and len(own) and int(own[own != ABSENT].min()) == 1:
        remedy = "These labels start at 1 and classes are numbered from 0: give y - 1"
    return must(key, name, rule, label, remedy)


def _of_texts(
    name: str, given: Mapping[str, tuple[str, NDArray[Any]]], names: tuple[str, ...] | None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    key, train = given["train"]
    known = [value for value in train.tolist() if value is not None]
    if names is None:
        names = tuple(sorted(set(map(str, known))))
        if len(names) < 2:
            got = Words(f"only {names[0]!r}" if names else "no label")
            raise must(key, name, "of two or more classes", got, "There is nothing to tell apart")
        if len(names) > len(known) / 2:
            got = Words(f"{len(names)} different names in {len(known)} rows, such as {shown(names[0], 60)}")
            raise must(key, name, "of a few classes", got, "Give the labels of the classes")
    places = {one: place for place, one in enumerate(names)}
    labels = {}
    for role, (key, own) in given.items():
        values = own.tolist()
        for row, value in enumerate(values):
            if value not in places and not (value is None and role == "train"):
                remedy = near(str(value), names) if len(names) <= _MOST else f"There are {len(names)} classes"
                raise must(
                    key, name, "one of the classes in every row", Words(f"{shown(value, 60)} in row {row}"), remedy
                )
        labels[role] = torch.tensor([places.get(value, ABSENT) for value in values], dtype=torch.int64)
    return labels, names
