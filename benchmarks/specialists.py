"""What it costs to bring a generalist and its specialists together: Attar's search against one search per image.

    python benchmarks/specialists.py            # about four minutes on one core that it has to itself

The opinions are random: logits with a deviation of 3, sets of random classes that overlap. Both give the same
probabilities up to the tolerance that is stated; this is checked before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from result import RESULTS, write
from scipy.optimize import minimize

from attar.ops.kl_inference import SpecialistLogits, kl_inference, kl_objective

SIZES = ((500, 10, 100), (5000, 50, 300))
IMAGES, IMAGES_TIMED = 1000, {"scipy": {500: 20, 5000: 4}, "torch": {500: 40, 5000: 10}}
AT_ONCE = 256

WHAT = (
    "Seconds per 1,000 images of the KL inference of Hinton, Vinyals, Dean, 2015, section 5.4, given what generalist "
    "and specialists say; one thread. 'probabilities' and 'logits' are attar.ops.kl_inference.kl_inference with these "
    "parametrizations and its defaults, 1,000 images in batches of 256. 'scipy' minimizes the same objective over the "
    "logits of one image after the other with L-BFGS-B and the analytic gradient; 'torch' makes 200 steps of Adam on "
    "them with autograd, one image after the other; both are timed on some images and scaled up. The figures are "
    "medians of the rounds, which alternate. 'difference' is the largest difference of a probability from Attar's "
    "'probabilities' on these images, 'objective' the largest excess of the objective in nats over it."
)


def case(classes: int, count: int, size: int, top: int, seed: int) -> tuple[torch.Tensor, list[SpecialistLogits]]:
    """A generalist and specialists that are asked where one of its likeliest classes is theirs."""
    draws = torch.Generator().manual_seed(seed)
    generalist = torch.randn(IMAGES, classes, generator=draws) * 3
    likeliest = generalist.topk(top, dim=1).indices
    specialists = []
    for specialist in range(count):
        known = torch.randperm(classes, generator=draws)[:size]
        rows = torch.isin(likeliest, known).any(1).nonzero()[:, 0]
        specialists.append(
            SpecialistLogits(specialist, known, rows, torch.randn(len(rows), size + 1, generator=draws) * 3)
        )
    return generalist, specialists


def rows_of(
    generalist: torch.Tensor, specialists: list[SpecialistLogits], rows: range
) -> tuple[torch.Tensor, list[SpecialistLogits]]:
    """The same of some rows."""
    selected = []
    for one in specialists:
        mask = (one.rows >= rows.start) & (one.rows < rows.stop)
        selected.append(SpecialistLogits(one.specialist, one.classes, one.rows[mask] - rows.start, one.logits[mask]))
    return generalist[rows.start : rows.stop], selected


def batched(generalist: torch.Tensor, specialists: list[SpecialistLogits], way: str) -> torch.Tensor:
    """Attar's."""
    cuts = [range(start, min(start + AT_ONCE, len(generalist))) for start in range(0, len(generalist), AT_ONCE)]
    return torch.cat([kl_inference(*rows_of(generalist, specialists, cut), parametrization=way).logits for cut in cuts])  # type: ignore[arg-type]


def with_scipy(generalist: torch.Tensor, specialists: list[SpecialistLogits]) -> torch.Tensor:
    """One image after the other, by its own minimizer."""
    found = []
    for row in range(len(generalist)):
        p = generalist[row].double().softmax(0).numpy()
        asked = [
            (one.classes.numpy(), one.logits[one.rows == row][0])
            for one in specialists
            if bool((one.rows == row).any())
        ]
        said = [(known, logits.double().softmax(0).numpy()) for known, logits in asked]

        def look(z: np.ndarray, p: np.ndarray = p, said: list[Any] = said) -> tuple[float, np.ndarray]:
            q = np.exp(z - z.max())
            q /= q.sum()
            log_q = np.log(np.maximum(q, 1e-300))
            value, gradient = -(p * log_q).sum(), q - p
            for known, one in said:
                mask = np.ones(len(q), bool)
                mask[known] = False
                rest = max(q[mask].sum(), 1e-300)
                value -= (one[:-1] * log_q[known]).sum() + one[-1] * np.log(rest)
                gradient += q - np.where(mask, one[-1] * q / rest, 0.0)
                gradient[known] -= one[:-1]
            return float(value), gradient

        start = np.log(np.maximum(p, 1e-300))
        best = minimize(look, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-6, "ftol": 0, "maxiter": 500})
        found.append(torch.log_softmax(torch.from_numpy(best.x), 0))
    return torch.stack(found).float()


def with_torch(generalist: torch.Tensor, specialists: list[SpecialistLogits]) -> torch.Tensor:
    """One image after the other, by gradient descent with autograd."""
    found = []
    for row in range(len(generalist)):
        mine, asked = rows_of(generalist, specialists, range(row, row + 1))
        asked = [one for one in asked if len(one.rows)]
        z = mine.log_softmax(1).clone().requires_grad_()
        optimizer = torch.optim.Adam([z], lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            kl_objective(z, mine, asked).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found.append(z.detach().log_softmax(1)[0])
    return torch.stack(found)


def seconds(work: Callable[[], object], images: int) -> float:
    """Per 1,000 images."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000 / images


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "specialists.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    raw: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    for classes, specialists, size in SIZES:
        for top in (1, 5):
            generalist, outputs = case(classes, specialists, size, top, given.seed)
            inferred = kl_inference(generalist, outputs)
            asked = sum(len(one.rows) for one in outputs) / IMAGES
            works: dict[str, tuple[Callable[[], torch.Tensor], int]] = {
                way: ((lambda way=way, g=generalist, o=outputs: batched(g, o, way)), IMAGES)
                for way in ("probabilities", "logits")
            }
            for name, loop in (("scipy", with_scipy), ("torch", with_torch)):
                count = IMAGES_TIMED[name][classes]
                some = rows_of(generalist, outputs, range(count))
                works[name] = ((lambda loop=loop, some=some: loop(*some)), count)
            entry: dict[str, Any] = {
                "classes": classes,
                "specialists": specialists,
                "set_size": size,
                "top": top,
                "asked_mean": asked,
                "steps_mean": float(inferred.steps.float().mean()),
                "residual_largest": float(inferred.residual.max()),
            }
            taken: dict[str, list[float]] = {name: [] for name in works}
            for _ in range(given.rounds):
                for name, (work, images) in works.items():
                    taken[name].append(seconds(work, images))
            for name, (work, images) in works.items():
                log_probabilities = work()
                general, theirs = rows_of(generalist, outputs, range(images))
                excess = kl_objective(log_probabilities, general, theirs) - kl_objective(
                    inferred.logits[:images], general, theirs
                )
                entry[name] = {
                    "seconds_per_1000": statistics.median(taken[name]),
                    "times_slower": statistics.median(taken[name]) / statistics.median(taken["probabilities"]),
                    "images_timed": images,
                    "difference": float((log_probabilities.exp() - inferred.logits[:images].exp()).abs().max()),
                    "objective": float(excess.max()),
                }
            if entry["scipy"]["difference"] > 1e-3 or entry["logits"]["difference"] > 1e-3:
                raise SystemExit(f"the minima differ: {entry}")
            raw.append({"classes": classes, "top": top, "seconds_per_1000": taken})
            summary.append(entry)
            print(entry)
    path = write(
        given.out,
        what=WHAT,
        seed=given.seed,
        packages=["scipy"],
        settings={"rounds": given.rounds, "images": IMAGES, "batch": AT_ONCE, "threads": 1},
        summary=summary,
        raw=raw,
    )
    print(path)


if __name__ == "__main__":
    main()
