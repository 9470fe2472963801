"""Whether predictions that are scored by example are better than one constant answer, and than guessing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr  # type: ignore[import-untyped]

from attar.tasks.task import Chance, Constant

LEVEL = 0.05
"""Of both one-sided tests: of being better than a constant, and than guessing."""

_DEALS, _DEALT = 100, 1024
"""How often predictions are dealt out to the examples at random, and how many of them at most."""

ScoresOf = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]
"""Predictions ``[n, ...]`` and labels ``[n, ...]`` in, a score for each example out, higher is better."""


def against_chance(
    scores_of: ScoresOf,
    predictions: NDArray[Any],
    labels: NDArray[Any],
    constant: Constant,
    title: str,
    split: str,
    *,
    signed: bool = False,
) -> Chance:
    """Compare predictions with the best constant answer, and with themselves dealt out at random.

    Better than a constant means that the mean difference to it, over the examples, would come with a probability below
    0.05 if there were none (paired t test, one-sided). Guessing means that the predictions, dealt out to the examples
    at random, have as high a mean in more than 5 of 100 deals, which a fixed seed draws.

    Args:
        scores_of: How good each prediction is.
        predictions: ``[n, ...]``, what the model says.
        labels: ``[n, ...]``, something known of each.
        constant: The best answer that is the same for all examples.
        title: What the mean score is called.
        split: What the examples are called.
        signed: Whether a score may be below 0 by itself. An error has a minus as a score, and none in a sentence.
    """

    def shown(scores: NDArray[np.float64]) -> float:
        return float(scores.mean()) if signed else abs(float(scores.mean()))

    if bool((labels == labels[:1]).all()):  # nothing to tell apart
        return Chance(None, False)
    mine, best = scores_of(predictions, labels), constant.scores
    same = bool((predictions == predictions[:1]).all())
    return judged(
        is_better=is_larger(mine - best),
        is_guessing=_is_guessing(scores_of, predictions, labels),
        same=f" ({title} {shown(mine):.3f})" if same else None,
        compared=f"its {title} is {shown(mine):.3f} on {len(labels):,} {split} examples, and {constant.name} for "
        f"all gives {shown(best):.3f}",
        split=split,
    )


def judged(*, is_better: bool, is_guessing: bool, same: str | None, compared: str, split: str) -> Chance:
    """What there is to say once a model was compared.

    Args:
        is_better: Whether it is measurably better than the best constant answer.
        is_guessing: Whether its predictions have nothing to do with the labels.
        same: Where it gives the same prediction for all examples, what follows this fact; None where it does not.
        compared: Its figure and that of the constant, as a clause.
        split: What the examples are called.
    """
    if is_better and not is_guessing:
        return Chance(None, False)
    if same is not None:
        return Chance(f"gives every {split} example the same prediction{same}", True)
    if is_guessing:
        return Chance(f"is at chance: {compared}", True)
    return Chance(f"is not measurably better than a constant: {compared}", False)


def is_larger(differences: NDArray[np.float64]) -> bool:
    """Whether a mean is above 0, by a one-sided t test.

    Args:
        differences: ``[n]``, at least one; a single one tells nothing.
    """
    count, mean = len(differences), float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    if error == 0:
        return mean > 0
    return bool(stdtr(max(1, count - 1), -mean / error) < LEVEL)


def _is_guessing(scores_of: ScoresOf, predictions: NDArray[Any], labels: NDArray[Any]) -> bool:
    step = -(-len(labels) // _DEALT)
    some, true = predictions[::step], labels[::step]
    draw = np.random.default_rng(0)
    dealt = [float(scores_of(some[draw.permutation(len(some))], true).mean()) for _ in range(_DEALS)]
    return float(scores_of(some, true).mean()) <= float(np.quantile(dealt, 1 - LEVEL))
