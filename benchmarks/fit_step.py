"""What the loop itself costs: a step of `attar.training.fit.fit` on small students, against a bare PyTorch loop.

    python benchmarks/fit_step.py            # about three minutes on one thread
    python benchmarks/fit_step.py --rounds 9 --steps 20 --students 16-16-10 --out quick.json

Both loops train a copy of the same student on the same examples, soft targets and labels, with the same optimizer, and
take turns as step_times.py says.
"""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from step_times import EPOCHS, Stamps, arguments, asked_of, claim, race_of, save, shown, timed
from torch import Tensor, nn
from torch.nn import functional

from attar.data.split import Split
from attar.data.store import label
from attar.data.transfer_set import TransferSet
from attar.network.architectures import convnet, mlp
from attar.network.cost import cost
from attar.tasks.classification import Classification
from attar.teachers.teacher import NetworkTeacher
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

AIM = 1.1
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


def raced(name: str, rounds: int, steps: int, batch: int) -> tuple[dict[str, np.ndarray], int]:
    """``[rounds, steps]`` milliseconds of each contender, and the student's multiply-adds for one example."""
    build, shape = STUDENTS[name]
    count = steps * batch
    task = Classification(tuple("abcdefghij"[:CLASSES]))
    split = Split(torch.rand(count, *shape), torch.randint(CLASSES, (count,)), torch.arange(count), task)
    assert split.labels is not None
    student, labels = build(), split.labels
    losses: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        stored = label(NetworkTeacher(build(), classes=CLASSES), split, Path(folder) / "store")
        targets = stored(None, torch.arange(count), 0)
        assert isinstance(targets, Tensor)
        data = TransferSet(split, targets=stored)

        def stamped(run: str, loop: Callable[[Stamps], float]) -> Callable[[], Stamps]:
            def train() -> Stamps:
                stamps = Stamps()
                losses[run] = loop(stamps)
                return stamps

            return train

        def bare_in(layout: torch.memory_format) -> Callable[[Stamps], float]:
            inputs = split.inputs.contiguous(memory_format=layout)
            return lambda stamps: bare(
                copy.deepcopy(student).to(memory_format=layout), inputs, labels, targets, batch, stamps
            )

        loops = {"bare": bare_in(torch.contiguous_format), "fit": lambda stamps: attar(student, data, batch, stamps)}
        if len(shape) == 3:
            loops["bare, channels last"] = bare_in(torch.channels_last)
        found = timed({run: stamped(run, loop) for run, loop in loops.items()}, rounds)
    if not np.allclose(losses["fit"], losses["bare"], rtol=0.02):
        raise SystemExit(f"fit does not minimize what the bare loop does: {losses}")
    return found, cost(student, split.inputs[:1]).macs


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__, "fit_step", rounds=81, steps=16, batch=128)
    parser.add_argument("--students", nargs="+", choices=list(STUDENTS), default=list(STUDENTS))
    asked = asked_of(parser)
    summary: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    claims: list[dict[str, Any]] = []
    for name in asked.students:
        found, macs = raced(name, asked.rounds, asked.steps, asked.batch)
        race, medians = race_of(found)
        fastest = min((run for run in medians if run != "fit"), key=medians.__getitem__)
        ratio = race.ratio("fit", fastest)
        summary[name] = {
            "macs": macs,
            "step_ms": medians,
            "reference": fastest,
            "times_as_long_as_bare": ratio.to_json(),
        }
        raw[name] = {run: np.round(values, 5).tolist() for run, values in race.rounds_ms.items()}
        text = f"a step of fit on the student {name} takes at most {AIM} times that of a bare loop"
        claims.append(claim(text, ratio, AIM))
        took = ", ".join(f"{run} {value * 1000:.0f}" for run, value in medians.items())
        print(f"{name:<20}{shown(ratio)}   microseconds: {took}", flush=True)
    packages = ("lightning-fabric", "pyarrow")
    settings = {"optimizer": OPTIMIZER}
    save(asked, what=WHAT, packages=packages, settings=settings, claims=claims, summary=summary, raw=raw)


if __name__ == "__main__":
    main()
