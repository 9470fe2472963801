"""How long the trainings of a search take, and what comes after it, before they begin."""

from __future__ import annotations

import math

from attar.deployment.candidates import candidates
from attar.recipes.context import Context
from attar.recipes.estimate import seconds_per_step, stored
from attar.recipes.networks import fitted_to, network_of
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search_space import epochs_of_finalists, search_of, trainings_for

_PER_CANDIDATE, _BESIDE = 2.0, 10.0
"""Seconds that a candidate takes besides its timing, and what everything else takes, about, of a core to itself."""

PER_MEASUREMENT = 3.0
"""Seconds that it takes to measure a proposal, about, of a core to itself."""


def epoch_seconds(context: Context, recipe: Recipe, pace: float = 0.0) -> float:
    """About how long an epoch of a recipe's student takes, on one core.

    Args:
        context: The run.
        recipe: With a student.
        pace: Seconds of an optimizer step at least, where that was seen.
    """
    training = recipe.student.training
    network = network_of(fitted_to(recipe.network, context.dataset), recipe.seed)
    one = max(seconds_per_step(network, context.dataset, training) or 0.0, pace)
    return one * math.ceil(stored(recipe, context.dataset).examples / training.batch_size)


def seconds_of(context: Context, typical: Recipe) -> float:
    """About how long all trainings of a search take, on one core.

    Args:
        context: The run, its recipe with the search.
        typical: The recipe with a student that stands for all of them.
    """
    short = sum(one.networks * one.epochs for one in trainings_for(context.recipe))
    again = search_of(context.recipe).seeds * sum(epochs_of_finalists(context.recipe))
    return (short * share_seen(context) + again) * epoch_seconds(context, typical)


def share_seen(context: Context) -> float:
    """Which share of all examples a proposal sees in an epoch."""
    seen, of = search_of(context.recipe).examples, stored(context.recipe, context.dataset).examples
    return 1.0 if seen is None else min(1.0, seen / of)


def final_seconds(context: Context, found: Recipe, busy: float = 1.0) -> float:
    """About how long it takes to train a student with its baselines, and to deploy and measure it.

    Args:
        context: The run.
        found: With the student.
        busy: See `measuring_seconds`.
    """
    runs = found.student.seeds * (1 + found.baseline)
    epochs = sum(training.epochs for _, training in found.trainings)
    training = epochs * epoch_seconds(context, found) * math.ceil(runs / at_once(context, runs))
    return training + measuring_seconds(found, busy)


def measuring_seconds(found: Recipe, busy: float = 1.0) -> float:
    """About how long it takes to deploy and measure what was trained.

    Args:
        found: With the forms that are deployed.
        busy: How many times as long things take as they would on cores of their own; a timing lasts as long as it does.
    """
    count = len(candidates(found.artifacts.runtimes, found.artifacts.int8, None)) * (1 + found.baseline)
    return 2 * found.artifacts.seconds * count + busy * (_PER_CANDIDATE * count + _BESIDE)


def at_once(context: Context, runs: int) -> int:
    """How many of so many trainings take place at once."""
    count = 1 if context.workers is None else context.workers.count
    return max(1, min(count, runs))
