"""A search of perceptrons on a few digits that takes seconds: what workers and killed processes of the tests do."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

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
from attar.search.evaluate import Evaluator
from attar.search.goal import Goal
from attar.search.meter import Meter
from attar.search.pool import Here
from attar.search.processes import Processes
from attar.search.proposal import Proposal, Trial
from attar.search.search import SearchResult, search
from attar.training.progress import Progress, silent
from attar.training.settings import Training

MLP = "attar.network.architectures:mlp"

GOAL = Goal(
    limits=(Limit.read("quality_loss", "50%"), Limit.read("bytes", "20 kB")),
    prefer="bytes",
    teacher={"quality_loss": 0.97},
)


@cache
def digits() -> Dataset:
    """320 to train on."""
    whole = load("digits")
    return Dataset(whole.name, whole.train.rows(slice(0, 320)), whole.validation, whole.test, whole.source)


def evaluator(folder: Path, runtimes: Sequence[str] = ("torch",), goal: Goal = GOAL, **rest: Any) -> Evaluator:
    """Evaluates in a folder; torch writes its files soonest."""
    dataset, nodes, turns = digits(), Nodes(folder), Turns(folder / "times")
    return Evaluator(
        tools=Tools(dataset=dataset, dataset_key="a few digits", views=UNCHANGED),
        objective=usual_objective(dataset.task),
        training=Training(epochs=10, batch_size=32, learning_rate=0.1),
        goal=goal,
        meter=Meter(
            dataset=dataset,
            dataset_key="a few digits",
            goal=goal,
            nodes=nodes,
            turns=turns,
            runtimes=runtimes,
            seconds=0.01,
        ),
        nodes=nodes,
        **rest,
    )


def perceptron(*hidden: int, **rest: Any) -> Proposal:
    """A proposal."""
    arguments = {"inputs": 64, "classes": 10, "hidden": list(hidden)}
    return Proposal(spec=Spec(MLP, arguments), **{"epochs": 5, **rest})


def broken() -> None:
    """A network that is none."""
    raise RuntimeError("on purpose")


class Raising(nn.Sequential):
    """A network that raises in its training."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 10))
        self.error = error

    def forward(self, inputs: Any) -> Any:
        if self.training:
            raise self.error
        return super().forward(inputs)


def raising(kind: str) -> nn.Module:
    """A network that raises so in its training."""
    errors = {
        "it makes no sense": ValueError("width must be even"),
        "it reads a file": FileNotFoundError(errno.ENOENT, "No such file or directory", "table.bin"),
        "it asks for too much": MemoryError(),
        "it ends the process": SystemExit(3),
    }
    return Raising(errors[kind])


class Wider:
    """Three widths of which one is too wide and one is none; then the best of them goes on, beside a wider one."""

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        if not history:
            return [perceptron(4), perceptron(400), perceptron(-1), perceptron(8)]
        if len(history) > 4:
            return []
        best = max((one for one in history if one.score is not None), key=lambda one: one.score or 0.0)
        width = best.proposal.spec.arguments["hidden"][0]
        return [perceptron(width, start=best.proposal.key), perceptron(2 * width)]


def evaluate(folder: str, proposal: dict[str, Any], progress: Progress) -> None:
    """What a worker does."""
    evaluator(Path(folder))(Proposal.from_json(proposal), progress)


def measure(folder: str, proposal: dict[str, Any], progress: Progress) -> None:
    """What the process does that measures for workers of a cluster."""
    evaluator(Path(folder)).untrained(Proposal.from_json(proposal))


def run(folder: Path, workers: int = 0, progress: Progress = silent) -> SearchResult:
    """The whole search."""
    own = evaluator(folder)
    if not workers:
        return search(Wider(), own, GOAL, pool=Here(own), progress=progress)

    def job(proposal: Proposal) -> Job:
        arguments = {"folder": str(folder), "proposal": proposal.to_json()}
        return Job(proposal.key, "tiny_search:evaluate", arguments, own.size(proposal))

    with Processes(workers, job) as pool:
        return search(Wider(), own, GOAL, pool=pool, progress=progress)


def told(result: SearchResult) -> list[Any]:
    """The trials as plain values, less what is another one each time."""
    return [
        {
            "number": one.number,
            "proposal": one.proposal.key,
            "state": one.state,
            "reason": one.reason,
            "figures": {name: value for name, value in one.figures.items() if name != "latency"},
        }
        for one in result.trials
    ]


def killed_after(steps: int) -> Progress:
    """A progress that has the process killed after so many optimizer steps."""
    done = 0

    @contextmanager
    def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            nonlocal done
            done += count
            if done >= steps:
                os.kill(os.getpid(), signal.SIGKILL)

        yield advance

    return progress


if __name__ == "__main__":
    run(Path(sys.argv[1]), progress=killed_after(int(sys.argv[2])))
