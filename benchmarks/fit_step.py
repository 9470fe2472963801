"""What the loop itself costs: a step of `attar.training.fit.fit` on small students, against a bare PyTorch loop.

    python benchmarks/fit_step.py            # about three minutes on one thread
    python benchmarks/fit_step.py --rounds 9 --steps 20 --students 16-16-10 --out quick.json

Both loops train a copy of the same student on the same examples, soft targets and labels, with the same optimizer. Each
round lets every contender train for two short epochs, in an order that turns from round to round.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from result import RESULTS, write
from torch import Tensor, nn
from torch.nn import functional

from attar.data.split import Split
from attar.data.store import label
from attar.data.transfer_set import TransferSet
from attar.evidence.latency import FEWEST_ROUNDS, Race
from attar.network.architectures import convnet, mlp
from attar.network.cost import cost
from attar.tasks.classification import Classification
from attar.teachers.teacher import NetworkTeacher
from attar.training.callbacks import Callback, TrainState
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

AIM = 1.1
EPOCHS = 2
CLASSES = 10
TEMPERATURE, SOFT, HARD = 4.0, 0.9, 0.1
OPTIMIZER = {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
STUDENTS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "16-16-10": (lambda: mlp(16, CLASSES, [16]), (16,)),
    "784-64-10": (lambda: mlp(784, CLASSES, [64]), (784,)),
    "8x8 convolutional": (lambda: convnet(CLASSES, [12, 24], strides=[1, 2]), (1, 8, 8)),
    "784-800-800-10": (lambda: mlp(784, CLASSES, [800, 800]), (784,)),
}

WHAT = (
    "Milliseconds of CPU time per optimizer step of one distillation (KL at T=4, weight 0.9, times T squared, plus "
    "cross-entropy, weight 0.1; SGD with Nesterov momentum, constant learning rate), one thread, random examples in "
    "memory. 'bare' is the loop that one would write: the rows of a step are picked from tensors of inputs, labels and "
    "the teacher's logits by a permutation, F.kl_div and F.cross_entropy, zero_grad, backward, step, loss.item(); for "
    "the convolutional student it is run in both layouts, and the faster one is what counts. 'fit' is "
    "attar.training.fit.fit on a TransferSet with stored targets, timed between the calls of a callback after each "
    "step. The first step of every epoch is left out. A round's figure is the median of its steps; every ratio is the "
    "median over rounds of the ratio within a round, with its 95% interval."
)


class Stamps(Callback):
    """The process's CPU time, read after each step."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def after_step(self, state: TrainState) -> None:
        self.marks.append(time.process_time())

    def steps_ms(self, per_epoch: int) -> np.ndarray:
        """``[steps]`` milliseconds of the steps but the first of each epoch."""
        gaps = np.diff(self.marks) * 1000
        return gaps[np.arange(len(gaps)) % per_epoch != per_epoch - 1]


def bare(student: nn.Module, inputs: Tensor, labels: Tensor, targets: Tensor, batch: int, stamps: Stamps) -> float:
    """The loop that one would write; the mean loss of the last epoch."""
    optimizer = torch.optim.SGD(student.parameters(), **OPTIMIZER)
    student.train()
    mark = stamps.marks.append
    for _ in range(EPOCHS):
        total = 0.0
        steps = torch.randperm(len(inputs)).split(batch)
        for rows in steps:
            logits = student(inputs[rows])
            soft = functional.kl_div(
                functional.log_softmax(logits / TEMPERATURE, 1),
                functional.softmax(targets[rows] / TEMPERATURE, 1),
                reduction="batchmean",
            )
            loss = SOFT * TEMPERATURE**2 * soft + HARD * functional.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            mark(time.process_time())
    return total / len(steps)


def attar(student: nn.Module, data: TransferSet, batch: int, stamps: Stamps) -> float:
    """Attar's loop; the mean loss of the last epoch."""
    objective = Objective(
        {
            "soft": Term(loss=SoftTargets(temperature=TEMPERATURE), weight=SOFT),
            "hard": Term(loss=HardLabels(), weight=HARD),
        }
    )
    settings = Training(
        epochs=EPOCHS,
        batch_size=batch,
        learning_rate=OPTIMIZER["lr"],
        momentum=OPTIMIZER["momentum"],
        weight_decay=OPTIMIZER["weight_decay"],
        schedule="constant",
    )
    return fit(student, objective, data, settings=settings, callbacks=[stamps]).history[-1].loss


def timed(name: str, rounds: int, steps: int, batch: int) -> tuple[dict[str, np.ndarray], int]:
    """``[rounds]`` milliseconds per step of each contender, and the student's multiply-adds for one example."""
    build, shape = STUDENTS[name]
    count = steps * batch
    task = Classification(tuple("abcdefghij"[:CLASSES]))
    split = Split(torch.rand(count, *shape), torch.randint(CLASSES, (count,)), torch.arange(count), task)
    assert split.labels is not None
    student = build()
    with tempfile.TemporaryDirectory() as folder:
        stored = label(NetworkTeacher(build(), classes=CLASSES), split, Path(folder) / "store")
        targets = stored(None, torch.arange(count), 0)
        assert isinstance(targets, Tensor)
        data = TransferSet(split, targets=stored)
        labels = split.labels

        def bare_in(layout: torch.memory_format) -> Callable[[Stamps], float]:
            inputs = split.inputs.contiguous(memory_format=layout)
            return lambda stamps: bare(
                copy.deepcopy(student).to(memory_format=layout), inputs, labels, targets, batch, stamps
            )

        runs: dict[str, Callable[[Stamps], float]] = {
            "bare": bare_in(torch.contiguous_format),
            "fit": lambda stamps: attar(student, data, batch, stamps),
        }
        if len(shape) == 3:
            runs["bare, channels last"] = bare_in(torch.channels_last)
        taken: dict[str, list[float]] = {run: [] for run in runs}
        losses: dict[str, float] = {}
        names = list(runs)
        for turn, place in itertools.product(range(-1, rounds), range(len(names))):  # round -1 warms up
            run = names[(turn + place) % len(names)]
            gc.collect()
            stamps = Stamps()
            losses[run] = runs[run](stamps)
            if turn >= 0:
                taken[run].append(float(np.median(stamps.steps_ms(steps))))
    if not np.allclose(losses["fit"], losses["bare"], rtol=0.02):
        raise SystemExit(f"fit does not minimize what the bare loop does: {losses}")
    return {run: np.array(values) for run, values in taken.items()}, cost(student, split.inputs[:1]).macs


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=81)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--students", nargs="+", choices=list(STUDENTS), default=list(STUDENTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "fit_step.json")
    asked = parser.parse_args()
    if asked.rounds < FEWEST_ROUNDS or asked.steps < 2:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS} and --steps at least 2")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    summary: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    claims: list[dict[str, Any]] = []
    for name in asked.students:
        rounds_ms, macs = timed(name, asked.rounds, asked.steps, asked.batch)
        medians = {run: float(np.median(values)) for run, values in rounds_ms.items()}
        fastest = min((run for run in medians if run != "fit"), key=medians.__getitem__)
        ratio = Race({}, rounds_ms).ratio("fit", fastest)
        summary[name] = {
            "macs": macs,
            "step_ms": medians,
            "reference": fastest,
            "times_as_long_as_bare": ratio.to_json(),
        }
        raw[name] = {run: np.round(values, 5).tolist() for run, values in rounds_ms.items()}
        low, high = ratio.interval
        claims.append(
            {
                "claim": f"a step of fit on the student {name} takes at most {AIM} times that of a bare loop",
                "aim": AIM,
                "reached": ratio.ratio,
                "interval": [low, high],
                "met": high <= AIM,
            }
        )
        took = ", ".join(f"{run} {value * 1000:.0f}" for run, value in medians.items())
        print(f"{name:<20}{ratio.ratio:.3f} ({low:.3f} to {high:.3f})   microseconds: {took}", flush=True)
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("lightning-fabric", "pyarrow"),
        settings={
            "rounds": asked.rounds,
            "timed_steps_per_round": EPOCHS * (asked.steps - 1),
            "batch": asked.batch,
            "threads": torch.get_num_threads(),
            "optimizer": OPTIMIZER,
        },
        claims=claims,
        summary=summary,
        raw={"step_ms": raw, "load_average": os.getloadavg()[0]},
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
