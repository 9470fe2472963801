"""How good what a mimic says is against the truth: its losses at the temperature that suits it, and its errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attar.ops.divergence import cross_entropy
from attar.tasks.task import Task

TEMPERATURES = np.exp(np.linspace(-1.0, 1.5, 51))
"""What logits are divided by in tries, each 5% more than the one before."""


def cooled_losses(
    task: Task, answers: Tensor, truth: Tensor, weights: npt.NDArray[Any] | None = None, *, fixed: bool = False
) -> tuple[float, npt.NDArray[np.float64]]:
    """The temperature nearest to 1 at which log-loss is least but for its standard error; and each row's loss at it.

    A copy of the teacher has learned from fewer rows and is surer of itself, so that the best one would be too high.
    Of values it is 1.

    Args:
        task: What answers mean.
        answers: ``[rows, outputs]`` logits, log-odds or values.
        truth: As the task has it.
        weights: ``[rows]``, what each counts; None for 1.
        fixed: Whether it is 1 in any case.
    """
    uncooled = _losses(task, answers, truth)
    if task.target == "values" or fixed:
        return 1.0, uncooled
    tried = [_losses(task, answers / float(one), truth) for one in TEMPERATURES]
    best = min(tried, key=lambda one: float(np.average(one, weights=weights)))
    place = min(
        (place for place, one in enumerate(tried) if not worse(one, best, weights)),
        key=lambda place: abs(math.log(TEMPERATURES[place])),
    )
    return (float(TEMPERATURES[place]), tried[place]) if worse(uncooled, best, weights) else (1.0, uncooled)


def worse(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], weights: npt.NDArray[Any] | None = None
) -> bool:
    """Whether losses of the same rows are larger by more than the standard error of the (weighted) mean difference.

    Args:
        one: ``[rows]`` losses.
        other: ``[rows]``, of the same rows.
        weights: ``[rows]``, what each counts; None for 1.
    """
    apart, rows = one - other, len(one)
    mean = np.average(apart, weights=weights)
    shares = 1.0 if weights is None else weights.astype(np.float64) * rows / weights.sum(dtype=np.float64)
    error = math.sqrt(np.square(shares * (apart - mean)).sum() / (rows - 1)) / math.sqrt(rows) if rows > 1 else 0.0
    return bool(mean > error)


def _losses(task: Task, answers: Tensor, truth: Tensor) -> npt.NDArray[np.float64]:
    """``[rows]``: log-loss of classes, that of labels on average, or squared errors in units of the truth's spread.

    Values that do not vary count in their own units: divided by next to nothing, they alone would decide.
    """
    answers = answers.double()
    if task.target == "logits":
        found = cross_entropy(answers, truth)
    elif task.target == "log_odds":
        given = truth.double()
        found = torch.nn.functional.binary_cross_entropy_with_logits(answers, given, reduction="none").mean(1)
    else:
        values = truth.double()
        varies = (values != values[:1]).any(0)
        spread = torch.where(varies, values.std(0, correction=min(1, len(values) - 1)), 1.0)
        found = ((answers - values) / spread).square().mean(1)
    return np.asarray(found.numpy(), np.float64)


def errors_of(task: Task, answers: Tensor, truth: Tensor, losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Whether the likeliest class is wrong, the share of labels that are, or the losses of values, ``[rows]``.

    Args:
        task: What answers mean.
        answers: ``[rows, outputs]`` logits, log-odds or values.
        truth: As the task has it.
        losses: ``[rows]``, of values.
    """
    if task.target == "logits":
        return np.asarray((answers.argmax(1) != truth).double().numpy())
    if task.target == "log_odds":
        return np.asarray(((answers > 0) != (truth > 0)).double().mean(1).numpy())
    return losses
