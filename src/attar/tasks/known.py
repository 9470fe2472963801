"""All tasks there are: adding one is a file of its own and a word in each of these four."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attar.errors import BadInput, must, near
from attar.tasks.classification import Classification, ClassificationQuality
from attar.tasks.dense import Dense, DenseQuality
from attar.tasks.gaze import Gaze, GazeQuality
from attar.tasks.multilabel import MultiLabel, MultiLabelQuality
from attar.tasks.regression import Regression, RegressionQuality
from attar.tasks.task import Task

TaskName = Literal["classification", "multilabel", "regression", "dense", "gaze"]
"""What tasks are called in files."""

TASKS: dict[str, type[Any]] = {one.use: one for one in (Classification, MultiLabel, Regression, Dense, Gaze)}
"""By the name that ``use`` gives."""

METRICS = frozenset(
    name for task in (Classification, MultiLabel, Regression, Dense, Gaze((1, 2))) for name in task.metrics
)
"""Names of all metrics by which a task may be judged."""

AnyQuality = ClassificationQuality | MultiLabelQuality | RegressionQuality | DenseQuality | GazeQuality
"""What the tasks' ``quality`` gives, as a union of their types."""


def task_from_json(document: object, of: str) -> Task:
    """The task that ``to_json`` wrote.

    Args:
        document: A table with ``use`` and the fields of that task; lists stand for tuples.
        of: Where it stands; for the message.

    Raises:
        BadInput: If there is no such task, or a field is missing, unknown or not right.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("use"), str):
        raise must("task", of, "a table with use", document, near("", TASKS))
    if document["use"] not in TASKS:
        raise must("task", of, "one of the tasks", document["use"], near(document["use"], TASKS))
    fields = {str(key): _frozen(value) for key, value in document.items() if key != "use"}
    try:
        task: Task = TASKS[document["use"]](**fields)
    except BadInput:
        raise
    except (TypeError, ValueError) as error:
        raise BadInput(f"task of {of} is no {document['use']} ({error}). Write it again.") from error
    return task


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
