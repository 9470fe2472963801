"""Whether predictions that are scored by example are better than one constant answer, and than guessing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr  # type: ignore[import-untyped]

from attar.tasks.task import Chance

_LEVEL = 0.05
"""Of both one-sided tests."""

_DEALS, _DEALT = 100, 1024
"""How often predictions are dealt out to the examples at random, and how many of them at most."""

ScoresOf = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]
"""Predictions ``[n, ...]`` and labels ``[n, ...]`` in, a score for each example out, higher is better."""


def against_chance(
    scores_of: ScoresOf,
    predictions: NDArray[Any],
    labels: NDArray[Any],
    constants: Mapping[str, NDArray[Any]],
    title: str,
    split: str,
) -> Chance:
    """Compare predictions with the best of some constant answers, and with themselves dealt out at random.

    Better than a constant means that the mean difference to it, over the examples, would come with a probability below
    0.05 if there were none (paired t test, one-sided). Guessing means that the predictions, dealt out to the examples
    at random, have as high a mean in more than 5 of 100 deals, which a fixed seed draws.

    Args:
        scores_of: How good each prediction is.
        predictions: ``[n, ...]``, what the model says.
        labels: ``[n, ...]``, something known of each.
        constants: Answers ``[...]`` that are the same for all examples, by what sentences call them.
        title: What the mean score is called.
        split: What the examples are called.
    """
    if bool((labels == labels[:1]).all()):  # nothing to tell apart
        return Chance(None, False)
    mine = scores_of(predictions, labels)
    others = {name: scores_of(np.broadcast_to(one, predictions.shape), labels) for name, one in constants.items()}
    name, best = max(others.items(), key=lambda pair: float(pair[1].mean()))
    guessing = _is_guessing(scores_of, predictions, labels)
    if not guessing and _is_larger(mine - best):
        return Chance(None, False)
    if bool((predictions == predictions[:1]).all()):
        return Chance(f"gives every {split} example the same prediction ({title} {mine.mean():.3f})", True)
    constant = f"{name} for all gives {best.mean():.3f}"
    counted = f"its {title} is {mine.mean():.3f} on {len(labels):,} {split} examples, and {constant}"
    if guessing:
        return Chance(f"is at chance: {counted}", True)
    return Chance(f"is not measurably better than a constant: {counted}", False)


def _is_guessing(scores_of: ScoresOf, predictions: NDArray[Any], labels: NDArray[Any]) -> bool:
    step = -(-len(labels) // _DEALT)
    some, true = predictions[::step], labels[::step]
    draw = np.random.default_rng(0)
    dealt = [float(scores_of(some[draw.permutation(len(some))], true).mean()) for _ in range(_DEALS)]
    return float(scores_of(some, true).mean()) <= float(np.quantile(dealt, 1 - _LEVEL))


def _is_larger(differences: NDArray[np.float64]) -> bool:
    """Whether a mean is above 0, by a one-sided t test."""
    count, mean = len(differences), float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    if error == 0:
        return mean > 0
    return bool(stdtr(max(1, count - 1), -mean / error) < _LEVEL)
