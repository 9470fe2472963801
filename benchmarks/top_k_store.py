"""What it takes and what it loses to store the targets of many classes: all of them or the top k, in two bytes or one.

    python benchmarks/top_k_store.py        # about three minutes on one thread
    python benchmarks/top_k_store.py --classes 200 --examples 512 --rounds 6 --out quick.json

The teacher is made up: it draws the logits of an example around its class, with classes that resemble each other, so
that some are likely, some are plausible and most are neither.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from result import RESULTS, write
from torch import Tensor

from attar.data.split import Split
from attar.data.store import Targets, label
from attar.evidence.latency import FEWEST_ROUNDS
from attar.ops.top_k import TopK
from attar.tasks.classification import Classification
from attar.training.batch import Batch
from attar.training.losses.outputs import SoftTargets

KEPT = (5, 10, 20, 50)
DTYPES = ("float16", "int8")
TEMPERATURES = (1.0, 4.0)
FEATURES = 32

WHAT = (
    "Targets of a made-up teacher of many classes: each class has a random vector, an example is the vector of its "
    "class with noise, and the logits are the products of the two; how likely the likeliest class is, is in the "
    "result. Bytes per example are those of all files of the store, manifest and ids included; 'dense float32' is "
    "what the logits take as they come, 4 bytes each, with nothing around them. KL(full || stored) is in nats, at "
    "two temperatures, mean and largest over the examples, as Targets.fidelity gives it. 'open' reads and checks "
    "all files into memory; 'epoch' asks an opened store for every row once, in a random order, in batches, and "
    "'epoch_dense' makes logits of all classes of them. 'loss' is SoftTargets at T=4 and its gradient down to the "
    "student's logits on one batch, and nothing else of a step: dense targets from the float16 store, against the "
    "top k as they are, spread and in a bucket, and against the top k made dense. Medians over rounds, in which the "
    "contenders take turns; CPU time of one thread."
)


class MadeUp:
    """A teacher whose likely classes resemble each other."""

    def __init__(self, classes: int, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.classes = classes
        self.seed = seed
        self.behind = torch.randn(FEATURES, classes, generator=draw)

    def predict(self, inputs: Tensor) -> Tensor:
        return inputs @ self.behind

    def fingerprint(self) -> str:
        return f"made up {self.classes} {self.seed}"


def examples(teacher: MadeUp, count: int, seed: int) -> Split:
    """Each is the vector behind a class, with noise; sharper where there are more classes to tell apart."""
    draw = torch.Generator().manual_seed(seed + 1)
    own = torch.randint(0, teacher.classes, (count,), generator=draw)
    sharp = 0.25 + 0.03 * np.log(teacher.classes)
    inputs = sharp * teacher.behind.T[own] + 0.25 * torch.randn(count, FEATURES, generator=draw)
    names = tuple(f"class {number}" for number in range(teacher.classes))
    return Split(inputs, None, torch.arange(count), Classification(tuple(names)))


def median_ms(contenders: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Median CPU milliseconds of each, the order turning from round to round; and all of them."""
    names, found = list(contenders), {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.process_time()
            contenders[name]()
            if number:  # the first round warms up
                found[name].append((time.process_time() - start) * 1000)
    return {name: float(np.median(took)) for name, took in found.items()}, {
        name: np.round(took, 4).tolist() for name, took in found.items()
    }


def epoch(targets: Targets, batch: int, dense: bool) -> None:
    for rows in torch.randperm(len(targets)).split(batch):
        said = targets(None, rows, 0)
        if dense and isinstance(said, TopK):
            said.full()


def stores(
    teacher: MadeUp, split: Split, folder: Path, rounds: int, batch: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every way to store the targets: its size, its loss, and how long it takes to read."""
    found: dict[str, Any] = {"dense float32": {"bytes_per_example": 4.0 * teacher.classes}}
    readers: dict[str, Callable[[], object]] = {}
    for top_k in (None, *(k for k in KEPT if k < teacher.classes)):
        for dtype in DTYPES:
            name = f"{'all' if top_k is None else f'top {top_k}'} {dtype}"
            start = time.process_time()
            targets = label(teacher, split, folder / name, top_k=top_k, dtype=dtype, temperature=TEMPERATURES[-1])
            seconds = time.process_time() - start
            manifest = (folder / name / "manifest.json").stat().st_size / len(split)
            entry: dict[str, Any] = {
                "bytes_per_example": targets.bytes_per_example,
                "bytes_per_example_of_the_manifest": manifest,
                "times_smaller_than_float32": 4.0 * teacher.classes / targets.bytes_per_example,
                "label_seconds": seconds,
            }
            for temperature in TEMPERATURES:
                lost = targets.fidelity(temperature)
                assert lost is not None
                entry[f"at T={temperature:g}"] = {
                    "kl_mean": lost.kl_mean,
                    "kl_largest": lost.kl_largest,
                    "top_probability": lost.top_probability,
                    "entropy": lost.entropy,
                }
            found[name] = entry
            readers[f"{name} | open"] = lambda where=folder / name: Targets.open(where)
            readers[f"{name} | epoch"] = lambda targets=targets: epoch(targets, batch, dense=False)
            readers[f"{name} | epoch_dense"] = lambda targets=targets: epoch(targets, batch, dense=True)
    medians, raw = median_ms(readers, max(3, rounds // 4))
    for key, took in medians.items():
        name, what = key.split(" | ")
        found[name][f"{what}_seconds"] = took / 1000
    return found, raw


def losses(teacher: MadeUp, folder: Path, rounds: int, batch: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The loss and its gradient, dense against top k."""
    student = torch.randn(batch, teacher.classes, generator=torch.Generator().manual_seed(seed + 2)) * 2
    rows = torch.arange(batch)

    def stepping(targets: Tensor | TopK, loss: SoftTargets, dense: bool = False) -> Callable[[], Tensor]:
        def step() -> Tensor:
            said = targets.full() if dense and isinstance(targets, TopK) else targets
            z = student.clone().requires_grad_()
            value = loss(z, Batch(inputs=student[:, :1], targets=said)).sum()
            return torch.autograd.grad(value, z)[0]

        return step

    spread, bucket = SoftTargets(temperature=4.0), SoftTargets(temperature=4.0, rest="bucket")
    full = Targets.open(folder / "all float16")(None, rows, 0)
    contenders: dict[str, Callable[[], object]] = {"dense": stepping(full, spread)}
    for k in (k for k in KEPT if k < teacher.classes):
        top = Targets.open(folder / f"top {k} float16")(None, rows, 0)
        contenders[f"top {k} spread"] = stepping(top, spread)
        contenders[f"top {k} bucket"] = stepping(top, bucket)
        contenders[f"top {k} made dense"] = stepping(top, spread, dense=True)
        difference = (contenders[f"top {k} spread"]() - contenders[f"top {k} made dense"]()).abs().max()  # type: ignore[operator]
        assert difference < 1e-4, "the two ways have one gradient"
    medians, raw = median_ms(contenders, rounds)
    dense = np.array(raw["dense"])
    ratios = {name: float(np.median(np.array(took) / dense)) for name, took in raw.items()}
    return {name: {"ms": took, "times_the_dense": ratios[name]} for name, took in medians.items()}, raw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", type=int, default=[500, 10_000])
    parser.add_argument("--examples", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "top_k_store.json")
    asked = parser.parse_args()
    if asked.rounds < FEWEST_ROUNDS:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS}")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    summary: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    for classes in asked.classes:
        teacher = MadeUp(classes, asked.seed)
        split = examples(teacher, asked.examples, asked.seed)
        with tempfile.TemporaryDirectory() as place:
            kept, read = stores(teacher, split, Path(place), asked.rounds, asked.batch)
            loss, took = losses(teacher, Path(place), asked.rounds, asked.batch, asked.seed)
        summary[f"{classes} classes"] = {"stores": kept, "loss": loss}
        raw[f"{classes} classes"] = {"read_ms": read, "loss_ms": took, "load_average": os.getloadavg()[0]}
        _say(classes, kept, loss)
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("pyarrow",),
        settings={
            "examples": asked.examples,
            "batch": asked.batch,
            "rounds": asked.rounds,
            "threads": torch.get_num_threads(),
            "temperatures": list(TEMPERATURES),
        },
        summary=summary,
        raw=raw,
    )
    print(f"written to {path}")


def _say(classes: int, kept: dict[str, Any], loss: dict[str, Any]) -> None:
    print(f"\n{classes} classes")
    for name, one in kept.items():
        said = f"  {name:<16}{one['bytes_per_example']:10.1f} bytes"
        if "label_seconds" in one:
            lost = [one[f"at T={temperature:g}"] for temperature in TEMPERATURES]
            said += f"  KL {lost[0]['kl_mean']:.2e} and {lost[1]['kl_mean']:.2e} (largest {lost[1]['kl_largest']:.2e})"
            said += f"  open {one['open_seconds']:.3f} s  epoch {one['epoch_seconds']:.3f} s"
        print(said)
    sample = kept["all float16"]["at T=1"]
    print(f"  likeliest class {sample['top_probability']:.2f}, entropy {sample['entropy']:.2f} nats at T=1")
    for name, step in loss.items():
        print(f"  loss {name:<20}{step['ms']:8.2f} ms  {step['times_the_dense']:.2f} of dense", flush=True)


if __name__ == "__main__":
    main()
