"""Trainings of a run that do not depend on each other, done at once by worker processes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from attar.pipeline.nodes import Nodes, NotFinished
from attar.pipeline.worker import Job
from attar.processes import world_size
from attar.recipes.context import Context
from attar.recipes.estimate import seconds_per_step
from attar.recipes.networks import fitted_to, network_of
from attar.recipes.schema.recipe import Recipe
from attar.training.progress import Progress, silent
from attar.training.settings import Training
from attar.training.train_module import reads_layers

Role = Literal["teacher", "student", "baseline"]

_TRAIN = "attar.recipes.worker:train"
"""What a worker is asked to do."""

WORTHWHILE = 15.0
"""Seconds of training from which on it pays to start processes, which take some seconds to begin."""

_FEWEST_STEPS = 2000
"""Optimizer steps below which nobody looks how long one takes."""


TrainOne = Callable[[Context, Role, int], object]
"""Trains the model of a role and a number, or finds it done."""


def train_at_once(
    context: Context,
    roles: Sequence[Role],
    train_one: TrainOne,
    examples: int | None = None,
    *,
    later: Sequence[Role] = (),
) -> None:
    """Do the trainings of some roles that are not done yet, in several processes; whoever asks then finds them.

    Nothing happens where that would change a result (a training that gets several threads), where something else
    shares the work already, or where it would not be over sooner.

    Args:
        context: The run.
        roles: Those whose trainings may begin: all that they depend on is there.
        train_one: Trains one of them here; asked what is done already.
        examples: How many a student sees in an epoch; those of the training split if left out.
        later: Roles whose trainings the other processes go on with, while this one does something else; it waits for
            them when they are among the roles.
    """
    workers = context.workers
    if workers is None or workers.count < 2 or context.device != "cpu" or world_size() > 1:
        return
    wanted = [(role, _indices(context, role)) for role in (*roles, *later)]
    asked = [(role, one) for role, indices in wanted if indices and _on_one_thread(context, role) for one in indices]
    looks = {(role, index): _missing(context, role, index, train_one) for role, index in asked}
    missing = [one for one, name in looks.items() if name is not None]
    if len(missing) < 2:
        return
    if workers.only_if_worthwhile and _seconds(context, [role for role, _ in missing], examples) < WORTHWHILE:
        return
    run = run_as_arguments(context)
    jobs = {
        (role, index): Job(
            f"{role}/{index}", _TRAIN, {**run, "role": role, "index": index}, _steps(context, role, examples)
        )
        for role, index in missing
    }
    context.nodes.from_workers |= {job.name for job in jobs.values()} | {
        name for name in looks.values() if name is not None
    }

    def run_locally(job: Job, progress: Progress) -> None:
        aside = Nodes(context.nodes.folder, context.nodes.reuse_from)  # what is asked for later counts, in its order
        train_one(replace(context, nodes=aside, progress=progress), job.arguments["role"], job.arguments["index"])

    now = [job for (role, _), job in jobs.items() if role in roles]
    title = f"train {len(now)} networks, {min(workers.count, len(jobs))} at once"
    workers.do(now, run_locally, context.progress, title, [job for job in jobs.values() if job not in now])


def _indices(context: Context, role: Role) -> range:
    recipe = context.recipe
    if role == "teacher":
        return range(recipe.teacher.count if recipe.teacher.trained_here else 0)
    return range(recipe.student.seeds if role == "student" or recipe.baseline else 0)


def _missing(context: Context, role: Role, index: int, train_one: TrainOne) -> str | None:
    """The first node of a training that is not there yet; None where it is found with all of its steps."""
    try:
        train_one(replace(context, nodes=context.nodes.finished_only(), progress=silent), role, index)
    except NotFinished as error:
        return error.name
    return None


def _trainings(context: Context, role: Role, examples: int | None) -> Iterator[tuple[Training, int]]:
    """Settings of each training of a role, and of how many examples."""
    if role == "teacher":
        yield context.recipe.teacher.training, len(context.dataset.train)
        return
    for _, training in context.recipe.trainings:
        yield training, len(context.dataset.train) if examples is None else examples


def _steps(context: Context, role: Role, examples: int | None) -> int:
    """Optimizer steps of one model."""
    return sum(one.epochs * math.ceil(rows / one.batch_size) for one, rows in _trainings(context, role, examples))


def _seconds(context: Context, roles: Sequence[Role], examples: int | None) -> float:
    """About how long all of these trainings take on one core."""
    if sum(_steps(context, role, examples) for role in roles) < _FEWEST_STEPS:
        return 0.0
    total = 0.0
    for role in set(roles):
        section = context.recipe.teacher.network if role == "teacher" else context.recipe.network
        assert section is not None, "the members of a teacher that is trained here are networks"
        for training, rows in _trainings(context, role, examples):
            network = network_of(fitted_to(section, context.dataset), 0)
            one = seconds_per_step(network, context.dataset, training) or 0.0
            total += roles.count(role) * one * training.epochs * math.ceil(rows / training.batch_size)
    return total


def _on_one_thread(context: Context, role: Role) -> bool:
    """Whether a training has one thread wherever it takes place."""
    recipe = context.recipe
    if recipe.threads:
        return recipe.threads == 1
    if not recipe.transfer.cached:
        return False
    if role == "teacher":
        assert recipe.teacher.network is not None, "the members of a teacher that is trained here are networks"
        sections = [recipe.teacher.network]
    else:
        sections = [recipe.network]
        if role == "student" and recipe.teacher.network is not None and _teacher_runs(recipe):
            sections += [recipe.teacher.network] * recipe.teacher.count
    networks = [network_of(fitted_to(section, context.dataset), 0) for section in sections]
    return all(context.thread_count(networks, one.batch_size) == 1 for one, _ in _trainings(context, role, None))


def _teacher_runs(recipe: Recipe) -> bool:
    """Whether the teacher's network runs in every step of a student, whose targets are stored."""
    return recipe.teacher.learns or any(reads_layers(objective) for objective, _ in recipe.trainings)


def run_as_arguments(context: Context) -> dict[str, Any]:
    """A run as plain values, by which a worker opens it."""
    trust = context.recipe.trust
    run = {
        "recipe": context.recipe.document(),
        "beside": None if trust.beside is None else str(trust.beside),
        "packages": list(trust.packages),
        "folder": str(context.nodes.folder.absolute()),
        "reuse_from": [str(other.absolute()) for other in context.nodes.reuse_from],
    }
    return {"run": json.dumps(run)}
