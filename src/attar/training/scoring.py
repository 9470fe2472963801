"""Scores on validation data, by which the best epoch is chosen: one value per example, higher is better."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import BadInput
from attar.network.forward import forward
from attar.network.layout import laid_out
from attar.training.batch import ABSENT, Batch, Source, of_counted

Metric = Callable[[Tensor, Batch], Tensor]
"""The student's output and the batch in, one value per example out."""


def accuracy(output: Tensor, batch: Batch) -> Tensor:
    """1 where the largest logit is the label's, else 0, per example; examples without a label count as wrong."""
    if batch.labels is None:
        raise BadInput(
            "labels of the validation data must be present to score accuracy; got none. Pass another metric."
        )
    return ((output.argmax(-1) == batch.labels) & (batch.labels != ABSENT)).float()


def negative_log_loss(output: Tensor, batch: Batch) -> Tensor:
    """Log-likelihood of the label in nats, per example; an example without a label counts 0."""
    labels = _labels(batch, "log loss")
    return -functional.cross_entropy(output.float(), labels, ignore_index=ABSENT, reduction="none")


def negative_brier(output: Tensor, batch: Batch) -> Tensor:
    """Minus the mean squared difference of probabilities and one-hot labels, per example, -1 to 0.

    The mean is over the classes: for two classes the square of the error of the positive one, whose root over the
    examples is what Bucila, Caruana, Niculescu-Mizil, *Model Compression*, 2006, report.

    References:
        Brier, *Verification of forecasts expressed in terms of probability*, 1950.
    """
    labels = _labels(batch, "the Brier score")
    truth = functional.one_hot(labels.clamp_min(0), output.shape[-1])
    errors = (output.float().softmax(-1) - truth).square().mean(-1)
    return -errors * (labels != ABSENT)


def negative_squared_error(output: Tensor, batch: Batch) -> Tensor:
    """Minus the mean squared difference of outputs and the batch's values, per example."""
    if batch.values is None:
        raise BadInput("values of the validation data must be present for the squared error; got none. Give values.")
    return -(output.float() - batch.values).square().mean(-1)


METRICS: dict[str, Metric] = {"accuracy": accuracy, "log_loss": negative_log_loss, "brier": negative_brier}
"""What a recipe may choose epochs by."""


def total_score(
    student: nn.Module, data: Source, rows: Tensor, metric: Metric, device: torch.device, channels_last: bool = False
) -> tuple[float, int]:
    """The sum of the scores of some examples, and how many of them count.

    Args:
        student: In evaluation mode, on the device.
        data: The examples.
        rows: ``[n]`` int64 positions in them; there may be none.
        metric: Score per example.
        device: Where the student is.
        channels_last: Whether its images lie channels last.
    """
    total, count = 0.0, 0
    with torch.inference_mode():
        for some in torch.split(rows, _ROWS) if len(rows) else ():
            batch = data.batch(some, 0).to(device)
            inputs = laid_out(batch.inputs) if channels_last else batch.inputs
            values = metric(forward(student, inputs, of="The student"), batch)
            total += float(of_counted(values.float(), batch).sum())
            count += batch.count()
    return total, count


_ROWS = 512
"""Examples that are scored at once."""


def _labels(batch: Batch, of: str) -> Tensor:
    if batch.labels is None:
        raise BadInput(f"labels of the validation data must be present for {of}; got none. Pass another metric.")
    return batch.labels
