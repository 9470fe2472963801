"""Training a network on rows and the teacher's outputs for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from attar.errors import BadInput
from attar.network.spec import Spec
from attar.tasks.classification import RMSE_OF_PROBABILITIES
from attar.tasks.metrics import RMSE_OF_VALUES
from attar.training.batch import Batch
from attar.training.fit import fit
from attar.training.losses.outputs import CenteredLogits, SoftTargets, SquaredError
from attar.training.objective import Loss, Objective, Term
from attar.training.progress import Progress, silent
from attar.training.results import Fitted
from attar.training.scoring import Score, score_by
from attar.training.settings import Training
from attar.training.threads import threads_for, using_threads

LOSSES: Mapping[str, Loss] = {
    "kl_divergence": SoftTargets(temperature=1.0),
    "squared_error": SquaredError(kind="probabilities"),
    "logits": CenteredLogits(),
}
"""How far a classifier's mimic is from its teacher; of regressors it is always the squared error of the values."""

ROUNDS = 20
"""How often a training is judged on validation rows."""


@dataclass(frozen=True)
class LabeledRows:
    """Rows with the teacher's outputs and, where they are known, true labels or values.

    Attributes:
        inputs: ``[rows, columns]`` float32, nominals as codes and missing values as NaN.
        targets: ``[rows, outputs]`` float32: logits, or the values of a regression standardized.
        labels: ``[rows]`` class numbers; None where they are not known or there are no classes.
        values: ``[rows, outputs]`` true values of a regression, standardized as the targets are; None likewise.
    """

    inputs: Float32[Tensor, "rows columns"]
    targets: Float32[Tensor, "rows outputs"]
    labels: Int64[Tensor, " rows"] | None = None
    values: Float32[Tensor, "rows outputs"] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        """The batch of some rows, the same in every epoch."""
        truth = self.values if self.labels is None else self.labels
        return Batch(
            inputs=self.inputs.index_select(0, rows),
            targets=self.targets.index_select(0, rows),
            labels=None if truth is None else truth.index_select(0, rows),
            ids=rows,
        )


class Rounds:
    """Labeled rows cut into rounds of one length, which go through the rows again and again.

    Validation comes after each round, so that a training of a given number of steps is judged equally often on twenty
    rows and on a million.
    """

    def __init__(self, data: LabeledRows, length: int) -> None:
        """Cut the rows into rounds.

        Args:
            data: The rows, in no particular order.
            length: Rows in one round; may be more than there are.
        """
        self.data = data
        self.length = length

    def __len__(self) -> int:
        return self.length

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        """The batch of some rows of a round."""
        return self.data.batch((rows + epoch * self.length) % len(self.data), epoch)


def train_student(
    spec: Spec,
    data: LabeledRows,
    validation: LabeledRows,
    *,
    loss: Loss,
    by: Literal["teacher", "truth"],
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    progress: Progress = silent,
    title: str = "train",
) -> Fitted:
    """Train a network from its first weights to give the teacher's outputs.

    Args:
        spec: How to build the network; its first weights are drawn from ``seed``.
        data: What it learns from.
        validation: Rows that it does not learn from, on which the best of `ROUNDS` rounds is chosen.
        loss: The distance from the teacher that is made small.
        by: Whether a round is judged by that same distance from the teacher, or by the truth of ``validation``: the
            Brier score of its labels, or the squared error of its values.
        steps: Optimizer steps, rounded up to whole rounds.
        batch_size: Rows in a step, at most all of ``data``.
        learning_rate: Peak step size of Adam.
        seed: First weights and order of the rows.
        progress: Sees each step.
        title: Name of the progress bar.

    Raises:
        Diverged: If the loss becomes NaN or infinite.
    """
    batch_size = min(batch_size, len(data))
    rounds = min(ROUNDS, steps)
    settings = Training(
        epochs=rounds,
        batch_size=batch_size,
        optimizer="adam",
        learning_rate=learning_rate,
        schedule="one_cycle",
        seed=seed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = spec.build()
    with using_threads(threads_for(network, example=data.inputs[:1], batch_size=batch_size)):
        return fit(
            network,
            Objective({"distill": Term(loss=loss)}),
            Rounds(data, math.ceil(steps / rounds) * batch_size),
            settings=settings,
            validation=validation,
            metric=_metric(loss, by, validation),
            progress=progress,
            title=title,
        )


def _metric(loss: Loss, by: Literal["teacher", "truth"], validation: LabeledRows) -> Score:
    if by == "truth":
        return score_by(RMSE_OF_VALUES if validation.labels is None else RMSE_OF_PROBABILITIES)
    return lambda output, batch: -loss(output, batch)


def unstandardize_(network: nn.Module, center: Float32[Tensor, " outputs"], scale: Float32[Tensor, " outputs"]) -> None:
    """Change a network that gives standardized values into one that gives values, by its last layer.

    Args:
        network: Ends in an `nn.Linear`, which is changed.
        center: What to add to each output.
        scale: What to multiply it by first.

    Raises:
        BadInput: If the network has no linear layer with as many outputs.
    """
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not linear or linear[-1].out_features != len(center):
        raise BadInput(
            f"unstandardize_ needs a network whose last linear layer has {len(center)} outputs; "
            f"this {type(network).__name__} has none. Use attar.network.architectures.tabular."
        )
    last = linear[-1]
    with torch.no_grad():
        last.weight.mul_(scale[:, None])
        last.bias.mul_(scale).add_(center)
