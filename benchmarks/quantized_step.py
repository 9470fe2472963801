"""What one step of quantized distillation costs against the same step in float numbers.

    python benchmarks/quantized_step.py                       # about three minutes on one thread
    python benchmarks/quantized_step.py --rounds 6 --steps 3 --batch 32 --out quick.json

Each round lets every contender train a fresh copy of the same student for two short epochs, in an order that turns from
round to round. Steps are those of `attar.training.fit.fit` itself, stamped by a callback. What is
reported is the median of the ratios within the rounds, with its interval.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from result import RESULTS, write
from torch import Tensor, nn

from attar.data.datasets import Split, load
from attar.data.transfer_set import TransferSet
from attar.evidence.latency import FEWEST_ROUNDS, Race
from attar.ops.granularity import PerTensor
from attar.quantization.attach import train_codebooks_only_
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn
from attar.quantization.quantize import quantize
from attar.recipes.networks import network_of
from attar.recipes.read import read
from attar.training.callbacks import Callback, TrainState
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.settings import Training

EPOCHS = 2
AIM = 1.3
"""Times the float step that a quantized one may take."""

WHAT = (
    "CPU milliseconds per optimizer step of distillation (objective, network, optimizer of the recipe fashion-mnist; "
    "targets in memory, no augmentation), one thread, Fashion-MNIST: the student in float numbers, and the same "
    "student with formats on all of its weights, or on weights and on what goes into the layers. Steps are those of "
    "attar.training.fit.fit, timed between the calls of a callback after each step; the first step of every epoch is "
    "left out. Every ratio is the median over rounds of the ratio within a round to the float step, with its 95% "
    "interval. 'points' trains a codebook's points alone: no weight gets a gradient of its own there."
)


class Stamps(Callback):
    """The process's clock, read after each step: a control that rides on the loop."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def after_step(self, state: TrainState) -> None:
        self.marks.append(time.process_time())


class Said:
    """Logits of a teacher, held in memory."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def __call__(self, inputs: Tensor, rows: Tensor, view: int) -> Tensor:
        return self.logits[rows]


def students(plain: nn.Module, inputs: Tensor) -> dict[str, nn.Module]:
    """The contenders: one student in several formats."""
    found: dict[str, nn.Module] = {"float": plain}
    for bits in (8, 4, 2):
        found[f"{bits} bits, buckets"] = quantize(plain, weights=Uniform(bits=bits))
    found["4 bits, whole tensors"] = quantize(plain, weights=Uniform(bits=4, granularity=PerTensor()))
    found["4 bits, exact gradient"] = quantize(plain, weights=Uniform(bits=4, gradient="exact"))
    found["ternary"] = quantize(plain, weights=Ternary())
    found["powers of two"] = quantize(plain, weights=PowerOfTwo())
    found["4 bits, codebook"] = quantize(plain, weights=Codebook(bits=4, trains="both"))
    found["4 bits, points"] = train_codebooks_only_(quantize(plain, weights=Codebook(bits=4)))
    found["4 bits, inputs 8 bits"] = quantize(plain, weights=Uniform(bits=4), activations=Affine(), calibration=inputs)
    found["wrpn 4 bits, inputs 8 bits"] = quantize(plain, weights=Wrpn(bits=4), activations=Clipped())
    return found


def timed(
    contenders: Mapping[str, nn.Module], split: Split, settings: Training, rounds: int, steps: int
) -> dict[str, np.ndarray]:
    """``[rounds, steps]`` CPU milliseconds of each contender."""
    objective = read("fashion-mnist").terms
    draws = torch.Generator().manual_seed(0)
    data = TransferSet(split, targets=Said(torch.randn(len(split), len(split.classes), generator=draws)))
    fabric = make_fabric("cpu", settings.precision)
    names = list(contenders)
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for turn in range(-1, rounds):  # round -1 warms up
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            gc.collect()
            stamps = Stamps()
            fit(contenders[name], objective, data, settings=settings, callbacks=[stamps], fabric=fabric)
            if turn >= 0:
                marks = np.array(stamps.marks).reshape(EPOCHS, steps)
                found[name].append(np.diff(marks, axis=1).ravel() * 1000)
    return {name: np.array(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5, help="steps of each of the two epochs of a round")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "quantized_step.json")
    asked = parser.parse_args()
    if asked.rounds < FEWEST_ROUNDS or asked.steps < 2:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS} and --steps at least 2")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    recipe = read("fashion-mnist")
    train = load("fashion-mnist", seed=asked.seed).train
    split = train.rows(torch.randperm(len(train))[: asked.steps * asked.batch])
    plain = network_of(recipe.student.network, asked.seed)
    settings = Training(
        epochs=EPOCHS,
        batch_size=asked.batch,
        learning_rate=0.001,
        weight_decay=recipe.student.training.weight_decay,
        schedule="constant",
        precision=asked.precision,
        seed=asked.seed,
    )
    contenders = students(plain, split.floats(slice(0, 64)))
    before = os.getloadavg()[0]
    found = timed(contenders, split, settings, asked.rounds, asked.steps)
    race = Race({}, {name: np.median(values, axis=1) for name, values in found.items()})
    ratios = {name: race.ratio(name, "float").to_json() for name in found if name != "float"}
    summary = {
        "step_ms": {name: float(np.median(values)) for name, values in found.items()},
        "times_as_long_as_float": ratios,
        "aim": AIM,
        "above_the_aim": [name for name, ratio in ratios.items() if ratio["ratio"] > AIM],  # type: ignore[operator]
    }
    for name, took in summary["step_ms"].items():  # type: ignore[attr-defined]
        ratio = ratios.get(name)
        said = (
            "" if ratio is None else f"{ratio['ratio']:.3f}  ({ratio['interval'][0]:.3f} to {ratio['interval'][1]:.3f})"
        )  # type: ignore[index]
        print(f"  {name:<28} {took:7.2f} ms per step  {said}")
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("lightning-fabric",),
        settings={
            "rounds": asked.rounds,
            "timed_steps_per_round": EPOCHS * (asked.steps - 1),
            "batch": asked.batch,
            "precision": asked.precision,
            "threads": torch.get_num_threads(),
            "student": recipe.student.network.model_dump(),
        },
        summary=summary,
        raw={
            "load_average": {"before": before, "after": os.getloadavg()[0]},
            "step_ms": {name: np.round(values, 4).tolist() for name, values in found.items()},
        },
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
