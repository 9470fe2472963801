"""How many proposals does a search try in an hour, in one process, by worker processes, and on a Ray cluster?

    python benchmarks/search_workers.py                       # 40 perceptrons on digits, one process and two workers
    python benchmarks/search_workers.py --ray local           # and by a Ray cluster that is started on this machine
    python benchmarks/search_workers.py --proposals 12 --rounds 1 --out search_workers.json

Each round does the same search in each way, in turn, into folders of their own: in this process, by workers, and by
workers of a cluster. "apart" are as many processes that share nothing, each with its part of the proposals, timed from
where all have begun: what the machine itself gives to two at once, as cores that share caches and power do not give
twice as much. Every proposal is measured untrained (written as ONNX, timed while nobody else computes) and
trained on labels, five to six seconds in all, as one of the recipe digits-budget. All proposals are made at once, as by
the strategies random, grid and given; those that learn from a batch before they make the next one wait for the slowest
of each. The clock runs from before workers are started to the last result; loading the data and starting the
cluster are no part of it. All trials are compared: they must be the same, but for what a clock says.

Ray lets its workers yield to everything else on a machine, unless a cluster is started with RAY_worker_niceness=0, as
the one of "--ray local" is here: otherwise the other ways would have more of the cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_worker_niceness", "0")

import numpy as np
from result import RESULTS, write

from attar.budget import Limit
from attar.data.datasets import load
from attar.data.split import Dataset
from attar.data.views import UNCHANGED
from attar.network.spec import Spec
from attar.pipeline.cluster import Cluster
from attar.pipeline.nodes import Nodes
from attar.pipeline.objective import usual_objective
from attar.pipeline.step import Tools
from attar.pipeline.turns import Turns
from attar.pipeline.worker import Job
from attar.pipeline.workers import available
from attar.search.evaluate import Evaluator
from attar.search.goal import Goal
from attar.search.meter import Meter
from attar.search.on_cluster import on_cluster
from attar.search.pool import Here, Pool
from attar.search.processes import Processes
from attar.search.proposal import Proposal, Trial
from attar.search.search import search
from attar.training.progress import Progress
from attar.training.settings import Training

AIM = 0.9
_LONGEST = 3600.0
"""Seconds after which nobody is waited for."""
WHAT = (
    "Wall-clock seconds of a search of perceptrons on digits, in this process ('alone') and by worker processes "
    "('workers', their start with it) and by those of a Ray cluster ('ray', the same), in turns. Efficiency is alone "
    "over workers times their number, a round each. The claim is met where the worst round is. 'apart' are as many "
    "processes that share nothing, not even their start: more than that no search gets from this machine."
)
GOAL = Goal(limits=(Limit.read("quality_loss", "2%"),), prefer="bytes", teacher={"quality_loss": 0.98})


@cache
def digits() -> Dataset:
    """The data, loaded once in each process."""
    return load("digits")


def evaluator(folder: Path, epochs: int) -> Evaluator:
    """Evaluates in a folder."""
    dataset, nodes = digits(), Nodes(folder)
    key = dataset.fingerprint()
    return Evaluator(
        tools=Tools(dataset=dataset, dataset_key=key, views=UNCHANGED),
        objective=usual_objective(dataset.task),
        training=Training(epochs=epochs, batch_size=64, learning_rate=0.1),
        goal=GOAL,
        meter=Meter(dataset=dataset, dataset_key=key, goal=GOAL, nodes=nodes, turns=Turns(folder / "times")),
        nodes=nodes,
    )


def evaluate(folder: str, epochs: int, proposal: dict[str, Any], progress: Progress) -> None:
    """What a worker does."""
    evaluator(Path(folder), epochs)(Proposal.from_json(proposal), progress)


def measure(folder: str, epochs: int, proposal: dict[str, Any], progress: Progress) -> None:
    """What the one process on this machine does for workers of a cluster."""
    evaluator(Path(folder), epochs).untrained(Proposal.from_json(proposal))


@dataclass(frozen=True)
class Drawn:
    """Perceptrons of two layers, their widths drawn with a seed."""

    count: int
    epochs: int
    seed: int
    first: int = 0
    step: int = 1

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """All that are left."""
        draw = np.random.default_rng(self.seed)
        widths = draw.integers(16, 256, size=(self.count, 2)).tolist()
        specs = [
            Spec("attar.network.architectures:mlp", {"inputs": 64, "classes": 10, "hidden": pair}) for pair in widths
        ][self.first :: self.step]
        return [Proposal(spec=one, epochs=self.epochs) for one in specs[len(history) :]]


def searched(strategy: Drawn, way: str, workers: int, folder: Path, ray: str | None) -> tuple[float, list[Any]]:
    """Seconds, and the trials without what a clock says."""
    own = evaluator(folder, strategy.epochs)

    def job(proposal: Proposal) -> Job:
        arguments = {"folder": str(folder), "epochs": strategy.epochs, "proposal": proposal.to_json()}
        does = "measure" if way == "ray" else "evaluate"
        return Job(proposal.key, f"search_workers:{does}", arguments, own.size(proposal))

    with ExitStack() as opened:
        cluster = opened.enter_context(Cluster(ray, workers)) if ray is not None and way == "ray" else None
        start = time.perf_counter()
        pool: Pool = Here(own)
        if cluster is not None:
            pool = opened.enter_context(on_cluster(cluster, own, job))
        elif way == "workers":
            pool = opened.enter_context(Processes(workers, job))
        found = search(strategy, own, GOAL, pool=pool)
        taken = time.perf_counter() - start
    clocks = ("latency",)
    return taken, [
        [
            one.proposal.key,
            one.state,
            one.reason,
            {name: one.figures[name] for name in one.figures if name not in clocks},
        ]
        for one in found.trials
    ]


def apart(strategy: Drawn, workers: int, folder: Path) -> float:
    """Seconds until the last of some processes that share nothing has searched its part of the proposals."""
    context = multiprocessing.get_context("spawn")
    begun, over = context.Barrier(workers + 1), context.Barrier(workers + 1)
    processes = [
        context.Process(
            target=_one_of, args=(replace(strategy, first=place, step=workers), folder / str(place), begun, over)
        )
        for place in range(workers)
    ]
    for process in processes:
        process.start()
    begun.wait(_LONGEST)
    start = time.perf_counter()
    over.wait(_LONGEST)
    taken = time.perf_counter() - start
    for process in processes:
        process.join()
    return taken


def _one_of(strategy: Drawn, folder: Path, begun: Barrier, over: Barrier) -> None:
    digits()
    begun.wait(_LONGEST)
    searched(strategy, "alone", 1, folder, None)
    over.wait(_LONGEST)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proposals", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--workers", type=int, default=available())
    parser.add_argument("--ray", metavar="ADDRESS", help="of a Ray cluster, or local to start one on this machine")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "search_workers.json")
    asked = parser.parse_args()
    strategy = Drawn(asked.proposals, asked.epochs, asked.seed)
    digits()
    ways = ["alone", "workers"] + ([] if asked.ray is None else ["ray"])
    seconds: dict[str, list[float]] = {way: [] for way in [*ways, "apart"]}
    trials: list[list[Any]] = []
    for round_ in range(asked.rounds):
        for name in ways:
            with tempfile.TemporaryDirectory() as folder:
                taken, found = searched(strategy, name, asked.workers, Path(folder) / "run", asked.ray)
            seconds[name].append(taken)
            trials.append(found)
            print(
                f"round {round_}, {name}: {taken:.1f} s, {3600 * len(found) / taken:.0f} proposals an hour", flush=True
            )
        with tempfile.TemporaryDirectory() as folder:
            seconds["apart"].append(apart(strategy, asked.workers, Path(folder)))
        print(f"round {round_}, apart: {seconds['apart'][-1]:.1f} s", flush=True)
        same = all(one == trials[0] for one in trials)
        print(f"written to {keep(asked, seconds, same)}", flush=True)


def keep(asked: argparse.Namespace, seconds: Mapping[str, Sequence[float]], same: bool) -> Path:
    """Write the result of the rounds that are over.

    Args:
        asked: What the command was asked for.
        seconds: By way, of each round.
        same: Whether all ways have come to the same trials.
    """
    ways = [way for way in seconds if way not in ("alone", "apart")]
    efficiency = {
        way: [alone / (asked.workers * taken) for alone, taken in zip(seconds["alone"], seconds[way], strict=True)]
        for way in [*ways, "apart"]
    }
    return write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        settings={name: getattr(asked, name) for name in ("proposals", "epochs", "workers", "ray")}
        | {"rounds": len(seconds["alone"])},
        claims=[
            *(
                {
                    "claim": f"{asked.workers} workers{' of a Ray cluster' if way == 'ray' else ''} try {AIM} of so "
                    "many times as many proposals in an hour",
                    "aim": AIM,
                    "reached": median(reached),
                    "interval": [min(reached), max(reached)],
                    "met": min(reached) >= AIM,
                }
                for way, reached in efficiency.items()
                if way != "apart"
            ),
            {"claim": "with workers all trials are the same", "aim": True, "reached": same, "met": same},
        ],
        summary={
            "efficiency": efficiency,
            "proposals_an_hour": {name: 3600 * asked.proposals / median(taken) for name, taken in seconds.items()},
        },
        raw={"seconds": seconds, "load_average": os.getloadavg()[0]},
    )


if __name__ == "__main__":
    main()
