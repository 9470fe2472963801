"""The step that prunes in real processes: killed for good, and as two that torchrun could have started.

All of them are forked from one interpreter that has everything imported. Times are made up, other ones in each process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

SCRIPT = """
import gc, json, os, signal, socket, sys, traceback
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
import torch
import torch._dynamo  # which the first optimizer imports: half the time of what is forked
from attar.data.datasets import load
from attar.data.split import Dataset
from attar.data.views import UNCHANGED
from attar.evidence.layer_timer import LayerTimer
from attar.models.model import Model
from attar.network.cost import cost
from attar.network.spec import Spec
from attar.network.weights import digest
from attar.pipeline import costs
from attar.pipeline.step import Tools
from attar.pipeline.steps.prune import Prune
from attar.pipeline.turns import Turns
from attar.pruning.latency import NetworkTime
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.settings import Training

digits = load("digits")
few = Dataset(digits.name, digits.train.rows(slice(0, 320)), digits.validation, digits.test, digits.source)
objective = Objective({"hard": Term(loss=HardLabels())})
training = Training(epochs=2, batch_size=32, learning_rate=0.05, checkpoint_seconds=0.0)
spec = Spec("attar.network.architectures:convnet", {"classes": 10, "widths": [6, 8]})


def slow_by(factor):
    def time(self, network):
        millions, slow = cost(network, self._example).macs / 1e6, factor if network[0].out_channels == 6 else 1.0
        return NetworkTime(total=0.01 * slow + millions, layers=millions, others=0.0, unit_ms=1.0)

    costs.Measured._timed = time
    LayerTimer.__call__ = lambda _, shape, cells: [prod(shape.size) * max(1, a) * max(1, b) / 1e6 for a, b in cells]


def prune(folder, to, seconds=1.0, kill=None):
    slow_by(seconds)
    folder.mkdir(exist_ok=True)

    @contextmanager
    def progress(title, total):
        done = 0

        def advance(count):
            nonlocal done
            done += count
            if done == kill:
                os.kill(os.getpid(), signal.SIGKILL)

        yield advance

    torch.manual_seed(0)
    model = Model(spec.build().eval(), spec)
    step = Prune.model_validate({"use": "prune", "to": to, "every": 3}).completed(objective, training)
    tools = Tools(dataset=few, dataset_key="digits", views=UNCHANGED, folder=folder, progress=progress,
                  turns=Turns(folder / "times"))
    made = step.run(model, tools)
    return {"digest": digest(made.model.module), "facts": made.facts,
            "edits": [edit.to_json() for edit in made.model.spec.edits]}


def forked(*works):
    processes = []
    for work, environment in works:
        process = os.fork()
        if not process:
            code = 70
            try:
                os.environ.update(environment)
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            os._exit(code)
        processes.append(process)
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]


def written(path, *arguments, **more):
    return lambda: path.write_text(json.dumps(prune(*arguments, **more)))


here = Path(sys.argv[1])
gc.collect()
gc.freeze()
for name, to, kills in (("macs", {"macs": "0.4x"}, (5,)), ("latency", {"latency": "0.02 ms"}, (4, 12))):
    codes = forked((written(here / f"{name}.whole", here / f"{name} whole", to), {}))
    for place, kill in enumerate(kills):  # one process after the other, each slower than the one before
        codes += forked((lambda: prune(here / f"{name} killed", to, 1 + place, kill), {}))
    codes += forked((written(here / f"{name}.killed", here / f"{name} killed", to, 1 + len(kills)), {}))
    (here / f"{name}.codes").write_text(json.dumps(codes))


def in_turn(rank):
    def work():
        for name, to in (("macs", {"macs": "0.4x"}), ("latency", {"latency": "0.5x"})):
            written(here / f"{name}.{rank}", here / f"{name} both", to, 1 + rank)()
        written(here / f"rounds.{rank}", here / "rounds", {"quality_loss": "9%", "rounds": 1}, 1 + rank)()

    return work


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    torchrun = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
codes = forked(*((in_turn(rank), {**torchrun, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)))
(here / "ranks.codes").write_text(json.dumps(codes))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What the processes wrote, by name."""
    folder = tmp_path_factory.mktemp("processes")
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    def read(name: str) -> Any:
        path = folder / name
        assert path.is_file(), done.stderr
        return json.loads(path.read_text(encoding="utf-8"))

    return read


@pytest.mark.parametrize("what", ["macs", "latency"])
def test_a_killed_step_goes_on_to_the_same_network_by_the_same_figures(what: str, found: Callable[[str], Any]) -> None:
    killed = found(f"{what}.codes")[1:-1]
    assert killed == [-9] * len(killed) and killed
    assert found(f"{what}.killed") == found(f"{what}.whole")
    assert found(f"{what}.whole")["facts"]["prune"]["cost"] <= found(f"{what}.whole")["facts"]["prune"]["target"]


@pytest.mark.parametrize("what", ["macs", "latency", "rounds"])
def test_two_processes_remove_what_the_first_decides(what: str, found: Callable[[str], Any]) -> None:
    assert found("ranks.codes") == [0, 0]
    first, second = found(f"{what}.0"), found(f"{what}.1")
    assert first["edits"] and first["edits"] == second["edits"]
    assert first["digest"] == second["digest"]
    for figure in ("full", "target", "cost", "course"):
        assert first["facts"]["prune"][figure] == second["facts"]["prune"][figure]
