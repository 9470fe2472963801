"""What a search would do and take, in words, found out without training anything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import nn

from attar import formatting
from attar.budget import What
from attar.evidence.latency import race
from attar.network.cost import cost
from attar.recipes.context import Context
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search_estimate import epoch_seconds, final_seconds, seconds_of, share_seen
from attar.recipes.search_pool import is_limited
from attar.recipes.search_space import (
    epochs_of,
    epochs_of_finalists,
    search_of,
    space_for,
    strategy_words,
    trainings_for,
    words_of,
)
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.onnx_files import onnx_files
from attar.teachers.teacher import Teacher

_TIMED = 0.2
"""Seconds for which a given teacher is timed."""


def search_lines(context: Context, typical: Recipe, teacher: Teacher | None) -> list[str]:
    """The search of a recipe: what is looked for, how, how long that takes, and what the teacher takes.

    Args:
        context: The run, its recipe with the search.
        typical: The recipe with a student that stands for all of them.
        teacher: A given one; None for one that is yet to be trained.
    """
    recipe, section = context.recipe, search_of(context.recipe)
    each, of_finalists = epochs_of(recipe), epochs_of_finalists(recipe)
    again, epoch = sorted({*of_finalists}), epoch_seconds(context, typical)
    proposals = formatting.plural(trainings_for(recipe)[0].networks, "proposal")
    trained = formatting.plural(each, "epoch")
    longer, seeds = formatting.plural(again[-1], "epoch"), formatting.plural(section.seeds, "seed")
    longer = longer if len(again) == 1 else f"{again[0]} to {longer}"
    others = formatting.plural(section.pareto, "other")
    beside = f", beside up to {others} of the Pareto set" if section.pareto else ""
    some = "" if section.examples is None else f" on {formatting.grouped(section.examples)} of the examples"
    lines = [
        f"{proposals} by {strategy_words(section)}, each trained for {trained}{some} (about "
        f"{formatting.seconds(each * share_seen(context) * epoch)}){_going_on(recipe)}, what is beyond the budget for "
        "none",
        f"in: {words_of(space_for(recipe, context.dataset))}",
        f"the best {len(of_finalists)} again for {longer} from {seeds}, one of them then as the student{beside}",
        f"about {formatting.seconds(seconds_of(context, typical))} on one core" + _limited(context, typical),
    ]
    if is_limited(recipe) and context.device != "cpu":
        lines.append(f"on {context.device} a training that hangs between two steps is not stopped, whatever the limit")
    known = {} if teacher is None else _taken(context, teacher)
    for limit in recipe.budget.limits:
        takes = known.get(limit.what)
        at = limit.at(takes)
        if takes is not None and at is not None:
            share = formatting.significant(at / takes, 2)
            lines.append(f"{limit.shown(at)} {limit.after()} is {share}x of the teacher's {limit.shown(takes)}")
    return lines


def _going_on(recipe: Recipe) -> str:
    """Which of the networks are trained again for longer; empty where none is."""
    _, *above = trainings_for(recipe)
    if not above:
        return ""
    first, *others = above
    goes = "goes" if first.networks == 1 else "go"
    words = f"{first.networks} {goes} on to {formatting.plural(first.total, 'epoch')} in all"
    return ", of which " + ", ".join([words, *(f"{one.networks} to {one.total}" for one in others)])


def _limited(context: Context, typical: Recipe) -> str:
    """What a limit on the time comes to; empty for none."""
    most, final = search_of(context.recipe).time, final_seconds(context, typical)
    if most is None:
        return ""
    time, about = formatting.seconds(most), formatting.seconds(final)
    first = "" if context.recipe.teacher.given else "; the teacher's training comes first, and is not cut short"
    if final < most:
        return f"; at most {time} in all, of which about {about} are for the student itself{first}"
    return (
        f"; at most {time} in all, and the student itself takes about {about}: it is then trained for fewer epochs, "
        f"and less of it is measured{first}"
    )


def _taken(context: Context, teacher: Teacher) -> Mapping[What, float]:
    """What a given teacher takes, as far as that is soon known."""
    if isinstance(module := getattr(teacher, "module", None), nn.Module):
        counted = cost(module, context.example)
        return {"macs": float(counted.macs), "bytes": 4.0 * counted.parameters}
    found: dict[What, float] = {}
    if files := onnx_files(teacher):
        found["bytes"] = float(sum(one.size_bytes for one in files))
    if isinstance(teacher, OnnxTeacher):
        threads, rows = context.recipe.artifacts.threads, np.ascontiguousarray(context.example.numpy())
        raced = race({"teacher": teacher.runner(threads)}, rows, 1, threads=threads, seconds=_TIMED)
        found["latency"] = raced.latencies["teacher"].median_ms
    return found
