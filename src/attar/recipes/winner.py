"""What ships: the candidates of student and baseline validation_logits on validation, and the one that is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.budget import Score, What
from attar.evidence.compare import paired_difference
from attar.evidence.measure import labels_of
from attar.pipeline.scored import Judged
from attar.recipes.choose import Choice, Measured, alerted, choose
from attar.recipes.contenders import Contender, Contenders, Logits
from attar.recipes.context import Context
from attar.tasks.intervals import difference_margin
from attar.tasks.task import Chance, Task, first_metric


def beaten_of(context: Context, contenders: Contenders, validation_logits: Mapping[str, Logits]) -> dict[str, str]:
    """Candidates that have a better one in the same form, with the reason; see `Contenders.beaten`.

    Args:
        context: The run.
        contenders: What was deployed.
        validation_logits: Logits of every contender on validation.
    """
    validation = context.dataset.validation
    metric, labels = context.metric, labels_of(validation)
    return contenders.beaten(
        {
            one.name: (1 if metric.higher_is_better else -1) * metric.figure(validation_logits[one.name], labels)
            for one in contenders.candidates()
        }
    )


def chosen(
    context: Context,
    contenders: Contenders,
    validation_logits: Mapping[str, Logits],
    measured: Mapping[str, Any],
    beaten: Mapping[str, str],
) -> Choice:
    """What ships, chosen on validation data, and what has to be said before anything else.

    Args:
        context: The run.
        contenders: What was deployed.
        validation_logits: Logits of every contender on validation.
        measured: What `attar.recipes.measured.measure` returned.
        beaten: What `beaten_of` returned.
    """
    labels, task = labels_of(context.dataset.validation), context.dataset.task

    constant = task.best_constant(labels)
    luck = {
        name: task.chance(validation_logits[name], labels, "validation", constant)
        for name in [teacher_name(validation_logits), *(one.name for one in contenders.candidates())]
    }
    scores = {name: score_of(task, outputs, labels) for name, outputs in validation_logits.items()}
    options = [
        _measured(one, contenders, scores[one.name], luck[one.name], measured)
        for one in contenders.candidates()
        if one.name not in beaten
    ]
    teacher, budget = teacher_name(validation_logits), context.recipe.budget
    choice = choose(
        options,
        budget.limits,
        scores[teacher],
        prefer=budget.prefer,
        score=judged_by(task),
        constant=first_metric(task).score(constant.scores),
    )
    of_each = {name: task.scores(validation_logits[name], labels) for name in (teacher, choice.winner)}
    choice = _spread(choice, task, of_each[teacher], of_each[choice.winner])
    subjects = {"The teacher": luck[teacher].sentence, choice.winner: luck[choice.winner].sentence}
    alerts = [f"{who} {sentence}." for who, sentence in subjects.items() if sentence is not None]
    winner = contenders.by_name[choice.winner]
    if winner.kind == "baseline":
        student = next(one for one in contenders.candidates() if one.kind == "candidate" and one.form == winner.form)
        reached, other = (judged_by(task).level(scores[one.name]) for one in (winner, student))
        alerts.append(
            f"On validation the teacher did not help: {winner.name}, the same network trained without it, has "
            f"{reached} there, {'as the student has' if reached == other else f'the student {other}'}."
        )
    students = {name: why for name, why in beaten.items() if contenders.by_name[name].kind == "candidate"}
    return replace(alerted(choice, alerts), refused={**choice.refused, **students})


def judged_by(task: Task) -> Score:
    """The score of which a budget says how much may be lost: the task's first metric."""
    return Judged.of(first_metric(task), examples=0).score


def score_of(task: Task, outputs: Logits, labels: NDArray[Any]) -> float:
    """That score of a model's outputs; higher is better, so that an error has a minus.

    Args:
        task: What outputs mean.
        outputs: ``[n, ...]``.
        labels: ``[n, ...]``.
    """
    return first_metric(task).score(task.scores(outputs, labels))


def _spread(choice: Choice, task: Task, teacher: NDArray[Any], winner: NDArray[Any]) -> Choice:
    """The same choice, with half the interval of what was lost, from the scores of these examples."""
    if teacher.dtype == np.bool_:
        low, high = paired_difference(teacher, winner).interval
        half = (high - low) / 2
    else:
        root = first_metric(task).root  # of errors, which scores turn
        half = difference_margin(*((-one if root else one) for one in (teacher, winner)), root=root)
    rows = [replace(row, spread=half) if row.limit.what == "quality_loss" else row for row in choice.budget]
    return replace(choice, budget=rows)


def _measured(
    one: Contender, contenders: Contenders, score: float, luck: Chance, measured: Mapping[str, Any]
) -> Measured:
    assert one.size_bytes is not None, "candidates are artifacts"
    teacher = contenders.teacher_of(one)
    takes: dict[What, float | None] = {}
    if teacher is not None:
        takes = {
            "bytes": teacher.size_bytes,
            "latency": measured["latency"][teacher.name]["1"]["median_ms"],
            "memory": measured["memory"].get(teacher.name),
            "macs": None if teacher.cost is None else teacher.cost.macs,
        }
    return Measured(
        name=one.name,
        runtime=one.runtime,
        precision=one.precision,
        score=score,
        size_bytes=one.size_bytes,
        latency_ms=measured["latency"][one.name]["1"]["median_ms"],
        memory_bytes=measured["memory"].get(one.name),
        macs=None if one.cost is None else one.cost.macs,
        teacher={what: float(amount) for what, amount in takes.items() if amount},
        baseline=one.kind == "baseline",
        guessing=luck.sentence if luck.guessing else None,
    )


def teacher_name(validation_logits: Mapping[str, Logits]) -> str:
    """The teacher, in whichever runtime comes first."""
    return next(name for name in validation_logits if name.startswith("teacher "))
