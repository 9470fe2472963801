"""Settings that can be meant and seldom are: each is a sentence with its reason, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attar.deployment.backends import PORTABLE
from attar.recipes.schema.data import ViewsSection
from attar.recipes.schema.recipe import Recipe
from attar.training.objective import Objective
from attar.training.schedule import Ramp, ends_of
from attar.training.settings import Training

_STEEP = {"sgd": 10.0, "adam": 0.5, "adamw": 0.5}
"""Learning rates from which on an optimizer seldom learns."""


def doubts(recipe: Recipe, examples: int) -> list[str]:
    """What to think about in a recipe.

    Args:
        recipe: What is asked.
        examples: How many are in the transfer set.
    """
    found: list[str] = []
    trainings = [("student.training", *one) for one in recipe.trainings]
    for key, objective, training in trainings:
        found += _of_training(key, training, examples)
        found += _of_objective(objective, training.epochs)
    if recipe.teacher.network is not None and not recipe.teacher.weights and not recipe.teacher.learns:
        found += _of_training("teacher.training", recipe.teacher.training, None)
        found += _of_views("teacher.views", recipe.teacher.views, recipe.teacher.training.epochs)
    found += _of_views("transfer.views", recipe.transfer.views, max(one.epochs for _, _, one in trainings))
    if recipe.transfer.top_k == 1:
        found.append("transfer.top_k = 1 keeps one class of each example: hardly more than its label. Keep more.")
    found += [
        f'budget.{limit.what} = "{limit}" lets the artifact take more than the teacher.'
        for limit in recipe.budget.limits
        if limit.relative and limit.amount > 1 and limit.what != "quality_loss"
    ]
    found += _of_timing(recipe)
    return list(dict.fromkeys(found))


def _of_timing(recipe: Recipe) -> Iterator[str]:
    """Steps that go by times which are not those of what ships."""
    for place, step in enumerate(recipe.student.all_steps):
        if step.measures and PORTABLE not in recipe.artifacts.runtimes:
            yield (
                f"student.steps.{place}: {step.use} goes by times in {PORTABLE}, which artifacts.runtimes leaves out: "
                "in others the same network may be faster or slower than asked for. Add it, or ask for macs."
            )


def _of_training(key: str, training: Training, examples: int | None) -> Iterator[str]:
    epochs, batch = training.epochs, training.batch_size
    if training.learning_rate > _STEEP[training.optimizer]:
        rate = f"{key}.learning_rate = {training.learning_rate:g}"
        yield f"{rate} is large for {training.optimizer}: few networks learn with it."
    if training.patience is not None and training.patience >= epochs:
        yield f"{key}.patience = {training.patience} never stops a training of {epochs} epochs: it has no effect."
    if training.micro_batch_size is not None and training.micro_batch_size >= batch:
        size = f"{key}.micro_batch_size = {training.micro_batch_size}"
        yield f"{size} does not divide batches of {batch}: it has no effect."
    if training.milestones and training.schedule != "multistep":
        yield f'{key}.milestones belong to schedule = "multistep": with {training.schedule!r} they have no effect.'
    late = [one for one in training.milestones if one >= epochs]
    if late and training.schedule == "multistep":
        yield f"{key}.milestones {late} come after the last of {epochs} epochs: they have no effect."
    if training.learning_rate * training.weight_decay >= 1:
        yield (
            f"{key}: learning_rate times weight_decay is {training.learning_rate * training.weight_decay:g}: "
            "each step takes the weights to zero or beyond."
        )
    if examples is None:
        return
    if batch > examples:
        yield f"{key}.batch_size = {batch} is more than the {examples} examples: every epoch is one step."
    steps = epochs * math.ceil(examples / batch)
    if training.ema_decay is not None and steps * (1 - training.ema_decay) < 1:
        average = f"{key}.ema_decay = {training.ema_decay:g} averages over {1 / (1 - training.ema_decay):,.0f} steps"
        yield f"{average}, and the training has {steps:,}: what is returned is mostly the first weights."


def _of_objective(objective: Objective, epochs: int) -> Iterator[str]:
    for name, term in objective.terms.items():
        key = f"objective.{name}"
        if max(ends_of(term.weight)) == 0:
            yield f"{key}.weight = 0: the term counts for nothing. Drop it, or give it a weight."
        if max(ends_of(term.weight)) > 10_000:
            yield f"{key}.weight = {max(ends_of(term.weight)):g} leaves no say to the other terms."
        ramps = (
            {"weight": term.weight, **vars(term.loss)} if hasattr(term.loss, "__dict__") else {"weight": term.weight}
        )
        for setting, ramp in ramps.items():
            if not isinstance(ramp, Ramp):
                continue
            if ramp.begin >= epochs:
                yield f"{key}.{setting} begins to move after the last of {epochs} epochs: it stays at {ramp.start:g}."
            elif ramp.begin + ramp.epochs > epochs:
                end = ramp.at(float(epochs))
                yield f"{key}.{setting} comes to {end:g} by the last of {epochs} epochs, and not to {ramp.end:g}."
            if ramp.start == ramp.end:
                yield f"{key}.{setting} moves from {ramp.start:g} to {ramp.end:g}: one number means the same."


def _of_views(key: str, views: ViewsSection, epochs: int) -> Iterator[str]:
    if views.count > epochs:
        yield f"{key}.count = {views.count:,} is more than the {epochs} epochs: the views beyond are never seen."
    if views.count > 1 and not (views.flip or views.shift or views.noise):
        yield f"{key}.count = {views.count:,} views are all the same: set flip, shift or noise, or leave count out."
