"""Targets of a run labelled by blocks, by the workers that train its networks or by those of a Ray cluster."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from attar.data.store.filling import Found
from attar.data.store.labelling import Labelling, Share, unshared
from attar.data.store.manifest import Shard
from attar.errors import BadInput
from attar.pipeline.blocks import LabelBlocks, blocks_by
from attar.pipeline.cluster_worker import ClusterWorker
from attar.pipeline.nodes import Nodes
from attar.pipeline.turns import Turns
from attar.pipeline.worker import Job
from attar.pipeline.workers import Workers
from attar.processes import world_size
from attar.recipes.context import Context
from attar.recipes.parallel import WORTHWHILE, run_as_arguments
from attar.training.threads import using_threads

log = logging.getLogger(__name__)

_LABEL = "attar.recipes.worker:label_block"
"""What a worker process is asked to do."""


def shared(context: Context, name: str, folder: Path) -> Share:
    """Who makes blocks of a store.

    Worker processes on this machine share the work where the run has one thread, as they have one each: several would
    add up some numbers in another order. On a cluster every worker has one, whatever this process has.

    Args:
        context: The run.
        name: Of the node that stores the targets.
        folder: In which blocks are until they are in the store.
    """
    workers = context.workers
    if context.device != "cpu" or world_size() > 1:
        return unshared
    if context.cluster is not None:
        return lambda labelling, missing: _on_cluster(context, name, folder, labelling, missing)
    if workers is None or workers.count < 2 or torch.get_num_threads() > 1:
        return unshared
    return lambda labelling, missing: _by(workers, context, name, folder, labelling, missing)


def _by(
    workers: Workers, context: Context, name: str, folder: Path, labelling: Labelling, missing: Sequence[Shard]
) -> Found:
    run = run_as_arguments(context)

    def job_of(shard: Shard) -> Job:
        about = {
            "name": name,
            "folder": str(folder.absolute()),
            "view": shard.view,
            "number": shard.number,
            "rows_per_shard": labelling.manifest.rows_per_shard,
        }
        return Job(f"{name}/{shard.name}", _LABEL, {**run, **about}, shard.rows)

    return blocks_by(workers, labelling, missing, Nodes(folder), job_of, context.progress, worthwhile=WORTHWHILE)


def _on_cluster(context: Context, name: str, folder: Path, labelling: Labelling, missing: Sequence[Shard]) -> Found:
    cluster = context.cluster
    assert cluster is not None, "asked for those of a cluster"
    if len(missing) < 2:
        return unshared(labelling, missing)
    with using_threads(1):  # a copy of the teacher that has one thread, like the copies that workers get
        try:
            labelling = replace(labelling, teacher=copy.deepcopy(labelling.teacher))
            sent = cluster.sent(LabelBlocks(labelling), context.beside)
        except (BadInput, TypeError) as error:
            log.info("the teacher is asked here alone: %s", error)
            return unshared(labelling, missing)
        nodes, turns = Nodes(folder), Turns(context.nodes.folder / "times")
        count = cluster.count + 1
        with Workers(count, lambda: ClusterWorker(sent, nodes, turns)) as workers:
            workers.only_if_worthwhile = True
            return _by(workers, context, name, folder, labelling, missing)
