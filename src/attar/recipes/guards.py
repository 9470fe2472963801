"""What a user should know before trusting a run: each guard returns a sentence with its number, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.budget import ACCURACY, Score
from attar.data.split import Split
from attar.data.store.fidelity import distributions
from attar.data.subset import subset_of
from attar.data.unaugmented import UnaugmentedTargets
from attar.deployment.torch_runner import open_torch
from attar.evidence.measure import labels_of, predict_all
from attar.ops.divergence import forward_kl
from attar.ops.top_k import TopK, full
from attar.pipeline.training_step import TrainingStep
from attar.recipes.context import Context
from attar.recipes.data_guards import of_data
from attar.recipes.doubts import doubts
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.transfer import TransferSection
from attar.recipes.students import Trainings
from attar.recipes.winner import judged_by, score_of
from attar.tasks.labels import ABSENT
from attar.tasks.target import has_probabilities
from attar.teachers.teacher import ask
from attar.teachers.trial import remarks
from attar.training.objective import softening
from attar.training.schedule import value_at

log = logging.getLogger(__name__)

SAMPLE = 1024
"""Examples by which a guard judges, at most."""

CERTAIN = 0.99
"""Mean probability of the likeliest class from which on targets say hardly more than labels."""

SHOWN = 10
"""Names of classes in a guard's sentence, at most."""

APART = 0.01
"""Mean KL in nats from which on two looks at an example count as different for a teacher."""


def weak_teacher(
    teacher: float, baselines: Sequence[float], split_name: str = "validation", score: Score = ACCURACY
) -> str | None:
    """A teacher that is no better than the same student without it has nothing to teach.

    Args:
        teacher: Its score, such as the accuracy; higher is better.
        baselines: Scores of the baselines, one per seed.
        split_name: On which data.
        score: What they are.
    """
    if not baselines:
        return None
    baseline = sum(baselines) / len(baselines)
    if teacher > baseline:
        return None
    its, other = (
        score.level(one) if score.points else f"{score.name} {score.level(one)}" for one in (teacher, baseline)
    )
    return (
        f"The teacher is not better than the baseline on {split_name}: {its} against {other}. What the student gains "
        f"from it, if anything, is not its {score.name if score.points else 'quality'}."
    )


def nearly_one_hot(targets: Tensor, temperature: float) -> str | None:
    """Soft targets that are nearly one-hot at their temperature say hardly more than labels do.

    Args:
        targets: ``[rows, classes]`` logits of the teacher.
        temperature: At which the student gets them.
    """
    largest = float((targets / temperature).softmax(1).amax(1).mean())
    if largest < CERTAIN:
        return None
    return (
        f"Targets are nearly one-hot at temperature {temperature:g}: the likeliest class has {largest:.2%} on average. "
        "Raise the temperature to learn what the teacher knows of the other classes."
    )


def other_views(seen: Tensor, teacher_output: Tensor, temperature: float) -> str | None:
    """Targets of other looks at the examples than the student has.

    Args:
        seen: ``[rows, classes]`` logits of the teacher for what the student sees.
        teacher_output: ``[rows, classes]`` logits that the student is given.
        temperature: At which it gets them.
    """
    apart = float(forward_kl(teacher_output, seen, temperature=temperature).mean())
    if apart < APART:
        return None
    return (
        f"Student and teacher see different views: of the student's the teacher says something else by {apart:.3f} "
        f"nats on average at temperature {temperature:g}. Set transfer.label_views = true to label what it sees."
    )


def lost_classes(
    before: Tensor, after: Tensor, names: Sequence[str], share: float, key: str = "transfer.share"
) -> str | None:
    """A small share of the examples may hold none of some classes.

    Args:
        before: ``[rows]`` labels of the examples that it is a share of.
        after: ``[kept]`` labels of the examples in it.
        names: Of the classes.
        share: How large it is.
        key: Where the recipe says so.
    """
    had = set(before[before != ABSENT].tolist())
    lost = sorted(had - set(after.tolist()))
    if not lost:
        return None
    shown = ", ".join(names[number] for number in lost[:SHOWN]) + (", ..." if len(lost) > SHOWN else "")
    return (
        f"{key} = {share:g} keeps {len(after)} training examples, and none of {len(lost)} of {len(had)} "
        f"classes: {shown}. Raise it, or name the classes in transfer.without if they shall be left out."
    )


def guarded(context: Context, trainings: Trainings, teacher: NDArray[np.float32]) -> list[str]:
    """The warnings of every guard.

    Args:
        context: The run.
        trainings: What was trained.
        teacher: ``[n, classes]`` logits of the teacher on validation.
    """
    found: list[str | None] = [_of_teacher(context, trainings, teacher), *remarks(trainings.teacher)]
    if trainings.prepared is not None:
        found += _of_targets(context, trainings)
        found.append(of_share(context.recipe.transfer, context.dataset.train, trainings.prepared.examples.labeled))
    sentences = of_data(context.recipe, context.dataset)
    sentences += doubts(context.recipe, len(_transfer_set(context, trainings)))
    sentences += [text for text in found if text is not None]
    for place, (step, after) in enumerate(zip(context.recipe.student.all_steps, trainings.student.steps, strict=True)):
        sentences += [f"student.steps.{place} ({step.use}): {text}" for text in step.warnings(after)]
    for text in sentences:
        log.warning("%s", text)
    return sentences


def _transfer_set(context: Context, trainings: Trainings) -> Split:
    """The examples of the transfer set."""
    transfer = None if trainings.prepared is None else trainings.prepared.examples.transfer
    return context.dataset.train if transfer is None else transfer


def _of_teacher(context: Context, trainings: Trainings, teacher: NDArray[np.float32]) -> str | None:
    validation = context.dataset.validation
    labels, task = labels_of(validation), validation.task
    before = [next(step for step in reversed(one.steps) if step.use != "correct") for one in trainings.baselines]
    baselines = [score_of(task, predict_all(open_torch(one.network), validation), labels) for one in before]
    return weak_teacher(score_of(task, teacher, labels), baselines, score=judged_by(task))


def of_share(transfer: TransferSection, train: Split, labeled: Split | None) -> str | None:
    """A warning about a share of the training examples; classes that the recipe itself leaves out are no loss.

    Args:
        transfer: What the recipe says of it.
        train: The training examples.
        labeled: Those that were kept; None where all were.
    """
    left = None if labeled is None else labeled.labels
    if (transfer.share == 1 and transfer.labeled_share == 1) or left is None or train.labels is None:
        return None
    if train.task.label_kind != "class":
        return None
    every = subset_of(train, only=transfer.only, without=transfer.without).labels
    assert every is not None, "a subset has labels where all rows have"
    key = "share" if transfer.labeled_share == 1 else "labeled_share"
    return lost_classes(every, left, train.classes, getattr(transfer, key), f"transfer.{key}")


def _of_targets(context: Context, trainings: Trainings) -> list[str | None]:
    """Warnings about the targets, judged by evenly spread examples as they look in the first view."""
    assert trainings.prepared is not None
    target = context.dataset.task.target
    if not has_probabilities(target):
        return []
    recipe, prepared = context.recipe, trainings.prepared
    split = _transfer_set(context, trainings)
    rows = torch.arange(0, len(split), max(1, -(-len(split) // SAMPLE)))
    seen = prepared.views.of(split, rows, 0)
    given = prepared.source(seen, rows, 0)
    targets = distributions(full(given), target)
    found = [nearly_one_hot(targets, temperature) for temperature in _softened(recipe)]
    if isinstance(prepared.source, UnaugmentedTargets):
        logits: Tensor | TopK = ask(prepared.teacher, seen)
        if isinstance(given, TopK) and isinstance(logits, Tensor):
            logits = TopK.of(logits, given.k)
        found.append(other_views(distributions(full(logits), target), targets, recipe.temperature))
    return found


def _softened(recipe: Recipe) -> list[float]:
    """The temperatures at which terms begin to soften the teacher's logits, each once."""
    found = set()
    for step in recipe.steps:
        if isinstance(step, TrainingStep) and step.of_teacher:
            for term in step.terms.terms.values():
                temperature = softening(term.loss)
                if temperature is not None and term.of == "student":
                    found.add(float(value_at(temperature, float(term.start_epoch))))
    return sorted(found)
