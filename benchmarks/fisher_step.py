"""What the Fisher signal costs: a step of `attar.training.fit.fit` with it, against the same step without.

    python benchmarks/fisher_step.py         # about five minutes on one thread
    python benchmarks/fisher_step.py --rounds 9 --steps 4 --networks lenet5 --out quick.json

Contenders take turns as step_times.py says.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from residual_networks import NETWORKS
from step_times import EPOCHS, Stamps, arguments, asked_of, claim, race_of, save, shown, timed

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.network.cost import cost
from attar.pruning.group import Groups
from attar.pruning.groups import find_groups
from attar.pruning.importance.importance import Estimate
from attar.pruning.importance.named import IMPORTANCE
from attar.tasks.classification import Classification
from attar.training.callbacks import TrainState
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.settings import Training

AIM = 1.5
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


class Watched(Stamps):
    """Takes up each step in a signal, where there is one."""

    def __init__(self, signal: str | None, groups: Groups) -> None:
        super().__init__()
        self._signal, self._groups = signal, groups
        self.estimate: Estimate | None = None

    def on_start(self, state: TrainState) -> None:
        if self._signal is not None:
            self.estimate = IMPORTANCE[self._signal].start(state.model, self._groups)

    def before_step(self, state: TrainState) -> None:
        if self.estimate is not None:
            self.estimate.add(state.count)


def contenders(
    name: str, signals: list[str], steps: int, batch: int
) -> tuple[dict[str, Callable[[], Stamps]], dict[str, Any]]:
    """A network trained without a signal and with each, and what the network is like."""
    count = steps * batch
    task = Classification(tuple("abcdefghij"[:CLASSES]))
    split = Split(torch.rand(count, 1, SIZE, SIZE), torch.randint(CLASSES, (count,)), torch.arange(count), task)
    data = TransferSet(split)
    network = NETWORKS[name]()
    groups = find_groups(network, split.inputs[:2])
    objective = Objective({"hard": Term(loss=HardLabels())})
    settings = Training(epochs=EPOCHS, batch_size=batch, learning_rate=0.0025, schedule="constant")

    def with_signal(signal: str | None) -> Callable[[], Stamps]:
        def train() -> Stamps:
            watched = Watched(signal, groups)
            fit(network, objective, data, settings=settings, callbacks=[watched])
            return watched

        return train

    about = {
        "macs": cost(network, split.inputs[:1]).macs,
        "groups": len(groups.groups),
        "units": sum(group.units for group in groups.groups),
    }
    return {"without": with_signal(None), **{signal: with_signal(signal) for signal in signals}}, about


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__, "fisher_step", rounds=31, steps=5, batch=64)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=["group_fisher", "taylor"])
    asked = asked_of(parser)
    summary: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    claims: list[dict[str, Any]] = []
    for name in asked.networks:
        trained, about = contenders(name, asked.signals, asked.steps, asked.batch)
        race, medians = race_of(timed(trained, asked.rounds))
        ratios = {signal: race.ratio(signal, "without") for signal in asked.signals}
        summary[name] = {
            **about,
            "step_ms": medians,
            "times_as_long_as_without": {signal: ratio.to_json() for signal, ratio in ratios.items()},
        }
        raw[name] = {contender: np.round(values, 4).tolist() for contender, values in race.rounds_ms.items()}
        for signal, ratio in ratios.items():
            text = f"{name}: a step with {signal} takes so many times that of one without"
            claims.append(claim(text, ratio, AIM if signal == "group_fisher" else None))
            print(f"{name:<12}{signal:<14}{shown(ratio)}", flush=True)
        print("  milliseconds: " + ", ".join(f"{contender} {value:.2f}" for contender, value in medians.items()))
    save(asked, what=WHAT, settings={"input": [1, SIZE, SIZE]}, claims=claims, summary=summary, raw=raw)


if __name__ == "__main__":
    main()
