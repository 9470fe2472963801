"""What ships: the candidates of student and baseline validation_logits on validation, and the one that is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attar.evidence.measure import labels_of
from attar.recipes.choose import Choice, Measured, alerted, choose
from attar.recipes.contenders import Contender, Contenders, Logits
from attar.recipes.context import Context
from attar.tasks.task import Chance


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
        measured: What `attar.recipes.contenders.measure` returned.
        beaten: What `beaten_of` returned.
    """
    labels, task = labels_of(context.dataset.validation), context.dataset.task

    def luck(name: str) -> Chance:
        return task.chance(validation_logits[name], labels, "validation")

    def accuracy(logits: Logits) -> float:
        return float(task.scores(logits, labels).mean())

    options = [
        _measured(one, contenders, accuracy(validation_logits[one.name]), luck(one.name), measured)
        for one in contenders.candidates()
        if one.name not in beaten
    ]
    teacher = teacher_name(validation_logits)
    choice = choose(options, context.recipe.budget, accuracy(validation_logits[teacher]))
    subjects = {"The teacher": luck(teacher).sentence, choice.winner: luck(choice.winner).sentence}
    alerts = [f"{who} {sentence}." for who, sentence in subjects.items() if sentence is not None]
    winner = contenders.by_name[choice.winner]
    if winner.kind == "baseline":
        student = next(one for one in contenders.candidates() if one.kind == "candidate" and one.form == winner.form)
        reached, other = (
            f"{accuracy(validation_logits[winner.name]):.2%}",
            f"{accuracy(validation_logits[student.name]):.2%}",
        )
        alerts.append(
            f"The teacher did not help: {winner.name}, the same network trained without it, has {reached} on "
            f"validation, {'as the student has' if reached == other else f'the student {other}'}."
        )
    students = {name: why for name, why in beaten.items() if contenders.by_name[name].kind == "candidate"}
    choice = alerted(choice, alerts)
    return Choice(choice.winner, choice.why, {**choice.refused, **students}, choice.budget, choice.met, choice.alerts)


def _measured(
    one: Contender, contenders: Contenders, accuracy: float, luck: Chance, measured: Mapping[str, Any]
) -> Measured:
    teacher, faster = contenders.teacher_of(one), measured["faster"][one.name].get("1")
    assert one.size_bytes is not None, "candidates are artifacts"
    return Measured(
        name=one.name,
        runtime=one.runtime,
        precision=one.precision,
        accuracy=accuracy,
        size_bytes=one.size_bytes,
        latency_ms=measured["latency"][one.name]["1"]["median_ms"],
        smaller=None if teacher is None or not teacher.size_bytes else teacher.size_bytes / one.size_bytes,
        faster=None if faster is None else faster["ratio"],
        baseline=one.kind == "baseline",
        guessing=luck.sentence if luck.guessing else None,
    )


def teacher_name(validation_logits: Mapping[str, Logits]) -> str:
    """The teacher, in whichever runtime comes first."""
    return next(name for name in validation_logits if name.startswith("teacher "))
