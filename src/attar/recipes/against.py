"""Students against their baselines over all seeds, and what ships against the best single model of its teacher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.deployment.torch_runner import open_torch
from attar.evidence.compare import gap_closed, verdict
from attar.evidence.measure import predict_all
from attar.pipeline.trained import Trained
from attar.recipes.contenders import Logits
from attar.recipes.context import Context
from attar.recipes.students import Trainings
from attar.tasks.task import Task


def against_baseline(
    context: Context,
    trainings: Trainings,
    labels: NDArray[Any],
    teacher_output: Logits,
    member: Logits | None,
    warnings: list[str],
) -> dict[str, Any]:
    """The verdict over all seeds, and their scores: of each the mean of the task's first metric, higher is better.

    Args:
        context: The run.
        trainings: What was trained.
        labels: ``[n, ...]``, of the test data.
        teacher_output: ``[n, ...]`` outputs of the teacher on test.
        member: The same of its best single model, where it has several.
        warnings: Takes what there is to warn of.
    """
    task = context.dataset.task

    def measured(trained: Sequence[Trained]) -> tuple[list[NDArray[Any]], list[float]]:
        outputs = [predict_all(open_torch(one.network), context.dataset.test) for one in trained]
        return [task.scores(one, labels) for one in outputs], [_rmse(task, one, labels) for one in outputs]

    students, student_errors = measured(trainings.students)
    baselines, baseline_errors = measured(trainings.baselines)
    wrong = baseline_errors, student_errors, _rmse(task, teacher_output, labels)
    teacher = float(task.scores(teacher_output, labels).mean())
    of_baselines, of_students = ([float(one.mean()) for one in scores] for scores in (baselines, students))
    ruling = verdict(np.stack(students), np.stack(baselines)) if baselines else None
    closed = gap_closed(of_baselines, of_students, teacher) if baselines else None
    if not baselines:
        warnings.append("No baseline was trained, so whether distillation helped is not known (baseline = false).")
    elif closed is None:
        warnings.append("The teacher is not better than the baseline on test: there is no gap to close.")
    return {
        "baseline": bool(baselines),
        "verdict": None if ruling is None else ruling.to_json(),
        "seeds": {
            "baseline": of_baselines,
            "student": of_students,
            "teacher": teacher,
            "gap_closed": None if closed is None else closed.to_json(),
            "rmse": _errors(*wrong, None if member is None else _rmse(task, member, labels)),
        },
    }


def _rmse(task: Task, outputs: Logits, labels: NDArray[Any]) -> float:
    return task.metrics["rmse"].figure(outputs, labels)


def _errors(baselines: list[float], students: list[float], teacher: float, member: float | None) -> dict[str, Any]:
    """Errors of the probabilities, and how much of the gap between baseline and teacher the students close."""
    # The share of a gap is the same for errors as for their opposites, which grow with quality as accuracies do.
    right, opposites = [1 - one for one in students], [1 - one for one in baselines]
    closed = gap_closed(opposites, right, 1 - teacher) if baselines else None
    return {
        "baseline": baselines,
        "student": students,
        "teacher": teacher,
        "member": member,
        "gap_closed": None if closed is None else closed.to_json(),
    }


def against_member(
    task: Task, name: str, shipped: Logits, member: Logits, labels: NDArray[Any], warnings: list[str]
) -> dict[str, Any]:
    """What ships against the best single model of the teacher; a warning where it is worse."""
    ruling = verdict(task.scores(shipped, labels), task.scores(member, labels))
    squared_errors = task.metrics["rmse"].of_each
    assert squared_errors is not None, "it is the root of a mean"
    mine, theirs = squared_errors(shipped, labels), squared_errors(member, labels)
    difference = float((mine - theirs).mean())
    half = 1.96 * float((mine - theirs).std(ddof=1)) / math.sqrt(len(mine))
    if difference - half > 0 or ruling.interval[1] < 0:
        deciding = next(iter(task.metrics.values()))
        points = f", {deciding.title} {100 * ruling.difference:+.2f} points" if deciding.unit == "share" else ""
        warnings.append(
            f"What ships is worse than the {name}: RMSE {math.sqrt(mine.mean()):.4g} against "
            f"{math.sqrt(theirs.mean()):.4g}{points}."
        )
    return {
        "name": name,
        "accuracy": ruling.to_json(),
        "squared_error": {"difference": difference, "interval": [difference - half, difference + half]},
    }
