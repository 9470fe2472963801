"""A transfer set labelled by several workers at once: each makes blocks of the store, and one process puts them in.

A block is a node in a folder of its own, whoever makes it: the process that asks, worker processes on this machine, or
workers of a cluster. Each asks the teacher with one thread, in the same batches, so that the store is bit for bit that
of one process with one thread, on processors of one kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attar.data.store.fidelity import Fidelity
from attar.data.store.filling import Block, Found
from attar.data.store.labelling import Labelling
from attar.data.store.manifest import Shard
from attar.pipeline.nodes import Node, Nodes, NotFinished
from attar.pipeline.turns import Turns
from attar.pipeline.worker import Job
from attar.pipeline.workers import Workers
from attar.training.progress import Progress
from attar.training.threads import using_threads
from attar.workspace import write_file

_DATA = "block.parquet"


@dataclass(frozen=True)
class LabelBlocks:
    """What workers of a cluster do to label.

    Attributes:
        labelling: What all blocks have in common.
    """

    labelling: Labelling

    def __call__(
        self,
        arguments: Mapping[str, Any],
        given: Mapping[str, bytes],
        nodes: Nodes,
        turns: Turns | None,
        progress: Progress,
    ) -> None:
        """Make one block."""
        training = progress if turns is None else turns.training(progress)
        make_block(nodes, self.labelling, shard_of(self.labelling, arguments), training)


def shard_of(labelling: Labelling, arguments: Mapping[str, Any]) -> Shard:
    """The shard that a job is about."""
    return next(
        shard
        for shard in labelling.manifest.shards()
        if (shard.view, shard.number) == (arguments["view"], arguments["number"])
    )


def make_block(nodes: Nodes, labelling: Labelling, shard: Shard, progress: Progress) -> Node:
    """One block as a node, or found made.

    Args:
        nodes: Where blocks are until they are in the store.
        labelling: What it is a part of.
        shard: Which.
        progress: Sees it.
    """

    def work(folder: Path) -> dict[str, Any]:
        with using_threads(1):
            block = labelling.block(shard, progress)
        write_file(folder / _DATA, block.data)
        return {"fidelities": [asdict(one) for one in block.fidelities]}

    manifest = labelling.manifest
    inputs = {
        "fingerprints": dict(manifest.fingerprints),
        "top_k": manifest.top_k,
        "dtype": manifest.dtype,
        "rows_per_shard": manifest.rows_per_shard,
        "temperatures": list(labelling.temperatures),
        "batch_size": labelling.batch_size,
    }
    return nodes.node(f"{shard.view}/{shard.number}", inputs, work)


def blocks_by(
    workers: Workers,
    labelling: Labelling,
    missing: Sequence[Shard],
    nodes: Nodes,
    job_of: Callable[[Shard], Job],
    progress: Progress,
    *,
    worthwhile: float,
) -> Found:
    """Have blocks made by workers, if there are several and it is worth it.

    Args:
        workers: Who makes them, this process among them.
        labelling: What they are a part of.
        missing: Which.
        nodes: Where they are until they are in the store.
        job_of: What a worker does for one of them: it makes the node that `make_block` makes.
        progress: Sees all of it.
        worthwhile: Where workers are to be started only if that pays, seconds from which on it does.

    Returns:
        What was made.
    """
    look = nodes.finished_only()

    def found(shard: Shard) -> Block | None:
        try:
            node = make_block(look, labelling, shard, progress)
        except NotFinished:
            return None
        return Block((node.folder / _DATA).read_bytes(), [Fidelity(**one) for one in node.result["fidelities"]])

    left = [shard for shard in missing if found(shard) is None]
    if len(left) > 1 and workers.only_if_worthwhile:
        start = time.perf_counter()
        make_block(nodes, labelling, left.pop(0), progress)
        if (time.perf_counter() - start) * len(left) < worthwhile:
            return found
    if len(left) > 1:
        jobs = [job_of(shard) for shard in left]
        title = f"label {len(left)} blocks, {min(workers.count, len(left))} at once"
        shards = dict(zip((job.name for job in jobs), left, strict=True))
        workers.do(jobs, lambda job, bar: make_block(nodes, labelling, shards[job.name], bar), progress, title)
    return found
