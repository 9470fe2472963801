"""What each step did to students and baselines, for the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.deployment.torch_runner import open_torch
from attar.evidence.measure import labels_of, predict_all
from attar.evidence.panel import Panel
from attar.pipeline.trained import Trained
from attar.recipes.context import Context
from attar.tasks.task import metric_of


def step_figures(context: Context, students: Sequence[Trained], baselines: Sequence[Trained]) -> dict[str, Any] | None:
    """Every step of students and baselines: score on validation, the task's first metric on test, one figure a seed.

    None where the recipe leaves the steps out: the student is then trained once.
    """
    if context.recipe.student.steps is None:
        return None

    test, metric = context.dataset.test, metric_of(context.dataset.task)

    def rows(trainings: Sequence[Trained]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place, of_step in enumerate(zip(*(one.steps for one in trainings), strict=True), start=1):
            found[f"{place}-{of_step[0].use}"] = {
                "names": [one.name for one in of_step],
                "score": [one.score for one in of_step],
                metric.name: [
                    metric.figure(predict_all(open_torch(one.network), test), labels_of(test)) for one in of_step
                ],
            }
        return found

    return {"student": rows(students), "baseline": rows(baselines) if baselines else None}


def step_panels(context: Context, trained: Trained) -> list[Panel]:
    """What the steps of a model show of themselves."""
    found: list[Panel] = []
    for place, (step, after) in enumerate(zip(context.recipe.steps, trained.steps, strict=True)):
        before = trained.steps[place - 1] if place else None
        found += step.panels(before, after)
    return found


def bias_correction(
    context: Context, students: Sequence[Trained], baselines: Sequence[Trained]
) -> dict[str, Any] | None:
    """What correcting the biases of absent classes did, on validation and on test; None where no step does that.

    Returns:
        ``classes`` (their names), ``students`` and ``baselines`` (an entry for each seed), and ``student`` and
        ``baseline``: the same figures once more, by name.
    """
    if not context.recipe.corrects:
        return None
    rows = {
        "students": [_correction_of(context, one) for one in students],
        "baselines": [_correction_of(context, one) for one in baselines],
    }
    columns = {
        role: {key: [row[key] for row in rows[f"{role}s"]] for key in (rows[f"{role}s"] or [{}])[0]}
        for role in ("student", "baseline")
    }
    return {"classes": _last_correction(students[0])[1].facts["classes"], **rows, **columns}


def _last_correction(one: Trained) -> tuple[Trained, Trained]:
    """What was there before the last step of its kind, and what it left."""
    place = max(place for place, step in enumerate(one.steps) if step.use == "correct")
    return one.steps[place - 1], one.steps[place]


def _correction_of(context: Context, one: Trained) -> Mapping[str, float]:
    before, after = _last_correction(one)
    names, labels = context.dataset.classes, labels_of(context.dataset.test)
    of_absent = np.isin(labels, [names.index(name) for name in after.facts["classes"]])
    right = {"before": _right(context, before), "after": _right(context, after)}
    return {
        "shift": after.facts["shift"],
        "validation_before": after.facts["validation_before"],
        "validation_after": after.facts["validation_after"],
        **{when: float(rights.mean()) for when, rights in right.items()},
        **{f"absent_{when}": float(rights[of_absent].mean()) for when, rights in right.items()},
    }


def _right(context: Context, one: Trained) -> NDArray[Any]:
    """The score of each test example, of which what a network gets right is one kind."""
    return context.dataset.task.scores(
        predict_all(open_torch(one.network), context.dataset.test), labels_of(context.dataset.test)
    )
