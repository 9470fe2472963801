"""How long a search may last, so that what it finds can be trained, deployed and measured before the time is over."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attar import formatting
from attar.deployment.candidates import candidates
from attar.pipeline.nodes import Nodes
from attar.pipeline.section import training_table
from attar.recipes.context import Context
from attar.recipes.estimate import seconds_per_step, stored
from attar.recipes.networks import fitted_to, network_of
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search_space import epochs_of, epochs_of_finalists, search_of, trainings_for
from attar.search.evaluate import lasting
from attar.search.proposal import Proposal
from attar.search.search import SecondsEach
from attar.search.strategies.n2n import policies_of

_FEWEST, _LEAST = 0.25, 0.1
"""Shares that a search has at least: of what teacher and targets left, however long the student itself may take, and of
all of the time, where they left next to nothing. Likewise the student has them, of what the search left and of all."""

_MOST_FOR_FINALISTS, _FREELY = 0.5, 2.0
"""Share of the time of a search that is kept for its finalists, at most, and how many times what they should take:
beside other trainings they take longer, and what they leave is not lost."""

_TIMES_EACH, _LEAST_EACH = 20.0, 300.0
"""How many times as long as one from the middle a proposal may be trained, and seconds that it may in any case."""

_WORTH_A_PROCESS = 120.0
"""Seconds of all of a run from which on a process that evaluates is worth its start."""

_PER_CANDIDATE, _BESIDE = 2.0, 10.0
"""Seconds that a candidate takes besides its timing, and what everything else takes, about."""

_SHORTEST = 0.2
"""Seconds for which a candidate is timed at least, per batch size, where all of the time is short."""


def is_limited(recipe: Recipe) -> bool:
    """Whether the time of a proposal is limited, so that one that hangs has to be ended.

    A limit on all of the run counts from two minutes on: with less, a process that can be ended costs too much of it.
    """
    section = search_of(recipe)
    return section.time_each is not None or (section.time or 0.0) >= _WORTH_A_PROCESS


def seconds_before(nodes: Nodes, elapsed: float) -> float:
    """How long data, teacher and targets took: in this attempt, and what is found of earlier ones.

    Args:
        nodes: What was done and found so far.
        elapsed: Seconds of this attempt since the data were there, what was done at once counted once.
    """
    return elapsed + sum(one.seconds for one in nodes.pieces if one.reused or one.name == "data")


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


def seconds_each(context: Context, typical: Recipe) -> SecondsEach:
    """For how long a proposal may be trained: many times as long as one from the middle takes, or as the recipe says.

    A training of more epochs may take as much longer.

    Args:
        context: The run, its recipe with the search.
        typical: The recipe with a student that stands for all of them.
    """
    given, short = search_of(context.recipe).time_each, epochs_of(context.recipe)

    def work(_: Path) -> dict[str, Any]:
        return {"seconds": epoch_seconds(context, typical)}

    # Kept, as another moment would find another time, and give up what this one does not.
    known = {"search": search_key(context)}
    epoch = context.nodes.node("search/epoch", known, work).result["seconds"] if given is None else given / short

    def most(proposal: Proposal) -> float:
        if given is None:
            return max(_TIMES_EACH * epoch * proposal.epochs, _LEAST_EACH)
        return epoch * max(proposal.epochs, short)

    return most


def search_key(context: Context) -> str:
    """What a search is known by: its data, its teacher, what its recipe says, and the policies that it begins with.

    Who tracks it is no part of it.
    """
    document = {key: table for key, table in context.recipe.document().items() if key != "track"}
    document |= {"data_fingerprint": context.fingerprint, "teacher_fingerprint": context.teacher_fingerprint}
    policy = search_of(context.recipe).strategy.get("policy")
    if policy is not None:
        document["policies"] = policies_of(Path(policy))
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


def final_seconds(context: Context, found: Recipe) -> float:
    """About how long it takes to train a student with its baselines, and to deploy and measure it."""
    runs = found.student.seeds * (1 + found.baseline)
    epochs = sum(training.epochs for _, training in found.trainings)
    return epochs * epoch_seconds(context, found) * math.ceil(runs / _at_once(context, runs)) + measuring_seconds(found)


def measuring_seconds(found: Recipe, timed: float | None = None) -> float:
    """About how long it takes to deploy and measure what was trained.

    Args:
        found: With the forms that are deployed.
        timed: Seconds for which each is timed; what the recipe says if left out.
    """
    count = len(candidates(found.artifacts.runtimes, found.artifacts.int8, None)) * (1 + found.baseline)
    return (2 * (found.artifacts.seconds if timed is None else timed) + _PER_CANDIDATE) * count + _BESIDE


@dataclass(frozen=True)
class SearchTime:
    """What of a run's time is its search's.

    Attributes:
        seconds: Of the search with its finalists; None for no limit.
        finalists: Of these, what is kept for its finalists: without it proposals would take all of a limited time, and
            one that was lucky in its short training would win.
    """

    seconds: float | None
    finalists: float = 0.0


def time_for_search(context: Context, typical: Recipe, before: Callable[[], float]) -> SearchTime:
    """The time of the search, out of that which the recipe has for everything.

    Args:
        context: The run.
        typical: The recipe with a student that stands for the one that will be found.
        before: Tells the seconds that all took so far, teacher and targets above all.
    """
    section = search_of(context.recipe)
    if section.time is None:
        return SearchTime(None)
    most = section.time

    def work(_: Path) -> dict[str, Any]:
        final, epoch = final_seconds(context, typical), epoch_seconds(context, typical)  # seconds where torch is new
        left = most - before()
        seconds = max(left - final, _FEWEST * left, _LEAST * most)
        again = epochs_of_finalists(context.recipe)
        need = section.seeds * sum(again) * epoch
        need /= _at_once(context, section.seeds * len(again))
        return {"seconds": seconds, "finalists": min(_FREELY * need, _MOST_FOR_FINALISTS * seconds)}

    # Kept, as another moment would find another time.
    known = {"search": search_key(context)}
    found = context.nodes.node("search/time", known, work, version=2).result
    return SearchTime(float(found["seconds"]), float(found["finalists"]))


def final_settings(context: Context, most: float | None, spent: float, search: str, pace: float = 0.0) -> Recipe:
    """The recipe of what was found, with as many seeds and epochs as there is time for; kept for a run that goes on.

    A share of the time is the student's in any case. What is deployed is timed for shorter where that helps.

    Args:
        context: The run, its recipe with the student that was found.
        most: Seconds of everything; None for no limit.
        spent: How many are over.
        search: What the search is known by, see `search_key`.
        pace: Seconds that a step of its training has taken so far: a few steps that are made for a look tell little of
            what one takes beside other trainings.
    """
    found = context.recipe
    if most is None:
        return found

    def work(_: Path) -> dict[str, Any]:
        fewest, timed = max(_FEWEST * (most - spent), _LEAST * most), found.artifacts.seconds
        if most - spent - measuring_seconds(found) < fewest:
            timed = min(timed, _SHORTEST)
        left = max(most - spent - measuring_seconds(found, timed), fewest)
        one = epoch_seconds(context, found, pace) * sum(training.epochs for _, training in found.trainings)
        for seeds in dict.fromkeys((found.student.seeds, 1)):
            runs = seeds * (1 + found.baseline)
            seconds = one * math.ceil(runs / _at_once(context, runs))
            if seconds <= left:
                return {"seeds": seeds, "epochs": found.student.training.epochs, "timed": timed}
        epochs = math.floor(found.student.training.epochs * max(left, 0.0) / seconds)
        return {"seeds": 1, "epochs": max(1, epochs), "timed": timed}

    inputs = {"network": found.network.known_by(), "steps": found.document()["student"].get("steps"), "time": most}
    inputs |= {"seeds": found.student.seeds, "training": training_table(found.student.training), "search": search}
    chosen = context.nodes.node("search/final", inputs, work, version=2).result
    training = lasting(found.student.training, int(chosen["epochs"]))
    document = found.document()
    document["student"] |= {"seeds": int(chosen["seeds"]), "training": training_table(training)}
    document["artifacts"] |= {"seconds": float(chosen["timed"])}
    return from_document(document, "the student that was found", found.trust)


def shortened(before: Recipe, after: Recipe) -> str:
    """What was left out for lack of time, in a sentence; empty where nothing was."""
    epochs, all_epochs = after.student.training.epochs, before.student.training.epochs
    seeds, all_seeds = after.student.seeds, before.student.seeds
    timed = after.artifacts.seconds
    trained = f"trained for {epochs} of {all_epochs} epochs" if epochs != all_epochs else ""
    if seeds != all_seeds:
        trained += f"{', ' if trained else 'trained '}from {seeds} of {all_seeds} seeds"
    what = [trained] if trained else []
    if timed != before.artifacts.seconds:
        what.append(f"timed for {formatting.seconds(timed)} in each of its forms")
    return f"For lack of time it is {' and '.join(what)}." if what else ""


def exceeded(most: float | None, before: float, spent: float) -> list[str]:
    """By how much more than its time a run took, in a sentence; none where it kept it, or had no limit.

    Args:
        most: Seconds of everything.
        before: Seconds that teacher and targets took, of which nothing can be left out.
        spent: Seconds that everything took.

    Example:
        >>> exceeded(5.0, 9.0, 20.0)[0].replace(chr(160), " ")
        'The run took 20.0 s, 15.0 s more than search.time allows: teacher and targets alone took 9.0 s.'
        >>> exceeded(5.0, 2.0, 5.0)
        []
    """
    if most is None or spent <= most:
        return []
    total, more = formatting.seconds(spent), formatting.seconds(spent - most)
    alone = f"teacher and targets alone took {formatting.seconds(before)}"
    why = alone if before >= most else f"{alone}, and a short training has to be deployed and measured, too"
    return [f"The run took {total}, {more} more than search.time allows: {why}."]


def _at_once(context: Context, runs: int) -> int:
    """How many trainings take place at once."""
    count = 1 if context.workers is None else context.workers.count
    return max(1, min(count, runs))
