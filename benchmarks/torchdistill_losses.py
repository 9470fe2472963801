"""Do Attar's loss terms give the values and gradients of torchdistill's, and what does each cost?

    python benchmarks/torchdistill_losses.py    # under a minute on one thread; needs torchdistill, see README.md

Each term gets the same random logits or maps as its counterpart, in float64 and float32, several draws of several
sizes. The program fails if one differs by more than its tolerance. torchdistill has no decoupled distillation: that
term is held against the paper's formula, written out with probabilities.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from kd_step import prepare_torchdistill
from result import RESULTS, write
from torch import Tensor, nn

from attar.training.batch import Batch
from attar.training.features import Features
from attar.training.losses.decoupled import Decoupled, StandardizedLogits
from attar.training.losses.features import AttentionMaps, HiddenMatch
from attar.training.losses.outputs import SoftTargets
from attar.training.losses.relations import RelationalAngles, RelationalDistances

WHAT = (
    "Largest relative difference of the loss (mean over the batch) and of its gradient, over draws of random logits "
    "and maps, between a term of Attar and the loss of torchdistill of the same name, on the CPU; and milliseconds of "
    "forward and backward together, one thread, processor time, median of rounds in which both take turns. "
    "'degenerate' is the largest entry of the gradient where the student says one and the same of all examples (and of "
    "all classes), and the teacher does not."
)
BATCHES, CLASSES = (16, 64), (10, 100)
CHANNELS, SIDE = 12, 6
LAYERS = {"student_layer": "layer", "teacher_layer": "layer"}

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The student's word, the teacher's, and labels in; the mean loss out."""


@dataclass(frozen=True)
class Pair:
    """A term, its counterpart, and how near they must be.

    Attributes:
        attar: The term.
        other: The counterpart, as one number.
        maps: Whether they read hidden maps, and not logits.
        within: Relative differences that are let pass, in float64 and in float32.
        differs: Where the definitions part.
    """

    attar: Any
    other: Loss
    maps: bool
    within: tuple[float, float]
    differs: str

    def mine(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        inputs = student.new_zeros(len(student), 1)
        if self.maps:
            losses = self.attar(inputs, Batch(inputs, labels, features=Features(student, teacher)))
        else:
            losses = self.attar(student, Batch(inputs, labels, teacher))
        return losses.mean()


def pairs() -> dict[str, Pair]:
    """All of them; torchdistill is imported here."""
    from torchdistill.losses.mid_level import ATLoss, KDLoss, LogitStdKDLoss, RKDLoss, SimpleLossWrapper

    here = {"student_module_path": "x", "student_module_io": "output"}
    there = {"teacher_module_path": "x", "teacher_module_io": "output"}

    def ask(loss: nn.Module) -> Loss:
        return lambda student, teacher, labels: loss({"x": {"output": student}}, {"x": {"output": teacher}}, labels)

    def paths(distance: float, angle: float) -> Loss:
        return ask(RKDLoss("x", "x", distance, angle, "mean"))

    at_pairs = {"one": {side: {"path": "x", "io": "output"} for side in ("student", "teacher")}}
    hint = {
        "input": {"is_from_teacher": False, "module_path": "x", "io": "output"},
        "target": {"is_from_teacher": True, "module_path": "x", "io": "output"},
    }
    return {
        "soft_targets": Pair(
            SoftTargets(temperature=4.0, scale_by_t2=False),
            ask(KDLoss(**here, **there, temperature=4.0, beta=1.0)),
            False,
            (1e-12, 1e-5),
            "T squared: torchdistill multiplies by it only where it adds the cross-entropy itself",
        ),
        "standardized_logits": Pair(
            StandardizedLogits(temperature=2.0, scale_by_t2=False),
            ask(LogitStdKDLoss(**here, **there, temperature=2.0, beta=1.0)),
            False,
            (1e-6, 1e-5),
            "torchdistill adds 1e-7 to the standard deviation; T squared as above",
        ),
        "decoupled": Pair(
            Decoupled(alpha=1.0, beta=8.0, temperature=4.0),
            _decoupled,
            False,
            (1e-12, 1e-5),
            "not in torchdistill; against the paper's formula in probabilities",
        ),
        "hidden_match": Pair(
            HiddenMatch(**LAYERS),
            ask(SimpleLossWrapper(nn.MSELoss(), **hint)),
            True,
            (1e-12, 1e-5),
            "torchdistill wraps torch's MSELoss",
        ),
        "attention_maps": Pair(
            AttentionMaps(**LAYERS),
            ask(ATLoss(at_pairs, mode="code")),
            True,
            (1e-12, 1e-5),
            "mode='code'; mode='paper' is the length of the difference and not the mean of its squares",
        ),
        "relational_distances": Pair(
            RelationalDistances(**LAYERS),
            paths(1.0, 0.0),
            True,
            (1e-12, 1e-5),
            "torchdistill takes distances by way of products, and counts coincident examples as 1e-6 apart",
        ),
        "relational_angles": Pair(
            RelationalAngles(**LAYERS),
            paths(0.0, 1.0),
            True,
            (1e-12, 1e-5),
            "none where no two examples coincide",
        ),
    }


def _decoupled(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """alpha 1, beta 8, T 4: equation 7 of Zhao et al., 2022, as it stands."""
    q, p = (x.div(4).softmax(1) for x in (student, teacher))
    own = nn.functional.one_hot(labels, student.shape[1]).to(p.dtype)
    p_t, q_t = (p * own).sum(1), (q * own).sum(1)
    target = p_t * (p_t / q_t).log() + (1 - p_t) * ((1 - p_t) / (1 - q_t)).log()
    p_hat, q_hat = p / (1 - p_t)[:, None], q / (1 - q_t)[:, None]
    others = (p_hat * (p_hat / q_hat).log() * (1 - own)).sum(1)
    return 16 * (target + 8 * others).mean()


def words(pair: Pair, batch: int, classes: int, dtype: torch.dtype, draw: torch.Generator) -> tuple[Tensor, ...]:
    """The student's word, the teacher's, and labels."""
    shape = (batch, CHANNELS, SIDE, SIDE) if pair.maps else (batch, classes)
    student, teacher = (3 * torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype) for _ in range(2))
    return student, teacher, torch.randint(0, classes, (batch,), generator=draw)


def heard(loss: Loss, student: Tensor, teacher: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its gradient."""
    student = student.clone().requires_grad_()
    value = loss(student, teacher, labels)
    return value.detach(), torch.autograd.grad(value, student)[0]


def compared(name: str, pair: Pair, draws: int, seed: int) -> dict[str, Any]:
    """Largest differences in both precisions; raises where they are too large."""
    found: dict[str, Any] = {}
    for dtype, within in zip((torch.float64, torch.float32), pair.within, strict=True):
        draw = torch.Generator().manual_seed(seed)
        worst = {"value": 0.0, "gradient": 0.0}
        for _ in range(draws):
            for batch, classes in zip(BATCHES, CLASSES, strict=True):
                said = words(pair, batch, classes, dtype, draw)
                (mine, my_gradient), (theirs, their_gradient) = heard(pair.mine, *said), heard(pair.other, *said)
                worst["value"] = max(worst["value"], float((mine - theirs).abs() / theirs.abs()))
                off = float((my_gradient - their_gradient).abs().max() / their_gradient.abs().max())
                worst["gradient"] = max(worst["gradient"], off)
        if not max(worst.values()) <= within:
            raise SystemExit(f"{name} differs from its counterpart in {dtype} by {worst}, more than {within}")
        found[str(dtype).removeprefix("torch.")] = {**worst, "tolerance": within}
    return found


def degenerate(pair: Pair, seed: int) -> dict[str, float | None]:
    """Largest entries of both gradients where the student says one thing; None for no number."""
    student, teacher, labels = words(pair, 16, 10, torch.float32, torch.Generator().manual_seed(seed))
    found = {}
    for name, loss in (("attar", pair.mine), ("other", pair.other)):
        largest = float(heard(loss, torch.ones_like(student), teacher, labels)[1].abs().max())
        found[name] = largest if np.isfinite(largest) else None
    return found


def timed(pair: Pair, rounds: int, repeats: int, seed: int) -> dict[str, float]:
    """Median milliseconds of both, and the median of the ratios within rounds."""
    said = words(pair, BATCHES[-1], CLASSES[-1], torch.float32, torch.Generator().manual_seed(seed))
    took: dict[str, list[float]] = {"attar": [], "other": []}
    for turn in range(-1, rounds):  # round -1 warms up
        both = [("attar", pair.mine), ("other", pair.other)]
        for name, loss in both if turn % 2 else reversed(both):
            start = time.process_time()
            for _ in range(repeats):
                heard(loss, *said)
            if turn >= 0:
                took[name].append((time.process_time() - start) * 1000 / repeats)
    mine, theirs = np.array(took["attar"]), np.array(took["other"])
    return {
        "attar_ms": float(np.median(mine)),
        "other_ms": float(np.median(theirs)),
        "attar_times_as_long": float(np.median(mine / theirs)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20, help="random draws of each size")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of the timing")
    parser.add_argument("--repeats", type=int, default=10, help="losses of each contender in a round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "torchdistill_losses.json")
    asked = parser.parse_args()
    if min(asked.draws, asked.rounds, asked.repeats) < 1:
        parser.error("--draws, --rounds and --repeats must be at least 1")
    torch.set_num_threads(1)
    prepare_torchdistill()
    summary = {}
    for name, pair in pairs().items():
        found = compared(name, pair, asked.draws, asked.seed)
        summary[name] = {
            "term": repr(pair.attar),
            "definitions_differ": pair.differs,
            **found,
            "degenerate": degenerate(pair, asked.seed),
            "time": timed(pair, asked.rounds, asked.repeats, asked.seed),
        }
        off = ", ".join(f"{kind} {max(v['value'], v['gradient']):.1e}" for kind, v in found.items())
        times = summary[name]["time"]["attar_times_as_long"]
        print(f"{name}: differs by {off}; {times:.2f} times as long")
    path = write(
        asked.out,
        what=WHAT,
        seed=asked.seed,
        packages=("torchdistill", "torchvision"),
        settings={
            "draws": asked.draws,
            "batches_and_classes": list(zip(BATCHES, CLASSES, strict=True)),
            "maps": [CHANNELS, SIDE, SIDE],
            "rounds": asked.rounds,
            "repeats": asked.repeats,
            "timed_batch": BATCHES[-1],
            "threads": torch.get_num_threads(),
        },
        summary=summary,
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
