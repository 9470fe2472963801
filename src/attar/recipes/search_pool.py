"""Who evaluates the proposals of a run's search, and how long each may take."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from attar.pipeline.nodes import Nodes
from attar.pipeline.worker import Job
from attar.recipes.context import Context, allowed
from attar.recipes.parallel import WORTHWHILE, run_as_arguments
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search_estimate import epoch_seconds, seconds_of
from attar.recipes.search_space import epochs_of, search_key, search_of
from attar.recipes.search_teacher import goal_of, meter_of, start_of
from attar.recipes.students import PreparedTeacher, teacher_tools, tools_of
from attar.recipes.trackers import Trackers
from attar.search.evaluate import Evaluator
from attar.search.on_cluster import on_cluster
from attar.search.pool import Here, Pool
from attar.search.processes import Processes
from attar.search.proposal import Proposal
from attar.search.search import SecondsEach

_EVALUATE = "attar.recipes.worker:evaluate"
"""What a worker is asked to do."""

_TIMES_EACH, _LEAST_EACH = 20.0, 300.0
"""How many times as long as one from the middle a proposal may be trained, and seconds that it may in any case."""

_WORTH_A_PROCESS = 120.0
"""Seconds of all of a run from which on a process that evaluates is worth its start."""


def evaluator_of(context: Context, prepared: PreparedTeacher) -> Evaluator:
    """What evaluates the proposals of a run's search."""
    recipe, examples = context.recipe, search_of(context.recipe).examples
    context = replace(context, trackers=Trackers())  # what is tried is no training of the run
    tools = tools_of(context, 0, teacher_tools(context, prepared), prepared.examples)
    goal, allow = goal_of(context, prepared, tools), _allowed(recipe)
    # What is done of the run is one piece of work, however many trials it has.
    aside = replace(context, nodes=Nodes(context.nodes.folder, context.nodes.reuse_from))
    return Evaluator(
        tools=tools,
        objective=recipe.terms,
        training=recipe.student.training,
        goal=goal,
        meter=meter_of(aside, goal, allow),
        nodes=aside.nodes,
        teacher=start_of(context, prepared),
        subset=None if examples is None else tools.subset(examples),
        allow=allow,
    )


@contextmanager
def pool_for(context: Context, evaluator: Evaluator, typical: Recipe, seconds: float | None = None) -> Iterator[Pool]:
    """Where proposals are evaluated: on a cluster, in worker processes where it pays to start several, or here.

    Of a search whose time is limited at least one process evaluates them, as only another process can be ended that
    hangs. Those are of the CPU alone.

    Args:
        context: The run.
        evaluator: Of its search.
        typical: The recipe with a student that stands for all of them.
        seconds: How long the search may last; None for no limit.
    """
    arguments = run_as_arguments(context)

    def job_of(proposal: Proposal) -> Job:
        text = json.dumps(proposal.to_json())
        return Job(f"search/{proposal.key}", _EVALUATE, {**arguments, "proposal": text}, evaluator.size(proposal))

    def measured(proposal: Proposal) -> Job:
        job = job_of(proposal)
        return replace(job, arguments={**job.arguments, "train": False})

    if context.cluster is not None:
        with on_cluster(context.cluster, evaluator, measured, context.beside) as pool:
            yield pool
        return
    count = _worthwhile(context, typical, seconds)
    if context.device != "cpu" or seconds == 0 or (count == 1 and not is_limited(context.recipe)):
        yield Here(evaluator)
        return
    with Processes(count, job_of) as pool:
        yield pool


def _worthwhile(context: Context, typical: Recipe, seconds: float | None) -> int:
    """How many worker processes are worth their start, which takes some seconds."""
    workers = context.workers
    if workers is None or not workers.only_if_worthwhile:
        return 1 if workers is None else workers.count
    longest = math.inf if seconds is None else seconds
    return workers.count if min(longest, seconds_of(context, typical)) >= WORTHWHILE else 1


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


def is_limited(recipe: Recipe) -> bool:
    """Whether the time of a proposal is limited, so that one that hangs has to be ended.

    A limit on all of the run counts from two minutes on: with less, a process that can be ended costs too much of it.
    """
    section = search_of(recipe)
    return section.time_each is not None or (section.time or 0.0) >= _WORTH_A_PROCESS


def _allowed(recipe: Recipe) -> tuple[str, ...]:
    """The packages of whose functions proposals may be built."""
    section, teacher = search_of(recipe), recipe.teacher.network
    named = [one.use for one in (section.space, teacher) if one is not None]
    return tuple(sorted({package for use in named for package in allowed(use)} | {"attar"}))
