"""Whether a model has learned anything: its predictions against one constant prediction, and against guessing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, ndtri  # type: ignore[import-untyped]

from attar.evidence.measure import correct

_LEVEL = 0.05
"""Of both one-sided tests."""


@dataclass(frozen=True)
class Chance:
    """What there is to say of a model whose accuracy may be worth nothing.

    Attributes:
        sentence: What follows the model's name, without a period; None where it is better than any constant prediction.
        guessing: Whether its predictions have nothing to do with the labels. A model of rare classes may be useful and
            yet no better than the constant prediction that none occurs; one that guesses is not.
    """

    sentence: str | None
    guessing: bool


def chance(logits: NDArray[np.floating], labels: NDArray[np.integer], classes: Sequence[str], split: str) -> Chance:
    """Compare a model's predictions with always giving the most frequent class, and with guessing.

    Better than the constant means that so many right predictions, or more, would come with a probability below 0.05 if
    each were right as often as the constant. Guessing means that the predictions, dealt out to the examples at random,
    would be right as often (mean and variance of a random permutation, one-sided at 0.05).

    Args:
        logits: ``[n, classes]``.
        labels: ``[n]`` class numbers, -1 where unknown.
        classes: Their names.
        split: What the examples are called: ``validation``.
    """
    known = labels >= 0
    predictions, truth = logits[known].argmax(axis=1), labels[known]
    examples, count = len(truth), len(classes)
    predicted_counts = np.bincount(predictions, minlength=count).astype(np.float64)
    label_counts = np.bincount(truth, minlength=count).astype(np.float64)
    if np.count_nonzero(label_counts) < 2:  # nothing to tell apart
        return Chance(None, False)
    right, most = int(correct(logits, labels).sum()), int(label_counts.argmax())
    share = float(label_counts[most]) / examples
    guessing = right <= _by_guessing(predicted_counts, label_counts)
    if not guessing and bdtrc(right - 1, examples, share) < _LEVEL:
        return Chance(None, False)
    shown = f"{right / examples:.1%}"
    if np.count_nonzero(predicted_counts) == 1:
        return Chance(
            f"gives every {split} example the same prediction, {classes[int(predicted_counts.argmax())]!r} ({shown})",
            True,
        )
    constant = f"always predicting {classes[most]!r} gives {share:.1%}"
    if guessing:
        return Chance(f"is at chance: {shown} of {examples:,} {split} examples are right, and {constant}", True)
    return Chance(f"is not measurably better than a constant: {shown} of {examples:,} {split} examples are right, and "
                  f"{constant}", False)  # fmt: skip


def _by_guessing(predicted_counts: NDArray[np.float64], label_counts: NDArray[np.float64]) -> float:
    """Right predictions that guessing reaches in 95 of 100 cases, from the frequencies of predictions and labels."""
    examples = float(label_counts.sum())
    pairs = predicted_counts * label_counts
    mean = float(pairs.sum()) / examples
    unequal = float(pairs.sum() ** 2 - np.square(pairs).sum())
    same = float((pairs * (examples - predicted_counts) * (examples - label_counts)).sum())
    variance = (same + unequal) / (examples**2 * max(1.0, examples - 1))
    return mean + float(ndtri(1 - _LEVEL)) * math.sqrt(variance)
