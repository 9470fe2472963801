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

from attar.data.store.labelling import Labelling
from attar.network.references import Trust
from attar.pipeline.blocks import make_block, shard_of
from attar.pipeline.nodes import Nodes
from attar.recipes.context import Context
from attar.recipes.parallel import Role
from attar.recipes.read import from_document
from attar.recipes.search_pool import evaluator_of
from attar.recipes.start import open_run
from attar.recipes.students import PreparedTeacher, frozen_teacher, prepare_teacher, train_one
from attar.recipes.targets import labelling_of
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


def label_block(
    run: str, name: str, folder: str, view: int, number: int, rows_per_shard: int, progress: Progress
) -> None:
    """Make one block of a store of targets; what a worker process is asked for.

    Args:
        run: The run, as `attar.recipes.parallel` describes it.
        name: Of the node that stores the targets.
        folder: Where blocks are until they are in the store.
        view: Number of the view.
        number: Of the block in it.
        rows_per_shard: How many examples a block has.
        progress: Sees it.
    """
    labelling = _labelling(run, name)
    labelling = replace(labelling, manifest=replace(labelling.manifest, rows_per_shard=rows_per_shard))
    shard = shard_of(labelling, {"view": view, "number": number})
    make_block(Nodes(Path(folder)), labelling, shard, progress)


def evaluate(run: str, proposal: str, progress: Progress, train: bool = True) -> None:
    """Evaluate a proposal of a run's search; what a worker process is asked for.

    Args:
        run: The run, as `attar.recipes.parallel` describes it.
        proposal: The proposal, as JSON.
        progress: Sees it.
        train: Whether it is trained, too; otherwise it is measured, and another worker trains it.
    """
    evaluator = _evaluator(run)
    with progress("evaluate a proposal", 0) as advance:
        advance(0)  # from here on its time counts
    about = Proposal.from_json(json.loads(proposal), evaluator.allow)
    if train:
        evaluator(about, progress)
    else:
        evaluator.untrained(about)


@functools.lru_cache(maxsize=1)
def _evaluator(run: str) -> Evaluator:
    """What evaluates the proposals of a run, whose teacher and targets are there."""
    return evaluator_of(_opened(run), _prepared(run))


@functools.lru_cache(maxsize=1)
def _labelling(run: str, name: str) -> Labelling:
    """The teacher of a run, or a member of it, about to be asked about the transfer set."""
    context = _opened(run)
    frozen = frozen_teacher(context)
    return labelling_of(context, name, frozen.teacher, frozen.examples.transfer)


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
