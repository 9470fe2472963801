"""What the teacher of a run gives for the transfer set: stored once, or asked for in every step."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attar.data.split import Split
from attar.data.store import Targets, label, merge
from attar.data.store.labelling import Labelling
from attar.data.transfer_set import Live, TargetSource
from attar.data.unaugmented import UnaugmentedTargets
from attar.data.views import UNCHANGED, Views
from attar.deployment.backends.backend import Runner
from attar.evidence.measure import predict_all
from attar.pipeline.nodes import Node
from attar.recipes.context import Context
from attar.recipes.parallel_labelling import shared
from attar.teachers.ensemble import Ensemble
from attar.teachers.teacher import Teacher

_TARGETS, _MEMBERS = "targets", "targets-of/"
"""The node of the targets that students learn from, and the folder of those of the members of an ensemble."""

_BLOCKS = "blocks"
"""The folder of a node in which blocks of a store are that several workers make."""

_STORE = "store"
"""The folder of a node in which targets are; one that a killed attempt left is gone on with."""

_MOST_FILES = 1000
"""Files of one store, at most, where each holds as many examples as the teacher sees at once."""


def targets_of(
    context: Context, teacher: Teacher, split: Split | None = None
) -> tuple[TargetSource, Views, Node | None]:
    """The targets of a teacher: stored, with the node that stored them, or those of a live teacher.

    Args:
        context: The run.
        teacher: Whom to ask.
        split: What about; the training examples if left out.
    """
    transfer = context.recipe.transfer
    views = transfer.views.views(context.recipe.seed)
    train = context.dataset.train if split is None else split
    labeled = _labeled_views(context)
    once = not transfer.label_views and not views.identity
    if not transfer.cached:
        return UnaugmentedTargets(Live(teacher), train) if once else Live(teacher), views, None
    if transfer.per_teacher and isinstance(teacher, Ensemble):
        node = _merged(context, teacher, train, labeled)
    else:
        node = _labelled(context, _TARGETS, teacher, train, labeled)
    stored = Targets.open(node.folder / _STORE, train, labeled, teacher.fingerprint())
    return UnaugmentedTargets(stored, train) if once else stored, views, node


def labelling_of(context: Context, name: str, teacher: Teacher, split: Split | None) -> Labelling:
    """What all blocks of a store of targets have in common, for a worker that makes some.

    Args:
        context: The run.
        name: Of the node that stores them.
        teacher: Of the run; a member of it where the node stores that one's targets.
        split: What about; the training examples if left out.
    """
    if name != _TARGETS:
        assert isinstance(teacher, Ensemble), "only an ensemble has members"
        teacher = teacher.members[int(name.removeprefix(_MEMBERS))]
    train = context.dataset.train if split is None else split
    return Labelling.of(
        teacher, train, views=_labeled_views(context), **_coding(context), **_blocks(context, len(train))
    )


def _labeled_views(context: Context) -> Views:
    """The views in which the teacher is asked."""
    views = context.recipe.transfer.views.views(context.recipe.seed)
    return views if context.recipe.transfer.label_views or views.identity else UNCHANGED


def _coding(context: Context) -> dict[str, Any]:
    """How targets are stored."""
    transfer = context.recipe.transfer
    return {"top_k": transfer.top_k, "dtype": transfer.dtype, "temperature": context.recipe.temperature}


def _labelled(context: Context, name: str, teacher: Teacher, split: Split, views: Views) -> Node:
    """The node in which one teacher is asked about a split."""
    transfer = context.recipe.transfer

    def work(folder: Path) -> dict[str, Any]:
        stored = label(
            teacher,
            split,
            folder / _STORE,
            views=views,
            progress=context.progress,
            share=shared(context, name, folder / _BLOCKS),
            **_coding(context),
            **_blocks(context, len(split)),
        )
        return _figures(context, stored)

    inputs = {
        "teacher": teacher.fingerprint(),
        "networks": context.recipe.teacher.given_networks,
        "data": split.fingerprint(),
        "views": views.fingerprint(),
        "top_k": transfer.top_k,
        "dtype": transfer.dtype,
    }
    return context.nodes.node(name, inputs, work, resumable=[_STORE], scratch=[_BLOCKS])


def _blocks(context: Context, rows: int) -> dict[str, Any]:
    """How many examples the teacher sees at once, and how many a killed pass loses, where the recipe says so."""
    at_once = context.recipe.teacher.rows_at_once
    if at_once is None:
        return {}
    # A file for each block, but not more files than a folder takes well.
    return {"batch_size": at_once, "rows_per_shard": at_once * math.ceil(rows / (at_once * _MOST_FILES))}


def outputs_on(context: Context, runner: Runner, slow: Teacher | None, role: str) -> NDArray[np.float32]:
    """Logits ``[n, ...]`` of a model on one part of the data; a slow teacher is asked once, and what it gives is kept.

    Args:
        context: The run.
        runner: The model.
        slow: The teacher, where the model is one that is asked in blocks.
        role: ``validation`` or ``test``.
    """
    split, teacher = context.dataset.splits()[role], slow
    if teacher is None:
        return predict_all(runner, split, progress=context.progress)

    def work(folder: Path) -> dict[str, Any]:
        label(teacher, split, folder / _STORE, progress=context.progress, **_blocks(context, len(split)))
        return {}

    inputs = {"teacher": teacher.fingerprint(), "data": split.fingerprint()}
    node = context.nodes.node(f"answers/{role}", inputs, work, resumable=[_STORE])
    stored = Targets.open(node.folder / _STORE, split)(None, torch.arange(len(split)), 0)
    assert isinstance(stored, torch.Tensor), "nothing is left out"
    return stored.numpy()


def _merged(context: Context, teacher: Ensemble, split: Split, views: Views) -> Node:
    """The node that averages the targets of all members of an ensemble, each asked in a node of its own."""
    transfer = context.recipe.transfer
    nodes = [
        _labelled(context, f"{_MEMBERS}{index}", member, split, views) for index, member in enumerate(teacher.members)
    ]

    def work(folder: Path) -> dict[str, Any]:
        merged = merge(
            [node.folder / _STORE for node in nodes],
            folder / _STORE,
            mean=teacher.mean,
            weights=teacher.given,
            top_k=transfer.top_k,
            dtype=transfer.dtype,
            temperature=context.recipe.temperature,
            progress=context.progress,
        )
        return {**_figures(context, merged), "members": [node.seconds for node in nodes]}

    inputs = {"teacher": teacher.fingerprint()}
    return context.nodes.node(_TARGETS, inputs, work, parents=nodes, resumable=[_STORE])


def _figures(context: Context, stored: Targets) -> dict[str, Any]:
    """What a report shows of a store."""
    fidelity = stored.fidelity(context.recipe.temperature)
    return {
        "rows": len(stored),
        "views": stored.views,
        "kind": stored.kind,
        "size_bytes": stored.size_bytes,
        "bytes_per_example": stored.bytes_per_example,
        "dtype": stored.dtype,
        "top_k": stored.top_k,
        **({} if fidelity is None else dataclasses.asdict(fidelity)),
    }
