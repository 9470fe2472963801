"""What a recipe leaves to its data: the objective of a task, and a default student."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from attar.data.datasets import Dataset
from attar.errors import BadInput
from attar.pipeline.objective import usual_objective
from attar.pipeline.section import training_table
from attar.recipes.estimate import stored
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import Recipe
from attar.search.students import DefaultStudent, default_student

log = logging.getLogger(__name__)


def completed(recipe: Recipe, dataset: Dataset) -> tuple[Recipe, DefaultStudent | None]:
    """The recipe with what it leaves to its data; one that leaves nothing to them stays as it is.

    Args:
        recipe: What is asked.
        dataset: Its data.

    Returns:
        The recipe, and the default student that it asked for; None where it has a network of its own.

    Raises:
        BadInput: If there is no default student for such data.
    """
    if recipe.objective is None:
        terms = usual_objective(dataset.task, labels=recipe.transfer.labels).terms
        recipe = recipe.model_copy(update={"objective": dict(terms)})
    size, document = recipe.student.network, recipe.document()
    if not isinstance(size, str):
        return recipe, None
    given = document["student"].get("training", {})
    try:
        student = default_student(size, dataset, stored(recipe, dataset).examples, given)
    except BadInput:
        if recipe.search is None or (recipe.search.space is None and recipe.search.strategy["use"] != "n2n"):
            raise
        return recipe, None  # the user knows networks for such data, or gave the teacher's, and how they are trained
    spec = student.spec
    network: dict[str, Any] = {"use": spec.reference, "arguments": dict(spec.arguments)}
    if spec.mean is not None and spec.std is not None:
        network |= {"mean": list(spec.mean), "std": list(spec.std)}
    document["student"] |= {"training": training_table(student.training)}
    if recipe.search is None:
        log.info("student: %s", student)
        document["student"] |= {"network": network}
    if "views" not in document["transfer"] and recipe.transfer.synthesis is None and recipe.transfer.label_views:
        views = dataclasses.asdict(student.views)
        document["transfer"]["views"] = {key: value for key, value in views.items() if key != "seed"}
    return from_document(document, "the recipe", recipe.trust), student if recipe.search is None else None
