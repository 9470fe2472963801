"""What one step of distillation costs: with a live teacher in three ways, from the store, and without any teacher.

    python benchmarks/kd_step.py            # about five minutes on one thread; needs torchdistill, see README.md
    python benchmarks/kd_step.py --rounds 6 --steps 3 --batch 32 --pairs 4x --without-torchdistill --out quick.json

Each round lets every contender train a fresh copy of the same student for two short epochs, in an order that turns from
round to round. Attar's steps are those of `attar.training.fit.fit` itself, stamped by a callback. What
is reported is the median of the ratios within the rounds, with its interval.
"""

from __future__ import annotations

import argparse
import copy
import gc
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from result import RESULTS, write
from torch import Tensor, nn
from torch.nn import functional

from attar.data.datasets import Split, load
from attar.data.store import label
from attar.data.transfer_set import Live, TransferSet
from attar.evidence.latency import FEWEST_ROUNDS, Race
from attar.network.architectures import resnet
from attar.network.cost import cost
from attar.teachers.teacher import NetworkTeacher
from attar.training.callbacks import Callback, TrainState
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

STUDENT = (8, 16, 32)
TEACHERS = {"4x": (16, 32, 64), "16x": (32, 64, 128)}
TEMPERATURE, SOFT, HARD = 4.0, 0.9, 0.1
OPTIMIZER = {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
EPOCHS = 2
JOBS = (10, 30)
AGREE = 2e-3
"""Losses may differ by this share: Attar rounds targets to float16, and layouts sum in another order."""

WHAT = (
    "Milliseconds per optimizer step of one distillation (KL at T=4, weight 0.9, times T squared, plus cross-entropy, "
    "weight 0.1; SGD with Nesterov momentum), one thread, Fashion-MNIST in memory, no augmentation. 'bare' is a plain "
    "PyTorch loop with a live teacher, networks in channels_last; 'bare default layout' is the same loop as most "
    "people write it; 'bare without teacher' minimizes the cross-entropy alone. 'torchdistill' is its DistillationBox "
    "with KDLoss, fed whole batches by its own data loader, networks in channels_last, stepped as its examples do; "
    "'attar live', 'attar store' and 'attar without teacher' are attar.training.fit.fit, timed between the calls of a "
    "callback after each step, so that setup is left out; the last one minimizes the cross-entropy alone. 'label' is "
    "attar.data.store.label on the examples of the round: teacher, files, checksums and reading back. The first "
    "step of every epoch is left out; 'epoch end' is what the gap between two epochs of fit takes beyond a step. A "
    "whole job counts the label pass once (one view) and epochs * steps steps. Every ratio is the median over rounds "
    "of the ratio within a round, with its 95% interval. CPU time is the process's own."
)

Images = tuple[Tensor, Tensor]


class Stamps(Callback):
    """The two clocks, read after each step; also a callback of Attar's loop."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def __call__(self) -> None:
        self.marks.append((time.perf_counter(), time.process_time()))

    def after_step(self, state: TrainState) -> None:
        self()

    def steps_ms(self, per_epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """``[2, steps]`` milliseconds of the steps on both clocks, and ``[2]`` those from epoch to epoch."""
        gaps = np.diff(np.array(self.marks), axis=0).T * 1000
        ends = np.arange(gaps.shape[1]) % per_epoch == per_epoch - 1
        return gaps[:, ~ends], gaps[:, ends].mean(1)


Contender = Callable[[Stamps], list[float]]
"""Trains a fresh copy of the student, stamping each step; gives the mean loss of each epoch."""


@dataclass
class Scene:
    """What all contenders share: the networks, some examples, and the sizes."""

    student: nn.Module
    teacher: nn.Module
    split: Split
    batch: int
    epochs: int
    folder: Path
    images: Images = field(init=False)

    def __post_init__(self) -> None:
        assert self.split.labels is not None
        self.images = (self.split.floats(), self.split.labels)

    @property
    def steps(self) -> int:
        return len(self.split) // self.batch

    def orders(self) -> Iterator[Sequence[Tensor]]:
        """The rows of each step, for each epoch."""
        for _ in range(self.epochs):
            yield torch.randperm(len(self.split)).split(self.batch)


def bare(scene: Scene, layout: torch.memory_format, taught: bool = True) -> Contender:
    """The loop that anybody would write."""

    def distilled(logits: Tensor, inputs: Tensor, truth: Tensor, teacher: nn.Module) -> Tensor:
        with torch.no_grad():
            teacher_output = teacher(inputs)
        soft = functional.kl_div(
            functional.log_softmax(logits / TEMPERATURE, 1),
            functional.softmax(teacher_output / TEMPERATURE, 1),
            reduction="batchmean",
        )
        return SOFT * TEMPERATURE**2 * soft + HARD * functional.cross_entropy(logits, truth)

    def train(stamp: Stamps) -> list[float]:
        student = copy.deepcopy(scene.student).to(memory_format=layout)
        teacher = copy.deepcopy(scene.teacher).to(memory_format=layout).eval()
        optimizer = torch.optim.SGD(student.parameters(), **OPTIMIZER)
        images, labels = scene.images
        losses = []
        for order in scene.orders():
            student.train()
            total = 0.0
            for rows in order:
                inputs, truth = images[rows].contiguous(memory_format=layout), labels[rows]
                logits = student(inputs)
                loss = distilled(logits, inputs, truth, teacher) if taught else functional.cross_entropy(logits, truth)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
                stamp()
            losses.append(total / len(order))
        return losses

    return train


class _Whole(torch.utils.data.Dataset[Images]):
    """In-memory examples that a data loader asks for by the batch, which spares it the work per example."""

    def __init__(self, images: Images) -> None:
        self.images, self.labels = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: list[int]) -> Images:
        return self.images[rows].contiguous(memory_format=torch.channels_last), self.labels[rows]


def torchdistill(scene: Scene) -> Contender:
    """torchdistill's own training box, loss and data loader."""
    from torchdistill.core.distillation import get_distillation_box

    def shuffled(dataset: torch.utils.data.Dataset[Images]) -> torch.utils.data.BatchSampler:
        return torch.utils.data.BatchSampler(torch.utils.data.RandomSampler(dataset), scene.batch, drop_last=False)

    def train(stamp: Stamps) -> list[float]:
        kd = {
            "student_module_path": ".",
            "student_module_io": "output",
            "teacher_module_path": ".",
            "teacher_module_io": "output",
            "temperature": TEMPERATURE,
            "alpha": HARD,
            "beta": SOFT,
        }
        config = {
            "num_epochs": scene.epochs,
            "train_data_loader": {
                "dataset_id": "train",
                "sampler": {"class_or_func": shuffled},
                "kwargs": {"batch_size": None, "num_workers": 0},
            },
            "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
            "student": {"forward_proc": "forward_batch_only", "requires_grad": True},
            "criterion": {
                "key": "WeightedSumLoss",
                "kwargs": {"sub_terms": {"kd": {"criterion": {"key": "KDLoss", "kwargs": kd}, "weight": 1.0}}},
            },
            "optimizer": {"key": "SGD", "kwargs": dict(OPTIMIZER)},
        }
        box = get_distillation_box(
            copy.deepcopy(scene.teacher).to(memory_format=torch.channels_last).eval(),
            copy.deepcopy(scene.student).to(memory_format=torch.channels_last),
            {"train": _Whole(scene.images)},
            config,
            torch.device("cpu"),
            None,
            False,
            1,
        )
        losses = []
        for epoch in range(scene.epochs):
            box.pre_epoch_process(epoch=epoch)
            total = 0.0
            for inputs, truth, more in box.train_data_loader:
                loss = box.forward_process(inputs, truth, more)
                box.post_forward_process(loss)
                total += loss.item()
                stamp()
            box.post_epoch_process()
            losses.append(total / scene.steps)
        return losses

    return train


def attar(scene: Scene, data: Callable[[], TransferSet]) -> Contender:
    """Attar's loop, on targets that ``data`` brings along, or on labels alone where it brings none."""
    both = Objective(
        {
            "soft": Term(loss=SoftTargets(temperature=TEMPERATURE), weight=SOFT),
            "hard": Term(loss=HardLabels(), weight=HARD),
        }
    )
    alone = Objective({"hard": Term(loss=HardLabels())})
    settings = Training(
        epochs=scene.epochs,
        batch_size=scene.batch,
        learning_rate=OPTIMIZER["lr"],
        momentum=OPTIMIZER["momentum"],
        weight_decay=OPTIMIZER["weight_decay"],
        schedule="constant",
    )

    def train(stamp: Stamps) -> list[float]:
        source = data()
        objective = alone if source.targets is None else both
        fitted = fit(scene.student, objective, source, settings=settings, callbacks=[stamp])
        return [epoch.loss for epoch in fitted.history]

    return train


def contenders(scene: Scene, with_torchdistill: bool) -> dict[str, Contender]:
    """All of them by name; the store is written here, once."""
    teacher = NetworkTeacher(copy.deepcopy(scene.teacher), classes=len(scene.split.classes))
    stored = label(teacher, scene.split, scene.folder / "store")
    found = {
        "bare": bare(scene, torch.channels_last),
        "bare default layout": bare(scene, torch.contiguous_format),
        "bare without teacher": bare(scene, torch.channels_last, taught=False),
        "attar live": attar(scene, lambda: TransferSet(scene.split, targets=Live(teacher))),
        "attar store": attar(scene, lambda: TransferSet(scene.split, targets=stored)),
        "attar without teacher": attar(scene, lambda: TransferSet(scene.split)),
    }
    if with_torchdistill:
        found["torchdistill"] = torchdistill(scene)
    return found


def check_losses(scene: Scene, with_torchdistill: bool) -> dict[str, list[float]]:
    """Losses of four steps on one and the same batch; raises unless all that minimize the same agree.

    From the second step on they depend on gradient and optimizer too.
    """
    one = scene.split.rows(torch.arange(scene.batch))
    small = Scene(scene.student, scene.teacher, one, scene.batch, 4, scene.folder / "check")
    losses = {name: train(Stamps()) for name, train in contenders(small, with_torchdistill).items()}
    for name, values in losses.items():
        reference = losses["bare without teacher" if "without" in name else "bare"]
        if not np.allclose(values, reference, rtol=AGREE):
            raise SystemExit(f"{name} does not minimize what the bare loop does: {values} against {reference}")
    return losses


def timed(scene: Scene, rounds: int, with_torchdistill: bool) -> dict[str, Any]:
    """``[rounds, 2, steps]`` milliseconds per step of each contender, and what goes with them."""
    teacher = NetworkTeacher(copy.deepcopy(scene.teacher), classes=len(scene.split.classes))
    runs = contenders(scene, with_torchdistill)
    names = [*runs, "label"]
    steps: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    ends: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    passes: list[np.ndarray] = []
    for turn in range(-1, rounds):  # round -1 warms up
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            gc.collect()
            if name == "label":
                with tempfile.TemporaryDirectory(dir=scene.folder) as folder:
                    start = np.array((time.perf_counter(), time.process_time()))
                    label(teacher, scene.split, Path(folder) / "store")
                    took = (np.array((time.perf_counter(), time.process_time())) - start) * 1000
                if turn >= 0:
                    passes.append(took)
                continue
            stamps = Stamps()
            runs[name](stamps)
            if turn >= 0:
                each, end = stamps.steps_ms(scene.steps)
                steps[name].append(each)
                ends[name].append(end)
    return {
        "steps": {name: np.array(values) for name, values in steps.items()},
        "ends": {name: np.array(values) for name, values in ends.items()},
        "passes": np.array(passes),
    }


def summarised(found: Mapping[str, Any], clock: int, steps: int) -> dict[str, Any]:
    """Medians and ratios on one clock."""
    step = {name: np.median(values[:, clock], axis=1) for name, values in found["steps"].items()}
    passes = found["passes"][:, clock]
    rows: dict[str, np.ndarray] = {f"step: {name}": values for name, values in step.items()}
    for epochs in JOBS:
        for name, values in step.items():
            fill = passes if name == "attar store" else 0.0
            rows[f"job of {epochs} epochs: {name}"] = epochs * steps * values + fill
    race = Race({}, rows)

    def ratio(slow: str, fast: str) -> dict[str, object]:
        return race.ratio(slow, fast).to_json()

    references = [name for name in ("bare", "bare default layout", "torchdistill") if name in step]
    saved = np.median(step["bare"]) - np.median(step["attar store"])
    return {
        "step_ms": {name: float(np.median(values)) for name, values in step.items()},
        "label_ms_for_one_epoch_of_examples": float(np.median(passes)),
        "attar_epoch_end_ms": {
            name: float(np.median(found["ends"][name][:, clock] - step[name])) for name in step if "attar" in name
        },
        "times_as_long_as_bare": {
            name: ratio(f"step: {name}", "step: bare") for name in step if name != "bare" and "without" not in name
        },
        "without_teacher_times_as_long_as_bare": ratio("step: attar without teacher", "step: bare without teacher"),
        "store_against_no_teacher": ratio("step: attar store", "step: attar without teacher"),
        "step_faster_from_the_store": {
            name: ratio(f"step: {name}", "step: attar store") for name in (*references, "attar live")
        },
        "job_faster_from_the_store": {
            f"{epochs} epochs": {
                name: ratio(f"job of {epochs} epochs: {name}", f"job of {epochs} epochs: attar store")
                for name in references
            }
            for epochs in JOBS
        },
        "pays_after_epochs": float(np.median(passes) / (steps * saved)) if saved > 0 else None,
    }


def prepare_torchdistill() -> None:
    """Make torchdistill importable beside a CPU build of torch.

    It imports torchvision, whose compiled part does not load there; these two operators are named at import and never
    called.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    prepare_torchdistill.library = library  # type: ignore[attr-defined]  # it is undone when collected
    try:
        import torchdistill as installed
    except ImportError as error:
        remedy = "See README.md, or pass --without-torchdistill."
        raise SystemExit(f"torchdistill cannot be imported ({error}). {remedy}") from error
    logging.getLogger(installed.__name__).setLevel(logging.WARNING)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5, help="steps of each of the two epochs of a round")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pairs", nargs="+", choices=list(TEACHERS), default=list(TEACHERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-torchdistill", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "kd_step.json")
    asked = parser.parse_args()
    if asked.rounds < FEWEST_ROUNDS or asked.steps < 2:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS} and --steps at least 2")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    if not asked.without_torchdistill:
        prepare_torchdistill()
    train = load("fashion-mnist", seed=asked.seed).train
    order = torch.randperm(len(train))
    example = train.floats(slice(0, 1))
    classes = len(train.classes)
    student = resnet(classes, STUDENT)
    pairs: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for pair in asked.pairs:
            # A few steps of training give the teacher sensible statistics and logits; what it knows does not matter.
            taught = fit(
                resnet(classes, TEACHERS[pair]),
                Objective({"hard": Term(loss=HardLabels())}),
                TransferSet(train.rows(order[: 16 * 64])),
                settings=Training(epochs=1, batch_size=64, learning_rate=0.05, seed=asked.seed),
            ).model
            split = train.rows(order[: asked.steps * asked.batch])
            scene = Scene(student, taught, split, asked.batch, EPOCHS, Path(folder) / pair)
            losses = check_losses(scene, not asked.without_torchdistill)
            before = os.getloadavg()[0]
            found = timed(scene, asked.rounds, not asked.without_torchdistill)
            macs = {"student": cost(student, example).macs, "teacher": cost(taught, example).macs}
            pairs[pair] = {
                "macs": {**macs, "ratio": macs["teacher"] / macs["student"]},
                "cpu": summarised(found, 1, asked.steps),
                "wall": summarised(found, 0, asked.steps),
            }
            raw[pair] = {
                "losses_of_four_steps_on_one_batch": losses,
                "load_average": {"before": before, "after": os.getloadavg()[0]},
                "order": ["wall", "cpu"],
                "step_ms": {name: np.round(values, 4).tolist() for name, values in found["steps"].items()},
                "epoch_end_and_step_ms": {name: np.round(values, 4).tolist() for name, values in found["ends"].items()},
                "label_ms": np.round(found["passes"], 4).tolist(),
            }
            _say(pair, pairs[pair])
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("torchdistill", "torchvision", "lightning-fabric", "pyarrow"),
        settings={
            "rounds": asked.rounds,
            "timed_steps_per_round": EPOCHS * (asked.steps - 1),
            "batch": asked.batch,
            "threads": torch.get_num_threads(),
            "student": list(STUDENT),
            "teachers": {pair: list(TEACHERS[pair]) for pair in asked.pairs},
            "optimizer": OPTIMIZER,
            "epochs_of_jobs": list(JOBS),
            "examples_of_jobs": asked.steps * asked.batch,
        },
        summary=pairs,
        raw=raw,
    )
    print(f"written to {path}")


def _say(pair: str, summary: Mapping[str, Any]) -> None:
    cpu = summary["cpu"]
    print(f"\nteacher {pair} ({summary['macs']['ratio']:.1f} times the student's multiply-adds), CPU time")
    for name, took in cpu["step_ms"].items():
        print(f"  {name:<22} {took:8.2f} ms per step")

    def said(what: str, ratio: Mapping[str, Any]) -> None:
        low, high = ratio["interval"]
        print(f"  {what:<48} {ratio['ratio']:.3f}  ({low:.3f} to {high:.3f})")

    for name, ratio in cpu["times_as_long_as_bare"].items():
        said(f"{name} / bare", ratio)
    said("attar / bare, both without teacher", cpu["without_teacher_times_as_long_as_bare"])
    said("attar store / attar without teacher", cpu["store_against_no_teacher"])
    for name, ratio in cpu["step_faster_from_the_store"].items():
        said(f"{name} / attar store", ratio)
    for job, ratios in cpu["job_faster_from_the_store"].items():
        for name, ratio in ratios.items():
            said(f"job of {job}: {name} / attar store", ratio)
    print(f"  the label pass pays after {cpu['pays_after_epochs']:.2f} epochs", flush=True)


if __name__ == "__main__":
    main()
