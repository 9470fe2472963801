"""What a recipe asks for that is for classes alone, or for values alone, held against what its labels mean."""

from __future__ import annotations

from collections.abc import Iterator

from attar.errors import BadInput
from attar.pipeline.steps.distill import Distill
from attar.recipes.schema.recipe import Recipe
from attar.tasks.classification import Classification
from attar.tasks.task import Task, metric_of
from attar.training.losses.binary import BinaryLabels, BinaryTargets
from attar.training.losses.decoupled import Decoupled, StandardizedLogits
from attar.training.losses.outputs import CenteredLogits, HardLabels, HardValues, SoftTargets, SquaredError
from attar.training.objective import Loss, Term
from attar.training.prepare import check_suited

_OF_CLASSES = {
    SoftTargets: "soft_targets",
    HardLabels: "hard_labels",
    CenteredLogits: "centered_logits",
    Decoupled: "decoupled",
    StandardizedLogits: "standardized_logits",
}
"""Losses that take outputs for scores of classes, as a recipe calls them."""


def check_task(recipe: Recipe, task: Task) -> None:
    """See that nothing in a recipe is for another kind of output than its data have.

    Args:
        recipe: The recipe.
        task: What the labels of its data mean.

    Raises:
        BadInput: Naming the key of the recipe.
    """
    metric_of(task, recipe.student.choose_by)
    values = task.target == "values"
    for key, term in _terms(recipe):
        try:
            check_suited([term.loss], task)
        except BadInput as error:
            if task.target == "log_odds" or isinstance(term.loss, BinaryLabels | BinaryTargets):
                raise BadInput(f"{key} of the recipe: {error}") from error
        if values and (what := _of_classes(term.loss)):
            raise BadInput(
                f"{key} of the recipe is {what}, which is for classes, and the task is {task.use}. Use hard_values for "
                'the true values, and squared_error with kind = "values" for the teacher\'s.'
            )
        if not values and _of_values(term.loss):
            raise BadInput(
                f"{key} of the recipe is for values, and the task is {task.use}. Use hard_labels and soft_targets, or "
                'set data.task = "regression" if the labels are numbers to predict.'
            )
    for key in _for_classes(recipe) if values else ():
        raise BadInput(f"{key} of the recipe is for classes, and the task is {task.use}. Leave it out.")
    for key in () if isinstance(task, Classification) or values else _for_one_class(recipe):
        raise BadInput(
            f"{key} of the recipe is for one class of each example, and the task is {task.use}. Leave it out."
        )
    views = recipe.transfer.views
    if len(task.shape) > 1 and not recipe.transfer.label_views and (views.flip or views.shift):
        raise BadInput(
            "transfer.label_views of the recipe is false, and flip and shift would move the pixels away from the "
            "teacher's maps. Set it to true, or leave flip and shift out."
        )


def _terms(recipe: Recipe) -> Iterator[tuple[str, Term]]:
    """Each term with its key: those of the recipe and of steps."""
    for name, term in recipe.objective.items():
        yield f"objective.{name}", term
    for place, step in enumerate(recipe.student.all_steps):
        for name, term in ((isinstance(step, Distill) and step.objective) or {}).items():
            yield f"student.steps.{place}.objective.{name}", term


def _of_classes(loss: Loss) -> str | None:
    """What a recipe calls a loss that is for classes."""
    if isinstance(loss, SquaredError):
        return "squared_error of probabilities" if loss.kind == "probabilities" else None
    return next((name for kind, name in _OF_CLASSES.items() if isinstance(loss, kind)), None)


def _for_one_class(recipe: Recipe) -> Iterator[str]:
    """Keys that are set and mean something where an example has one class of several."""
    teacher, transfer = recipe.teacher, recipe.transfer
    given = {
        "data.classes": recipe.data.classes,
        "teacher.library": teacher.library,
        "teacher.estimator": teacher.estimator,
        "teacher.specialists": teacher.specialists,
        "transfer.top_k": transfer.top_k,
        "transfer.only": transfer.only,
        "transfer.without": transfer.without,
        "the step correct": recipe.corrects or None,
        "transfer.dtype": None if transfer.dtype == "float16" else transfer.dtype,
    }
    yield from (key for key, value in given.items() if value is not None)
    yield from (f"teacher.each.{place}.classes" for place, one in enumerate(teacher.each or ()) if one.classes)


def _of_values(loss: Loss) -> bool:
    return isinstance(loss, HardValues) or (isinstance(loss, SquaredError) and loss.kind == "values")


def _for_classes(recipe: Recipe) -> Iterator[str]:
    """Keys that are set and mean something for classes alone."""
    teacher, transfer = recipe.teacher, recipe.transfer
    given = {
        "teacher.library": teacher.library,
        "teacher.specialists": teacher.specialists,
        "teacher.output": teacher.output,
        "transfer.top_k": transfer.top_k,
        "transfer.only": transfer.only,
        "transfer.without": transfer.without,
    }
    yield from (key for key, value in given.items() if value is not None)
    if transfer.dtype != "float16":
        yield "transfer.dtype"
    if teacher.mean != "probabilities":
        yield "teacher.mean"
    for place, one in enumerate(teacher.each or ()):
        for key in ("classes", "output"):
            if getattr(one, key) is not None:
                yield f"teacher.each.{place}.{key}"
    for place, step in enumerate(recipe.student.all_steps):
        if step.use == "correct":
            yield f"student.steps.{place}, correct,"
