"""What a worker process of a run does: it opens the run once, and trains the models that it is asked for."""

from __future__ import annotations

import atexit
import functools
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from attar.network.references import Trust
from attar.recipes.context import Context
from attar.recipes.parallel import Role
from attar.recipes.read import from_document
from attar.recipes.search import evaluator_of
from attar.recipes.start import open_run
from attar.recipes.students import PreparedTeacher, prepare_teacher, train_one
from attar.search.evaluate import Evaluator
from attar.search.proposal import Proposal
from attar.training.progress import Progress, silent


def train(run: str, role: Role, index: int, progress: Progress) -> None:
    """Train one model of a run; what a worker process is asked for.

    Args:
        run: The run, as `attar.recipes.parallel` describes it.
        role: Whose training.
        index: Number of the member or of the seed.
        progress: Sees it.
    """
    context = _opened(run)
    prepared = _prepared(run) if role == "student" and not context.recipe.teacher.learns else None
    train_one(replace(context, progress=progress), role, index, prepared)


def evaluate(run: str, proposal: str, progress: Progress) -> None:
    """Evaluate a proposal of a run's search; what a worker process is asked for.

    Args:
        run: The run, as `attar.recipes.parallel` describes it.
        proposal: The proposal, as JSON.
        progress: Sees it.
    """
    evaluator = _evaluator(run)
    evaluator(Proposal.from_json(json.loads(proposal), evaluator.allow), progress)


@functools.lru_cache(maxsize=1)
def _evaluator(run: str) -> Evaluator:
    """What evaluates the proposals of a run, whose teacher and targets are there."""
    return evaluator_of(_opened(run), _prepared(run))


@functools.lru_cache(maxsize=1)
def _opened(run: str) -> Context:
    """A run, open as long as the process lives: data are read once."""
    document: Mapping[str, Any] = json.loads(run)
    beside = document["beside"]
    trust = Trust(None if beside is None else Path(beside), tuple(document["packages"]))
    recipe = from_document(document["recipe"], trust=trust)
    stack = ExitStack()
    atexit.register(stack.close)
    reuse_from = [Path(other) for other in document["reuse_from"]]
    return stack.enter_context(
        open_run(recipe, Path(document["folder"]), "cpu", silent, write_recipe=False, reuse_from=reuse_from, workers=1)
    )


@functools.lru_cache(maxsize=1)
def _prepared(run: str) -> PreparedTeacher:
    """The teacher of a run with its targets, which are there when the first student is asked for."""
    return prepare_teacher(_opened(run))
