"""Which class of the data each class of a fitted model stands for, where the recipe says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attar.errors import Words, must, shown
from attar.recipes.schema.teacher import TeacherSection
from attar.tasks.task import OfClasses, Task
from attar.teachers.boosters import estimator_of_booster, is_booster
from attar.teachers.estimator_rows import are_of_several, classes_in


def classes_of_data(section: TeacherSection, found: Any, task: Task) -> Sequence[object] | int:
    """The classes of the data in their order, each as the model calls it; of other tasks how many values there are.

    Args:
        section: Names the data's classes in the order of the model's, or leaves it to their names.
        found: The fitted model.
        task: That of the data.

    Raises:
        BadInput: If ``teacher.classes`` are not those of the data, or not as many as the model has.
    """
    if section.classes is None:
        return task.names if isinstance(task, OfClasses) else task.shape[0]
    own: Any = classes_in(estimator_of_booster(found) if is_booster(found) else found)
    if own is None or are_of_several(own) or not isinstance(task, OfClasses):
        rule, got = "left out where a model has no classes of its own", Words(f"{section.classes} for {found!r}"[:200])
        raise must("teacher.classes", "the recipe", rule, got, "Leave them out")
    own = list(own)
    if len(section.classes) != len(own):
        rule = f"one name for each of the {len(own)} classes of a {type(found).__name__}"
        raise must("teacher.classes", "the recipe", rule, section.classes, "Name them in the order of its classes_")
    if sorted(section.classes) != sorted(task.names):
        rule = f"the classes of the data, {shown(list(task.names), 80)}"
        raise must("teacher.classes", "the recipe", rule, section.classes, "Name them in the order of the model's")
    return [own[section.classes.index(name)] for name in task.names]
