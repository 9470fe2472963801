"""What one step of quantized distillation costs against the same step in float numbers.

    python benchmarks/quantized_step.py                       # about three minutes on one thread
    python benchmarks/quantized_step.py --rounds 6 --steps 3 --batch 32 --out quick.json

Contenders take turns as step_times.py says. Steps are those of `attar.training.fit.fit` itself, stamped by a callback.
What is reported is the median of the ratios within the rounds, with its interval.
"""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from step_times import EPOCHS, Stamps, arguments, asked_of, race_of, save, shown, timed
from torch import Tensor, nn

from attar.data.datasets import Split, load
from attar.data.transfer_set import TransferSet
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
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.settings import Training

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


def trained(student: nn.Module, split: Split, settings: Training) -> Callable[[], Stamps]:
    """A contender: a copy of a student learns from made-up targets."""
    objective = read("fashion-mnist").terms
    draws = torch.Generator().manual_seed(0)
    data = TransferSet(split, targets=Said(torch.randn(len(split), len(split.classes), generator=draws)))
    fabric = make_fabric("cpu", settings.precision)

    def train() -> Stamps:
        stamps = Stamps()
        fit(student, objective, data, settings=settings, callbacks=[stamps], fabric=fabric)
        return stamps

    return train


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__, "quantized_step", rounds=20, steps=5, batch=128)
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    asked = asked_of(parser)
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
    found = timed({name: trained(one, split, settings) for name, one in contenders.items()}, asked.rounds)
    race, medians = race_of(found)
    ratios = {name: race.ratio(name, "float") for name in found if name != "float"}
    for name, took in medians.items():
        print(f"  {name:<28} {took:7.2f} ms per step  {shown(ratios[name]) if name in ratios else ''}")
    save(
        asked,
        what=WHAT,
        settings={"precision": asked.precision, "student": recipe.student.network.model_dump()},
        summary={
            "step_ms": medians,
            "times_as_long_as_float": {name: ratio.to_json() for name, ratio in ratios.items()},
            "aim": AIM,
            "above_the_aim": [name for name, ratio in ratios.items() if ratio.ratio > AIM],
        },
        raw={name: np.round(values, 4).tolist() for name, values in found.items()},
    )


if __name__ == "__main__":
    main()
