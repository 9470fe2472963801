"""What the benchmarks of a training step share: the time of each step, contenders in turns, arguments, the result.

Every contender trains a copy of the same network on the same examples for two short epochs, round after round, in an
order that turns from round to round. What a step takes is CPU time between two calls of a callback after each step.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from result import RESULTS, write

from attar.evidence.latency import FEWEST_ROUNDS, Race, Ratio
from attar.training.callbacks import Callback, TrainState

EPOCHS = 2


class Stamps(Callback):
    """The process's CPU time, read after each step."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def after_step(self, state: TrainState) -> None:
        self.marks.append(time.process_time())

    def steps_ms(self) -> np.ndarray:
        """``[steps]`` milliseconds of the steps but the first of each epoch."""
        return np.diff(np.array(self.marks).reshape(EPOCHS, -1), axis=1).ravel() * 1000


def timed(contenders: Mapping[str, Callable[[], Stamps]], rounds: int) -> dict[str, np.ndarray]:
    """``[rounds, steps]`` milliseconds of each contender, which trains and gives its stamps."""
    names = list(contenders)
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for turn, place in itertools.product(range(-1, rounds), range(len(names))):  # round -1 warms up
        name = names[(turn + place) % len(names)]
        gc.collect()
        stamps = contenders[name]()
        if turn >= 0:
            found[name].append(stamps.steps_ms())
    return {name: np.array(values) for name, values in found.items()}


def race_of(found: Mapping[str, np.ndarray]) -> tuple[Race, dict[str, float]]:
    """The contenders by the median step of each round, and by that of all."""
    by_round = {name: np.median(values, axis=1) for name, values in found.items()}
    return Race({}, by_round), {name: float(np.median(values)) for name, values in by_round.items()}


def arguments(document: str | None, name: str, *, rounds: int, steps: int, batch: int) -> argparse.ArgumentParser:
    """The arguments that all of them have, with these defaults."""
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--steps", type=int, default=steps, help="steps of each of the two epochs of a round")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / f"{name}.json")
    return parser


def asked_of(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What is asked; torch then has one thread and the seed."""
    asked = parser.parse_args()
    if asked.rounds < FEWEST_ROUNDS or asked.steps < 2:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS} and --steps at least 2")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    return asked


def claim(text: str, ratio: Ratio, aim: float | None) -> dict[str, Any]:
    """A claim about a ratio, which is met where its whole interval is."""
    low, high = ratio.interval
    met = None if aim is None else high <= aim
    return {"claim": text, "aim": aim, "reached": ratio.ratio, "interval": [low, high], "met": met}


def shown(ratio: Ratio) -> str:
    """A ratio with its interval."""
    return f"{ratio.ratio:.3f} ({ratio.interval[0]:.3f} to {ratio.interval[1]:.3f})"


def save(
    asked: argparse.Namespace,
    *,
    what: str,
    settings: Mapping[str, Any],
    raw: Mapping[str, Any],
    packages: Sequence[str] = ("lightning-fabric",),
    **document: Any,
) -> None:
    """Write the result, and say where."""
    path = write(
        asked.out,
        what=what,
        seed=asked.seed,
        packages=packages,
        settings={
            "rounds": asked.rounds,
            "timed_steps_per_round": EPOCHS * (asked.steps - 1),
            "batch": asked.batch,
            "threads": torch.get_num_threads(),
            **settings,
        },
        raw={"step_ms": raw, "load_average": os.getloadavg()[0]},
        **document,
    )
    print(f"written to {path}")
