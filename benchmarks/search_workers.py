"""How many proposals does a search try in an hour, in one process and by worker processes?

    python benchmarks/search_workers.py                       # 48 perceptrons on digits, one process and two workers
    python benchmarks/search_workers.py --proposals 12 --rounds 1 --out search_workers.json

Each round does the same search twice, in turn, into folders of their own: in this process, and by workers. Every
proposal is measured untrained (written as ONNX, timed while nobody else computes) and trained on labels. The clock runs
from before workers are started to the last result; loading the data is no part of it. All trials are compared: they
must be the same, but for what a clock says.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from result import RESULTS, write

from attar.budget import Limit
from attar.data.datasets import load
from attar.data.split import Dataset
from attar.data.views import UNCHANGED
from attar.network.spec import Spec
from attar.pipeline.nodes import Nodes
from attar.pipeline.objective import usual_objective
from attar.pipeline.step import Tools
from attar.pipeline.turns import Turns
from attar.pipeline.worker import Job
from attar.pipeline.workers import available
from attar.search.evaluate import Evaluator
from attar.search.goal import Goal
from attar.search.meter import Meter
from attar.search.pool import Here
from attar.search.processes import Processes
from attar.search.proposal import Proposal, Trial
from attar.search.search import search
from attar.training.progress import Progress
from attar.training.settings import Training

AIM = 0.9
WHAT = (
    "Wall-clock seconds of a search of perceptrons on digits, in this process ('alone') and by worker processes "
    "('workers', their start with it), in turns. Efficiency is alone over workers times their number, a round each. "
    "The claim is met where the worst round is."
)
GOAL = Goal(limits=(Limit.read("quality_loss", "2%"),), prefer="bytes", teacher={"quality_loss": 0.98})


@cache
def digits() -> Dataset:
    """The data, loaded once in each process."""
    return load("digits")


def evaluator(folder: Path, epochs: int) -> Evaluator:
    """Evaluates in a folder."""
    dataset, nodes = digits(), Nodes(folder)
    return Evaluator(
        tools=Tools(dataset=dataset, dataset_key=dataset.fingerprint(), views=UNCHANGED),
        objective=usual_objective(dataset.task),
        training=Training(epochs=epochs, batch_size=64, learning_rate=0.1),
        goal=GOAL,
        meter=Meter(dataset=dataset, goal=GOAL, nodes=nodes, turns=Turns(folder / "times")),
        nodes=nodes,
    )


def evaluate(folder: str, epochs: int, proposal: dict[str, Any], progress: Progress) -> None:
    """What a worker does."""
    evaluator(Path(folder), epochs)(Proposal.from_json(proposal), progress)


@dataclass(frozen=True)
class Drawn:
    """Perceptrons of two layers, their widths drawn with a seed, in batches."""

    count: int
    epochs: int
    seed: int
    batch: int = 8

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """The next batch."""
        draw = np.random.default_rng(self.seed)
        widths = draw.integers(16, 256, size=(self.count, 2)).tolist()
        specs = [
            Spec("attar.network.architectures:mlp", {"inputs": 64, "classes": 10, "hidden": pair}) for pair in widths
        ]
        return [Proposal(spec=one, epochs=self.epochs) for one in specs[len(history) :][: self.batch]]


def searched(strategy: Drawn, workers: int, folder: Path) -> tuple[float, list[Any]]:
    """Seconds, and the trials without what a clock says; without workers, in this process."""
    own = evaluator(folder, strategy.epochs)

    def job(proposal: Proposal) -> Job:
        arguments = {"folder": str(folder), "epochs": strategy.epochs, "proposal": proposal.to_json()}
        return Job(proposal.key, "search_workers:evaluate", arguments, own.size(proposal))

    start = time.perf_counter()
    with Processes(workers, job) if workers else nullcontext(Here(own)) as pool:
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


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proposals", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--workers", type=int, default=available())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "search_workers.json")
    asked = parser.parse_args()
    strategy = Drawn(asked.proposals, asked.epochs, asked.seed)
    digits()
    seconds: dict[str, list[float]] = {"alone": [], "workers": []}
    trials: list[list[Any]] = []
    for round_ in range(asked.rounds):
        for name, count in (("alone", 0), ("workers", asked.workers)):
            with tempfile.TemporaryDirectory() as folder:
                taken, found = searched(strategy, count, Path(folder) / "run")
            seconds[name].append(taken)
            trials.append(found)
            print(
                f"round {round_}, {name}: {taken:.1f} s, {3600 * len(found) / taken:.0f} proposals an hour", flush=True
            )
    efficiency = [
        alone / (asked.workers * with_them)
        for alone, with_them in zip(seconds["alone"], seconds["workers"], strict=True)
    ]
    same = all(one == trials[0] for one in trials)
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        settings={name: getattr(asked, name) for name in ("proposals", "epochs", "workers", "rounds")},
        claims=[
            {
                "claim": f"{asked.workers} workers try {AIM} of so many times as many proposals in an hour",
                "aim": AIM,
                "reached": median(efficiency),
                "interval": [min(efficiency), max(efficiency)],
                "met": min(efficiency) >= AIM,
            },
            {"claim": "with workers all trials are the same", "aim": True, "reached": same, "met": same},
        ],
        summary={
            "efficiency": efficiency,
            "proposals_an_hour": {name: 3600 * asked.proposals / median(taken) for name, taken in seconds.items()},
        },
        raw={"seconds": seconds, "load_average": os.getloadavg()[0]},
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
