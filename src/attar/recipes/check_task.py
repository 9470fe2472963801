"""What a recipe asks for that is for other outputs than its data have, held against what its labels mean."""

from __future__ import annotations

from collections.abc import Iterator

from attar.errors import BadInput
from attar.pipeline.objective import use_of
from attar.pipeline.training_step import TrainingStep
from attar.recipes.schema.recipe import Recipe
from attar.tasks.target import has_probabilities
from attar.tasks.task import Task, metric_of
from attar.training.objective import Term, suits
from attar.training.prepare import unsuited


def check_task(recipe: Recipe, task: Task) -> None:
    """See that nothing in a recipe is for another kind of output than its data have.

    Args:
        recipe: The recipe.
        task: What the labels of its data mean.

    Raises:
        BadInput: Naming the key of the recipe.
    """
    metric_of(task, recipe.student.choose_by)
    for key, term in _terms(recipe):
        if why := unsuited(term.loss, task):
            hint = ', or set data.task = "regression" if the labels are numbers to predict'
            why = f"{why.removesuffix('.')}{hint}." if suits(term.loss) == {"values"} else why
            raise BadInput(f"{key} of the recipe is {use_of(term.loss)}, which {why}")
    for key in () if task.label_kind == "class" else _of_one_class(recipe):
        estimator = key == "teacher.estimator"
        if not estimator or (len(task.shape) > 1 and not recipe.teacher.may_be_network):
            what = "classes, labels or values of each example" if estimator else "one class of each example"
            raise BadInput(f"{key} of the recipe is for {what}, and the task is {task.use}. Leave it out.")
    for key in () if has_probabilities(task.target) else _of_probabilities(recipe):
        raise BadInput(f"{key} of the recipe is for probabilities, and the task is {task.use}. Leave it out.")
    views = recipe.transfer.views
    if len(task.shape) > 1 and not recipe.transfer.label_views and (views.flip or views.shift):
        raise BadInput(
            "transfer.label_views of the recipe is false, and flip and shift would move the pixels away from the "
            "teacher's maps. Set it to true, or leave flip and shift out."
        )


def _terms(recipe: Recipe) -> Iterator[tuple[str, Term]]:
    """Each term with its key: those of the recipe and of steps."""
    for name, term in (recipe.objective or {}).items():
        yield f"objective.{name}", term
    for place, step in enumerate(recipe.student.all_steps):
        for name, term in ((isinstance(step, TrainingStep) and step.objective) or {}).items():
            yield f"student.steps.{place}.objective.{name}", term


def _of_one_class(recipe: Recipe) -> Iterator[str]:
    """Keys that are set and mean something where an example has one class of several."""
    teacher, transfer = recipe.teacher, recipe.transfer
    given = {
        "data.classes": recipe.data.classes,
        "teacher.library": teacher.library,
        "teacher.estimator": teacher.estimator,  # of values and of several labels as well
        "teacher.specialists": teacher.specialists,
        "transfer.top_k": transfer.top_k,
        "transfer.only": transfer.only,
        "transfer.without": transfer.without,
        "transfer.dtype": None if transfer.dtype == "float16" else transfer.dtype,
    }
    yield from (key for key, value in given.items() if value is not None)
    yield from (f"teacher.each.{place}.classes" for place, one in enumerate(teacher.each or ()) if one.classes)
    yield from (
        f"student.steps.{place}, correct,"
        for place, step in enumerate(recipe.student.all_steps)
        if step.use == "correct"
    )


def _of_probabilities(recipe: Recipe) -> Iterator[str]:
    """Keys that are set and mean something where outputs are probabilities, or can be made into some."""
    teacher = recipe.teacher
    if teacher.output is not None:
        yield "teacher.output"
    if teacher.mean != "probabilities":
        yield "teacher.mean"
    yield from (f"teacher.each.{place}.output" for place, one in enumerate(teacher.each or ()) if one.output)
