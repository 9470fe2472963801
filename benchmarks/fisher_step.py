"""What the Fisher signal costs: a step of `attar.training.fit.fit` with it, against the same step without.

    python benchmarks/fisher_step.py         # about five minutes on one thread
    python benchmarks/fisher_step.py --rounds 9 --steps 4 --networks lenet5 --out quick.json

Each round lets every contender train a copy of the same network on the same examples for two short epochs, in an order
that turns from round to round.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from residual_networks import NETWORKS
from result import RESULTS, write

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.evidence.latency import FEWEST_ROUNDS, Race
from attar.network.cost import cost
from attar.pruning.group import Groups
from attar.pruning.groups import find_groups
from attar.pruning.importance.importance import Estimate
from attar.pruning.importance.named import IMPORTANCE
from attar.tasks.classification import Classification
from attar.training.callbacks import Callback, TrainState
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.settings import Training

AIM = 1.5
EPOCHS = 2
CLASSES = 10
SIZE = 28

WHAT = (
    "Milliseconds of CPU time per optimizer step of attar.training.fit.fit (cross-entropy, SGD with momentum, random "
    "images in memory), one thread, timed between the calls of a callback after each step: without a signal, and with "
    "one whose hooks follow all groups of the network that can be pruned and that takes up each step before the "
    "optimizer's. The first step of every epoch is left out. A round's figure is the median of its steps; a ratio is "
    "the median over rounds of the ratio within a round to the step without, with its 95% interval. The aim is that of "
    "group_fisher; taylor takes the same path."
)


SIGNALS = ("group_fisher", "taylor", "weight_fisher")


class Watched(Callback):
    """Takes up each step in a signal, where there is one, and reads the process's CPU time after each step."""

    def __init__(self, signal: str | None, groups: Groups) -> None:
        self.marks: list[float] = []
        self._signal, self._groups = signal, groups
        self.estimate: Estimate | None = None

    def on_start(self, state: TrainState) -> None:
        if self._signal is not None:
            self.estimate = IMPORTANCE[self._signal].start(state.model, self._groups)

    def before_step(self, state: TrainState) -> None:
        if self.estimate is not None:
            self.estimate.add(state.count)

    def after_step(self, state: TrainState) -> None:
        self.marks.append(time.process_time())

    def steps_ms(self, per_epoch: int) -> np.ndarray:
        """``[steps]`` milliseconds of the steps but the first of each epoch."""
        gaps = np.diff(self.marks) * 1000
        return gaps[np.arange(len(gaps)) % per_epoch != per_epoch - 1]


def timed(
    name: str, signals: list[str], rounds: int, steps: int, batch: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """``[rounds]`` milliseconds per step of each contender, and what the network is like."""
    count = steps * batch
    task = Classification(tuple("abcdefghij"[:CLASSES]))
    split = Split(torch.rand(count, 1, SIZE, SIZE), torch.randint(CLASSES, (count,)), torch.arange(count), task)
    data = TransferSet(split)
    network = NETWORKS[name]()
    groups = find_groups(network, split.inputs[:2])
    objective = Objective({"hard": Term(loss=HardLabels())})
    settings = Training(epochs=EPOCHS, batch_size=batch, learning_rate=0.0025, schedule="constant")
    contenders: dict[str, str | None] = {"without": None, **{signal: signal for signal in signals}}
    taken: dict[str, list[float]] = {contender: [] for contender in contenders}
    names = list(contenders)
    for turn, place in itertools.product(range(-1, rounds), range(len(names))):  # round -1 warms up
        contender = names[(turn + place) % len(names)]
        gc.collect()
        watched = Watched(contenders[contender], groups)
        fit(network, objective, data, settings=settings, callbacks=[watched])
        if turn >= 0:
            taken[contender].append(float(np.median(watched.steps_ms(steps))))
    about = {
        "macs": cost(network, split.inputs[:1]).macs,
        "groups": len(groups.groups),
        "units": sum(group.units for group in groups.groups),
    }
    return {contender: np.array(values) for contender, values in taken.items()}, about


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--steps", type=int, default=5, help="steps of each of the two epochs of a round")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=["group_fisher", "taylor"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "fisher_step.json")
    asked = parser.parse_args()
    if asked.rounds < FEWEST_ROUNDS or asked.steps < 2:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS} and --steps at least 2")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    summary: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    claims: list[dict[str, Any]] = []
    for name in asked.networks:
        rounds_ms, about = timed(name, asked.signals, asked.rounds, asked.steps, asked.batch)
        medians = {contender: float(np.median(values)) for contender, values in rounds_ms.items()}
        race = Race({}, rounds_ms)
        ratios = {signal: race.ratio(signal, "without") for signal in asked.signals}
        summary[name] = {
            **about,
            "step_ms": medians,
            "times_as_long_as_without": {signal: ratio.to_json() for signal, ratio in ratios.items()},
        }
        raw[name] = {contender: np.round(values, 4).tolist() for contender, values in rounds_ms.items()}
        for signal, ratio in ratios.items():
            low, high = ratio.interval
            aim = AIM if signal == "group_fisher" else None
            claims.append(
                {
                    "claim": f"{name}: a step with {signal} takes so many times that of one without",
                    "aim": aim,
                    "reached": ratio.ratio,
                    "interval": [low, high],
                    "met": None if aim is None else high <= aim,
                }
            )
            print(f"{name:<12}{signal:<14}{ratio.ratio:.3f} ({low:.3f} to {high:.3f})", flush=True)
        print("  milliseconds: " + ", ".join(f"{contender} {value:.2f}" for contender, value in medians.items()))
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("lightning-fabric",),
        settings={
            "rounds": asked.rounds,
            "timed_steps_per_round": EPOCHS * (asked.steps - 1),
            "batch": asked.batch,
            "threads": torch.get_num_threads(),
            "input": [1, SIZE, SIZE],
        },
        claims=claims,
        summary=summary,
        raw={"step_ms": raw, "load_average": os.getloadavg()[0]},
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
