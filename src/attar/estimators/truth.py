"""What is true of the rows that a mimic is fitted on: ``y`` as its teacher needs it."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attar.errors import BadInput, must
from attar.estimators import teachers
from attar.estimators.labels import as_labels, as_several_labels, as_values, codes, is_several
from attar.estimators.rows import Kind
from attar.tasks.task import Task

log = logging.getLogger(__name__)


def refuse_labels_of_nothing(share: float | None, y: Any) -> None:
    """See that there are labels where a share of them is to be learned.

    Args:
        share: Of the labels, as the user gave it; None where it is chosen.
        y: What the user gave; None for nothing.

    Raises:
        BadInput: If there are none.
    """
    if share and y is None:
        raise must("labels", "Mimic", "0 or None where fit gets no y", share, "Pass y to fit, or leave labels out")


def truth_of(y: Any, rows: Any, teacher: Any, kind: Kind, ready: bool) -> npt.NDArray[Any] | None:
    """Labels or values as an array, once they are what the teacher needs.

    Args:
        y: What the user gave; None for nothing.
        rows: What they are of.
        teacher: The teacher of the mimic.
        kind: What it predicts.
        ready: Whether it is fitted.

    Returns:
        ``[rows]`` classes, ``[rows, labels]`` of 1 and 0, or values ``[rows]`` or ``[rows, outputs]``; None without y.

    Raises:
        BadInput: If there is one class only, or the teacher gives no probabilities.
        ValueError: If rows and labels do not fit together, as scikit-learn finds.
    """
    if kind == "regressor":
        tags = teachers.tags_of(teacher)
        several = tags is not None and tags.target_tags.multi_output
        return None if y is None else as_values(y, rows, several=several)
    if y is not None and is_several(y):
        several_labels = as_several_labels(y, rows)
        teachers.refuse_without_probabilities(teachers.as_estimator(teacher), None)
        return several_labels
    labels = None if y is None else as_labels(y, rows)
    found = None if ready or labels is None else len(np.unique(labels))
    if not ready:
        refuse_one_class(labels)
    teachers.refuse_without_probabilities(teachers.as_estimator(teacher), found)
    return labels


def refuse_one_class(labels: npt.NDArray[Any] | None, where: str = "") -> None:
    """See that a classifier has something to tell apart.

    Args:
        labels: ``[rows]`` classes; anything else, such as values, is left alone by who calls.
        where: Among which rows; empty for all.

    Raises:
        BadInput: If all of them are one.
    """
    if labels is not None and len(np.unique(labels)) == 1:
        raise BadInput(
            f"y of Mimic.fit has 1 class only{where}, and a classifier needs at least two. Give rows of all classes."
        )


def numbered(
    teacher: Any, kind: Kind, truth: npt.NDArray[Any] | None
) -> tuple[npt.NDArray[Any] | None, npt.NDArray[np.int64] | None, npt.NDArray[np.float64] | None]:
    """The classes, where the teacher names them; the truth as their numbers, or as values ``[rows, outputs]``.

    Args:
        teacher: Fitted.
        kind: What it predicts.
        truth: What `truth_of` gives.

    Raises:
        BadInput: If the truth is of one label and the teacher of several, or the other way around.
    """
    if kind == "regressor":
        return None, None, None if truth is None else truth.reshape(len(truth), -1)
    if truth is not None and (truth.ndim == 2) != (kind == "labels"):
        theirs, remedy = (
            ("several labels", "a column of 1 and 0 for each of them")
            if kind == "labels"
            else ("classes of one label", "one column of them")
        )
        raise BadInput(
            f"y of Mimic.fit is of {'one label' if truth.ndim == 1 else f'{truth.shape[1]} labels'}, and the teacher, "
            f"a {type(teacher).__name__}, tells {theirs}. Give {remedy}, or another teacher."
        )
    if kind == "labels":
        return None, None if truth is None else truth.astype(np.int64), None
    classes = teachers.classes_of(teacher)
    if classes is None and truth is not None:
        classes = np.unique(truth)
    return classes, None if truth is None or classes is None else codes(truth, classes), None


def as_target(labels: npt.NDArray[np.int64] | None, values: npt.NDArray[np.float64] | None) -> Tensor | None:
    """What `numbered` gives as a task has it: numbers of classes, or float32 values; None where nothing is known."""
    if values is not None:
        return torch.from_numpy(values.astype(np.float32))
    return None if labels is None else torch.from_numpy(labels)


def check_as_many(labels: npt.NDArray[np.int64], outputs: Tensor, teacher: object) -> None:
    """See that there are as many labels as the teacher tells.

    Args:
        labels: ``[rows, labels]`` of 1 and 0.
        outputs: ``[rows, outputs]``, the teacher's.
        teacher: For the message.

    Raises:
        BadInput: If there are not.
    """
    if labels.shape[1] != outputs.shape[1]:
        raise BadInput(
            f"y of Mimic.fit has {labels.shape[1]} columns, and the teacher, a {type(teacher).__name__}, tells "
            f"{outputs.shape[1]} labels. Give one column for each of its labels."
        )


def warn_of_chance(task: Task, teacher: object, outputs: Tensor, truth: Tensor | None) -> None:
    """Log what there is to say of a teacher that is no better than a constant, or than guessing, on the rows given.

    One that was fitted on these rows knows them, so that only a really bad one is told.

    Args:
        task: What outputs mean.
        teacher: For the message.
        outputs: ``[rows, outputs]``, what it says of the rows.
        truth: What is true of them, as the task has it; None where that is not known.
    """
    if truth is None:
        return
    found = task.chance(outputs.double().numpy(), truth.numpy(), "given").sentence
    if found is not None:
        log.warning(
            "the teacher, a %s, %s: see whether it was fitted on such rows and classes", type(teacher).__name__, found
        )


def values_to_judge_by(
    values: npt.NDArray[np.float64] | None, outputs: Tensor, teacher: object, share: float | None = None
) -> npt.NDArray[np.float64] | None:
    """Values ``[rows, outputs]`` as a teacher predicts them; None where it says other numbers of one value.

    Such are several quantiles of it, or its mean and its deviation, which the value itself does not tell.

    Args:
        values: ``[rows, values]``; None for nothing.
        outputs: ``[rows, outputs]``, what the teacher says.
        teacher: It.
        share: Of the values, in what is to be learned, as the user gave it; None where it is chosen.

    Raises:
        BadInput: If there are several values, and others than the teacher predicts; or such a one is to be learned.
    """
    if values is None or values.shape[1] == outputs.shape[1]:
        return values
    if values.shape[1] > 1:
        raise BadInput(
            f"y of Mimic.fit has {values.shape[1]} columns, and the teacher, a {type(teacher).__name__}, predicts "
            f"{outputs.shape[1]} values. Give one column for each of its values."
        )
    if share:
        rule = f"0 or None of a teacher that predicts {outputs.shape[1]} numbers for the one value of each row"
        raise must("labels", "Mimic", rule, share, "Leave it out: a value does not tell what such numbers should be")
    log.warning(
        "the teacher, a %s, predicts %d numbers for the one value of each row, such as its quantiles: the mimic is "
        "judged by these alone, and not by y",
        type(teacher).__name__,
        outputs.shape[1],
    )
    return None
