"""What a search is after: the budget of a recipe, against what its teacher takes and scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attar.deployment.backends import PORTABLE
from attar.evidence.machine import machine
from attar.evidence.memory import peak_memory
from attar.models.model import Model
from attar.pipeline.nodes import Nodes
from attar.pipeline.step import Tools
from attar.pipeline.turns import Turns
from attar.recipes.contenders import BATCHES, Contender, teacher_contenders
from attar.recipes.context import Context
from attar.recipes.schema.recipe import ArtifactsSection, Runtime
from attar.recipes.students import PreparedTeacher, Trainings
from attar.recipes.teachers import teacher_model
from attar.recipes.winner import judged_by
from attar.search.goal import Goal
from attar.search.meter import Meter
from attar.tasks.task import first_metric
from attar.teachers.teacher import ask

_AT_ONCE = 512
"""Examples of one call of a teacher."""


def measured_runtimes(settings: ArtifactsSection) -> list[Runtime]:
    """In which of the runtimes that may ship a student its proposals are measured."""
    return [PORTABLE] if PORTABLE in settings.runtimes else settings.runtimes[:1]


def meter_of(context: Context, goal: Goal, allow: tuple[str, ...]) -> Meter:
    """Measures students for a goal, in a runtime that may ship them."""
    settings = context.recipe.artifacts
    return Meter(
        dataset=context.dataset,
        dataset_key=context.fingerprint,
        goal=goal,
        nodes=context.nodes,
        turns=Turns(context.nodes.folder / "times"),
        runtimes=measured_runtimes(settings),
        int8=settings.int8,
        threads=settings.threads,
        seed=context.recipe.seed,
        allow=allow,
    )


def goal_of(context: Context, prepared: PreparedTeacher, tools: Tools) -> Goal:
    """The budget against what the teacher takes and scores, which is measured once.

    Args:
        context: The run.
        prepared: The teacher.
        tools: Of its students, with the validation data.
    """
    budget, score = context.recipe.budget, judged_by(context.dataset.task)
    limits, metric = [limit.of(score) for limit in budget.limits], first_metric(context.dataset.task)
    trainings = Trainings(prepared.teacher, prepared.members, [], [], prepared)
    aside = replace(context, nodes=Nodes(context.nodes.folder, context.nodes.reuse_from))  # a part of what this takes
    meter = meter_of(aside, Goal(limits=(), prefer=budget.prefer, teacher={}), ())
    measured = {limit.what for limit in limits if limit.relative}

    teacher = next(iter(teacher_contenders(context, trainings, meter.runtimes)[0].values()))

    def work(_: Path) -> dict[str, Any]:
        figures = {"quality_loss": _mean_score(prepared, tools), **_taken(teacher)}
        figures["latency"] = meter.latency(teacher.runner)
        if "memory" in measured and teacher.artifact is not None:
            peak = peak_memory(teacher.artifact.folder, max(BATCHES), threads=meter.threads)
            figures |= {} if peak is None else {"memory": float(peak)}
        return {"figures": figures, "name": teacher.name}

    inputs = {
        "teacher": prepared.teacher.fingerprint(),
        "networks": context.recipe.teacher.given_networks,
        "data": context.fingerprint,
        "choose_by": metric.name,
        "measured": sorted(measured),
        "meter": meter.settings,
        "machine": {key: value for key, value in machine().items() if key != "memory_bytes"},
    }
    figures: dict[str, float] = dict(context.nodes.node("search/teacher", inputs, work).result["figures"])
    figures["quality_loss"] = metric.score(np.array([figures["quality_loss"]]))
    return Goal(limits=limits, prefer=budget.prefer, teacher=figures, score=score)


def start_of(context: Context, prepared: PreparedTeacher) -> Model | None:
    """The teacher as a model whose weights students may begin with; None where it is not one network."""
    return None if prepared.specialized is not None else teacher_model(context)


def _mean_score(prepared: PreparedTeacher, tools: Tools) -> float:
    """The teacher's mean score of an example on validation, by the task's first metric."""
    tools = replace(tools, choose_by=None)
    total, validation = 0.0, tools.validation
    for rows in torch.split(torch.arange(len(validation)), _AT_ONCE):
        batch = validation.batch(rows, 0)
        total += float(tools.metric(ask(prepared.teacher, batch.inputs), batch).sum())
    return total / len(validation)


def _taken(teacher: Contender) -> dict[str, float]:
    """What is known of a teacher without running it."""
    counted = {} if teacher.cost is None else {"parameters": teacher.cost.parameters, "macs": teacher.cost.macs}
    found: dict[str, float | None] = {**counted, "bytes": teacher.size_bytes}
    return {name: float(amount) for name, amount in found.items() if amount}
