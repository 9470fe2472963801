"""What a limit on the time of a run does.

What comes before the student itself is held to shares of the time: the labels of the teacher (`in_fewer_views`), then
the search and its finalists (`time_for_search`). The student has what is left (`final_settings`): where that is little
it is deployed in fewer forms, has no baseline, and is trained for fewer epochs. What was decided by the clock is a node
of the run, so that a run that goes on decides the same. If all of it takes longer, a warning says so (`exceeded`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from attar import formatting
from attar.data.split import Split
from attar.pipeline.nodes import Nodes
from attar.pipeline.section import training_table
from attar.recipes.context import Context
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search_estimate import (
    PER_MEASUREMENT,
    at_once,
    epoch_seconds,
    final_seconds,
    measuring_seconds,
    share_seen,
)
from attar.recipes.search_space import epochs_of, epochs_of_finalists, search_key, search_of
from attar.recipes.search_teacher import measured_runtimes
from attar.search.evaluate import lasting
from attar.teachers.teacher import Teacher, ask

_LABELS, _ASKED = 0.25, 64
"""Share of the time that labels may take, and examples by which it is seen how long one takes."""

_FEWEST, _LEAST = 0.25, 0.1
"""Share of what teacher and labels left that a search has at least, if all else can be done in the rest; and shares
that the student's training has at least: of what the search left, and of all."""

_MOST_FOR_FINALISTS, _FREELY = 0.5, 2.0
"""Share of the time of a search that is kept for its finalists, at most, and how many times what they should take:
beside other trainings they take longer, and what they leave is not lost."""

_SEEN = 0.1
"""Seconds of computing by which it is seen how busy a machine is; of less a single moment would decide."""

_SHORTEST = 0.2
"""Seconds for which a candidate is timed at least, per batch size, where all of the time is short."""


def seconds_before(nodes: Nodes, elapsed: float) -> float:
    """How long data, teacher and targets took: in this attempt, and what is found of earlier ones.

    Args:
        nodes: What was done and found so far.
        elapsed: Seconds of this attempt since the data were there, what was done at once counted once.
    """
    return elapsed + sum(one.seconds for one in nodes.pieces if one.reused or one.name == "data")


def in_fewer_views(context: Context, teacher: Teacher, split: Split | None, before: Callable[[], float]) -> Recipe:
    """The recipe with as many views as can be labelled in the share of its time that labels have.

    Args:
        context: The run, its recipe with the search.
        teacher: Frozen.
        split: The transfer set; the training examples if left out.
        before: Tells the seconds that all took so far.
    """
    recipe, most = context.recipe, search_of(context.recipe).time
    transfer, rows = recipe.transfer, context.dataset.train if split is None else split
    if most is None or transfer.views.count == 1 or not (transfer.cached and transfer.label_views):
        return recipe

    def work(_: Path) -> dict[str, Any]:
        some = rows.floats(slice(0, _ASKED))
        ask(teacher, some)  # the first call may take longer
        began = perf_counter()
        ask(teacher, some)
        one = (perf_counter() - began) / len(some) * len(rows)
        return {"views": min(max(1, math.floor(_LABELS * (most - before()) / one)), transfer.views.count)}

    views = context.nodes.node("search/views", {"search": search_key(context)}, work).result["views"]
    document = recipe.document()
    document["transfer"] |= {"views": {**transfer.views.model_dump(), "count": int(views)}}
    return from_document(document, "the recipe", recipe.trust)


@dataclass(frozen=True)
class SearchTime:
    """What of a run's time is its search's.

    Attributes:
        seconds: Of the search with its finalists; None for no limit, 0 where not one proposal would end in it.
        finalists: Of these, what is kept for its finalists: without it proposals would take all of a limited time, and
            one that was lucky in its short training would win.
        busy: How many times as long things take as they would on cores of their own.
    """

    seconds: float | None
    finalists: float = 0.0
    busy: float = 1.0


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
        began, computed = perf_counter(), process_time()
        final, epoch = final_seconds(context, typical), epoch_seconds(context, typical)  # seconds where torch is new
        busy = max(1.0, (perf_counter() - began) / max(process_time() - computed, _SEEN))
        left = most - before()
        lean = measuring_seconds(list(_leaner(typical))[-1], busy)
        seconds = max(left - final, min(_FEWEST * left, (1 - _FEWEST) * left - lean), 0.0)
        again = epochs_of_finalists(context.recipe)
        need = section.seeds * sum(again) * epoch / at_once(context, section.seeds * len(again))
        finalists = min(_FREELY * need, _MOST_FOR_FINALISTS * seconds)
        one = epochs_of(context.recipe) * share_seen(context) * epoch + busy * PER_MEASUREMENT
        if one > seconds - finalists:
            seconds, finalists = (seconds, 0.0) if one <= seconds else (0.0, 0.0)
        return {"seconds": seconds, "finalists": finalists, "busy": busy}

    # Kept, as another moment would find another time.
    found = context.nodes.node("search/time", {"search": search_key(context)}, work, version=3).result
    return SearchTime(float(found["seconds"]), float(found["finalists"]), float(found["busy"]))


def final_settings(
    context: Context, most: float | None, spent: float, search: str, *, pace: float = 0.0, busy: float = 1.0
) -> Recipe:
    """The recipe of what was found, with as much of all that it asks for as there is time for.

    Args:
        context: The run, its recipe with the student that was found.
        most: Seconds of everything; None for no limit.
        spent: How many are over.
        search: What the search is known by, see `attar.recipes.search_space.search_key`.
        pace: Seconds that a step of its training has taken so far: a few steps that are made for a look tell little of
            what one takes beside other trainings.
        busy: How many times as long things take as they would on cores of their own.
    """
    found = context.recipe
    if most is None:
        return found

    def work(_: Path) -> dict[str, Any]:
        fewest = max(_FEWEST * (most - spent), _LEAST * most)
        for one in _leaner(found):
            left = most - spent - measuring_seconds(one, busy)
            if left >= fewest:
                break
        left = max(left, fewest)
        seconds = epoch_seconds(context, found, pace) * sum(training.epochs for _, training in found.trainings)
        all_epochs = found.student.training.epochs
        chosen = {"baseline": one.baseline, "artifacts": one.artifacts.model_dump()}
        for seeds in dict.fromkeys((found.student.seeds, 1)):
            runs = seeds * (1 + one.baseline)
            taken = seconds * math.ceil(runs / at_once(context, runs))
            if taken <= left:
                return {**chosen, "seeds": seeds, "epochs": all_epochs}
        return {**chosen, "seeds": 1, "epochs": max(1, math.floor(all_epochs * left / taken))}

    inputs = {"network": found.network.known_by(), "steps": found.document()["student"].get("steps"), "time": most}
    inputs |= {"seeds": found.student.seeds, "training": training_table(found.student.training), "search": search}
    chosen = context.nodes.node("search/final", inputs, work, version=3).result
    training = lasting(found.student.training, int(chosen["epochs"]))
    document = found.document() | {"baseline": chosen["baseline"], "artifacts": chosen["artifacts"]}
    document["student"] |= {"seeds": int(chosen["seeds"]), "training": training_table(training)}
    return from_document(document, "the student that was found", found.trust)


def _leaner(recipe: Recipe) -> Iterator[Recipe]:
    """A recipe with a student, then the same with less and less to deploy and to measure.

    Candidates are timed for shorter, then deployed only where the search measured students, in full precision, and then
    there is no baseline.
    """
    yield recipe
    settings = recipe.artifacts
    settings = settings.model_copy(update={"seconds": min(settings.seconds, _SHORTEST)})
    yield recipe.model_copy(update={"artifacts": settings})
    settings = settings.model_copy(update={"runtimes": measured_runtimes(settings), "int8": False})
    yield recipe.model_copy(update={"artifacts": settings})
    yield recipe.model_copy(update={"artifacts": settings, "baseline": False})


def shortened(before: Recipe, after: Recipe) -> str:
    """What was left out for lack of time, in a sentence; empty where nothing was."""
    pairs = [
        ("trained for {} of {} epochs", after.student.training.epochs, before.student.training.epochs),
        ("trained on {} of {} views", after.transfer.views.count, before.transfer.views.count),
        ("trained from {} of {} seeds", after.student.seeds, before.student.seeds),
        ("deployed in {} of {} runtimes", len(after.artifacts.runtimes), len(before.artifacts.runtimes)),
    ]
    what = [words.format(fewer, of) for words, fewer, of in pairs if fewer != of]
    if after.artifacts.int8 != before.artifacts.int8:
        what.append("not tried in int8")
    if after.baseline != before.baseline:
        what.append("not held against a baseline")
    if after.artifacts.seconds != before.artifacts.seconds:
        what.append(f"timed for {formatting.seconds(after.artifacts.seconds)} in each form")
    *first, last = what or [""]
    return f"For lack of time it is {', '.join(first)}{' and ' if first else ''}{last}." if what else ""


def exceeded(most: float | None, before: float, spent: float) -> list[str]:
    """By how much more than its time a run took, in a sentence; none where it kept it, or had no limit.

    Args:
        most: Seconds of everything.
        before: Seconds that teacher and targets took.
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
