"""Proposals evaluated on a Ray cluster: measured on the machine that asks, trained wherever there is a core.

What a student takes holds for the machine of whoever has the budget. So one process on this machine measures each
proposal untrained, and what breaks the budget never leaves it; the others get their first weights from here, are
trained by workers of the cluster on the data and the stored targets that all workers were sent once, and come back as
finished nodes, of which the process on this machine makes the outcome. Trials are those of one process.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attar.data.transfer_set import Live
from attar.data.unaugmented import UnaugmentedTargets
from attar.errors import BadInput
from attar.models.model import MODEL, load_model, save_model
from attar.pipeline.cluster import Cluster, Sent
from attar.pipeline.cluster_worker import ClusterWorker
from attar.pipeline.nodes import Nodes
from attar.pipeline.runner import run_steps
from attar.pipeline.step import Tools
from attar.pipeline.turns import Turns
from attar.pipeline.worker import Job, WorkerEnded, WorkerProcess
from attar.search.evaluate import FOLDER, Evaluator, steps_of, tools_of
from attar.search.processes import JobOf, Processes
from attar.search.proposal import Proposal
from attar.training.objective import Objective
from attar.training.progress import Progress, silent
from attar.training.settings import Training
from attar.workspace import scratch


@dataclass(frozen=True)
class Train:
    """What a worker of the cluster does with a proposal: its steps, and nothing that is timed.

    Attributes:
        tools: What trainings use that see all examples.
        subset: What those use that see a part of them; None where none does.
        objective: What students minimize.
        training: How they are trained.
        allow: Packages whose functions may build networks.
    """

    tools: Tools
    subset: Tools | None
    objective: Objective
    training: Training
    allow: Collection[str]

    @classmethod
    def of(cls, evaluator: Evaluator) -> Train:
        """The trainings of a search.

        Raises:
            BadInput: If they ask the teacher, which only the process that asks can.
        """
        teacher = evaluator.tools.teacher
        source = None if teacher is None else teacher.targets
        source = source.targets if isinstance(source, UnaugmentedTargets) else source
        if isinstance(source, Live):
            raise BadInput(
                "transfer.cached must be true for a search on a Ray cluster: workers get the teacher's targets as they "
                "are stored, and not the teacher. Leave it out, or leave out --ray."
            )

        def bare(tools: Tools) -> Tools:
            return replace(tools, progress=silent, watch=None, threads=None, turns=None, folder=None)

        subset = None if evaluator.subset is None else bare(evaluator.subset)
        return cls(bare(evaluator.tools), subset, evaluator.objective, evaluator.training, tuple(evaluator.allow))

    def __call__(
        self,
        arguments: Mapping[str, Any],
        given: Mapping[str, bytes],
        nodes: Nodes,
        turns: Turns | None,
        progress: Progress,
    ) -> None:
        """Train one proposal, beginning with the weights that came with it."""
        proposal = Proposal.from_json(arguments["proposal"], self.allow)
        tools = tools_of(proposal, self.tools, self.subset, progress, turns)
        with scratch(nodes.folder) as folder:
            (folder / MODEL).write_bytes(given[MODEL])
            first = load_model(folder, self.allow, seed=tools.seed)
        steps = steps_of(proposal, self.objective, self.training)
        run_steps(steps, first, tools, nodes, name=f"{FOLDER}/{proposal.key}", allow=self.allow)


@contextmanager
def on_cluster(
    cluster: Cluster, evaluator: Evaluator, job_of: JobOf, beside: Collection[Path] = ()
) -> Iterator[Processes]:
    """A pool whose proposals are trained by a Ray cluster.

    One whose worker dies begins again on another, from its first step: its checkpoints are gone with the worker.

    Args:
        cluster: Which has the workers.
        evaluator: Of the search.
        job_of: What a process on this machine does to have `Evaluator.untrained` of a proposal.
        beside: Folders with modules of the user's, which go with what workers are sent.

    Raises:
        BadInput: If workers cannot do it.
    """
    sent, here = cluster.sent(Train.of(evaluator), beside), _Here()

    def start() -> _TrainedElsewhere:
        return _TrainedElsewhere(sent, evaluator, here)

    def job(proposal: Proposal) -> Job:
        return _ProposalJob(**vars(job_of(proposal)), proposal=proposal)

    try:
        with Processes(cluster.count, job, start=start) as pool:
            yield pool
    finally:
        here.end()


@dataclass(frozen=True)
class _ProposalJob(Job):
    """A job that is about a proposal."""

    proposal: Proposal


class _Here:
    """The one process on this machine that measures, for one proposal after the other."""

    def __init__(self) -> None:
        self._turn, self._changing = threading.Lock(), threading.Lock()
        self._asked_by: object = None
        self._worker: WorkerProcess | None = None

    def do(self, job: Job, asked_by: object, wanted: Callable[[], bool]) -> str | None:
        """Have it do a job, unless that is not wanted any more when its turn comes.

        Raises:
            WorkerEnded: If it ended meanwhile, or it is not wanted any more.
        """
        with self._turn:
            with self._changing:  # what is not wanted any more when this is over is killed
                if not wanted():
                    raise WorkerEnded
                worker, is_new = self._worker, self._worker is None or not self._worker.alive
                if worker is None or is_new:
                    if worker is not None:
                        worker.end()
                    worker = self._worker = WorkerProcess()
                self._asked_by = asked_by
            try:
                if is_new:
                    worker.ready()
                return worker.do(job, lambda steps: None)
            finally:
                with self._changing:
                    self._asked_by = None

    def kill(self, asked_by: object) -> None:
        """End it, if it does something for this one, which must not want that any more."""
        with self._changing:
            if self._asked_by is asked_by and self._worker is not None:
                self._worker.kill()

    def end(self) -> None:
        """End it, and let go of it; nobody may want anything any more."""
        with self._changing:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()


class _TrainedElsewhere:
    """A worker that measures here and trains on the cluster."""

    _writing = threading.Lock()
    """Held by whoever builds a network in this process."""

    def __init__(self, sent: Sent, evaluator: Evaluator, here: _Here) -> None:
        self._evaluator, self._here = evaluator, here
        self._there = ClusterWorker(sent, evaluator.nodes, evaluator.meter.turns, self._first)

    @property
    def alive(self) -> bool:
        return self._there.alive

    def ready(self) -> None:
        self._there.ready()

    def do(self, job: Job, advance: Callable[[int], None]) -> str | None:
        """Measure it, train it if it may be within the budget, and have its outcome."""
        assert isinstance(job, _ProposalJob), "pools of this module make these"
        raised = self._measured(job)
        if raised is not None or self._evaluator.found(job.proposal) is not None:
            return raised
        raised = self._there.do(replace(job, arguments={"proposal": job.proposal.to_json()}), advance)
        return raised if raised is not None else self._measured(job)

    def kill(self) -> None:
        self._there.kill()
        self._here.kill(self)

    def end(self) -> None:
        self.kill()

    def _measured(self, job: Job) -> str | None:
        return self._here.do(job, self, lambda: self._there.alive)

    def _first(self, job: Job) -> Mapping[str, bytes]:
        """The file of the model that a proposal begins with."""
        assert isinstance(job, _ProposalJob), "given so"
        with self._writing, tempfile.TemporaryDirectory() as folder:
            return {MODEL: save_model(self._evaluator.first(job.proposal), Path(folder)).read_bytes()}
