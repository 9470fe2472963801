"""Scores on validation data, by which the best epoch is chosen: one value per example, higher is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.formatting import percent, significant
from attar.network.forward import forward
from attar.network.layout import laid_out
from attar.tasks.classification import ACCURACY
from attar.tasks.metrics.metric import Metric, validation_figure
from attar.tasks.task import Task, metric_of
from attar.training.batch import Batch, Source, of_counted, weighted

Scorer = Callable[[Tensor, Batch], Tensor]
"""The student's output and the batch in, one value per example (or position) out."""


@runtime_checkable
class OfTask(Protocol):
    """A source of batches that says what its labels mean."""

    @property
    def task(self) -> Task:
        """What outputs and labels mean."""
        ...


@dataclass(frozen=True)
class _ByMetric:
    metric: Metric

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        if batch.labels is None:
            raise BadInput(
                f"labels of the validation data must be present for the {self.metric.title}; got none. Give labels, or "
                "another score."
            )
        values = self.metric.scores(output.float().cpu().numpy(), batch.labels.cpu().numpy())
        return torch.from_numpy(values.astype(np.float64)).to(output.device)


def score_by(metric: Metric) -> Scorer:
    """The score that a metric of a task gives a batch, in float64."""
    return _ByMetric(metric)


def in_words(score: float, scorer: Scorer) -> str:
    """A mean score on validation as people know it, with the name of its metric where it is that of one.

    Example:
        >>> in_words(0.972, score_by(ACCURACY)), in_words(0.25, lambda output, batch: output)
        ('accuracy 97.2%', 'score 0.250')
    """
    if not isinstance(scorer, _ByMetric):
        return f"score {significant(score)}"
    ((_, figure),) = validation_figure(score, scorer.metric).items()
    return f"{scorer.metric.title} {percent(figure) if scorer.metric.unit == 'share' else significant(figure)}"


def usual_score(validation: Source | None) -> Scorer:
    """The score of the task that validation data are of; accuracy where they do not say what they are of."""
    return score_by(metric_of(validation.task) if isinstance(validation, OfTask) else ACCURACY)


def total_score(
    student: nn.Module, data: Source, rows: Tensor, score: Scorer, device: torch.device, channels_last: bool = False
) -> tuple[float, float]:
    """The sum of the scores of some examples, and how many of them count: both by their weights, where they have some.

    Args:
        student: In evaluation mode, on the device.
        data: The examples.
        rows: ``[n]`` int64 positions in them; there may be none.
        score: Score per example.
        device: Where the student is.
        channels_last: Whether its images lie channels last.
    """
    total, count = 0.0, 0.0
    with torch.inference_mode():
        for some in torch.split(rows, _ROWS) if len(rows) else ():
            batch = data.batch(some, 0).to(device)
            inputs = laid_out(batch.inputs) if channels_last else batch.inputs
            values = score(forward(student, inputs, of="The student"), batch)
            if batch.mask is not None and values.dim() < batch.mask.dim():
                # The score of a whole example counts once, of however many positions it is.
                batch = replace(batch, mask=batch.mask.flatten(1).any(1))
            counted = of_counted(values, batch)
            total += float(weighted(counted, batch).sum())
            count += batch.count() if batch.weights is None else float(weighted(torch.ones_like(counted), batch).sum())
    return total, count


_ROWS = 512
"""Examples that are scored at once."""
