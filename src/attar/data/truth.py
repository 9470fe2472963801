"""What a user's labels mean: as the name of a task says, or as labels themselves say where they leave no doubt."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from attar.data.label_arrays import are_maps, fixation_maps, label_maps, label_rows
from attar.data.labels import label_dtype, numbered_labels
from attar.data.values import are_values, doubtful, values_of
from attar.errors import BadInput, must, near
from attar.tasks.known import TASKS
from attar.tasks.task import Task

log = logging.getLogger(__name__)


def truth_of(
    name: str, given: Mapping[str, tuple[str, object]], *, task: object = None, classes: object = None,
    names: object = None,
) -> tuple[dict[str, Tensor], Task]:  # fmt: skip
    """Labels in the form of their task, and the task.

    Args:
        name: What the data set is called.
        given: By the role of a split, the key of its labels and the labels; ``train`` must be there.
        task: What a task is called, as in `attar.tasks.known.TASKS`. None looks at the labels of train: numbers with a
            fraction are values, whole numbers ``[n, height, width]`` are maps, all else is classes.
        classes: Names of the classes; None where the labels tell.
        names: Names of values.

    Raises:
        BadInput: If there is no such task, the labels are not what it wants, or they leave open what they are.
    """
    kind = TASKS[known_task(task, name) or guessed(name, *given["train"], "task")]
    if kind.label_kind == "values":
        if classes is not None:
            raise refused_classes(name, kind.use)
        return _built(kind, *values_of(name, given, names))
    if names is not None:
        raise must("names", name, "given for values alone", names, "Name classes in classes")
    if kind.label_kind == "fixations":
        if classes is not None:
            raise refused_classes(name, kind.use)
        return _built(kind, *fixation_maps(name, given))
    if kind.label_kind == "labels":
        return _built(kind, *label_rows(name, given, classes))
    if kind.label_kind == "map":
        return _built(kind, *label_maps(name, given, classes))
    return _built(
        kind, *numbered_labels(name, given, classes), label_dtype(given["train"][0], name, given["train"][1], classes)
    )


def _built(kind: type[Any], labels: dict[str, Tensor], *fields: object) -> tuple[dict[str, Tensor], Task]:
    task: Task = kind(*fields)
    return labels, task


def known_task(task: object, name: str) -> str | None:
    """The name of a task, or None.

    Raises:
        BadInput: If there is no such task.
    """
    if task is not None and (not isinstance(task, str) or task not in TASKS):
        raise must("task", name, f"one of {', '.join(map(repr, TASKS))}", task, near(str(task), TASKS))
    return task


def guessed(name: str, key: str, labels: object, task_key: str) -> str:
    """Which task labels are of, where nobody says.

    Args:
        name: What the data set is called.
        key: What the labels are called.
        labels: Of train.
        task_key: Where the user can say it.

    Raises:
        BadInput: If that is open.
    """
    if are_maps(labels):
        return "dense"
    values = are_values(labels)
    if values is None:
        raise doubtful(key, name, task_key)
    if values:
        log.info("%s of %s has numbers with a fraction: they are values, and the task is regression", key, name)
    return "regression" if values else "classification"


def refused_classes(name: str, use: str) -> BadInput:
    """The error for classes that are named where there are none."""
    return BadInput(f"classes of {name} are named, and the task is {use}, which has none. Leave classes out.")
