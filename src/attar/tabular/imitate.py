"""From rows and what a teacher says about them to a network that says the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from attar.errors import must
from attar.network.spec import Spec
from attar.training.batch import Batch
from attar.training.fit import Fitted, fit
from attar.training.losses.outputs import CenteredLogits, SoftTargets, SquaredError
from attar.training.objective import Loss, Objective, Term
from attar.training.progress import Progress, silent
from attar.training.scoring import Metric, negative_brier, negative_squared_error
from attar.training.settings import Training
from attar.training.threads import threads_for, using_threads

LOSSES: Mapping[str, Loss] = {
    "cross_entropy": SoftTargets(temperature=1.0),
    "squared_error": SquaredError(of="probabilities"),
    "logits": CenteredLogits(),
}
"""How far a classifier's mimic is from its teacher; of regressors it is always the squared error of the values."""

ROUNDS = 20
"""How often a training is judged on validation rows."""


@dataclass(frozen=True)
class Lesson:
    """Rows with what the teacher says about them and, where they are known, the truth.

    Attributes:
        inputs: ``[rows, columns]`` float32, nominals as codes and missing values as NaN.
        targets: ``[rows, outputs]`` float32: logits, or the values of a regression in the units that are learned.
        labels: ``[rows]`` class numbers; None where they are not known or there are no classes.
        values: ``[rows, outputs]`` true values of a regression, in the units of the targets; None likewise.
    """

    inputs: Float32[Tensor, "rows columns"]
    targets: Float32[Tensor, "rows outputs"]
    labels: Int64[Tensor, " rows"] | None = None
    values: Float32[Tensor, "rows outputs"] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        """The batch of some rows, the same in every epoch."""
        return Batch(
            inputs=self.inputs.index_select(0, rows),
            targets=self.targets.index_select(0, rows),
            labels=None if self.labels is None else self.labels.index_select(0, rows),
            values=None if self.values is None else self.values.index_select(0, rows),
            ids=rows,
        )


class Rounds:
    """A lesson cut into rounds of one length, which go around its rows again and again.

    Validation comes after each round, so that a training of a given number of steps is judged equally often on twenty
    rows and on a million.
    """

    def __init__(self, lesson: Lesson, length: int) -> None:
        """Cut.

        Args:
            lesson: The rows, in no particular order.
            length: Rows in one round; may be more than there are.
        """
        self.lesson = lesson
        self.length = length

    def __len__(self) -> int:
        return self.length

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        """The batch of some rows of a round."""
        return self.lesson.batch((rows + epoch * self.length) % len(self.lesson), epoch)


def imitate(
    spec: Spec,
    lesson: Lesson,
    judged: Lesson,
    *,
    loss: Loss,
    by: Literal["teacher", "truth"],
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    progress: Progress = silent,
    title: str = "imitate",
) -> Fitted:
    """Train a network from its beginning to say what the teacher says.

    Args:
        spec: How to build the network; its first weights are drawn from ``seed``.
        lesson: What it learns from.
        judged: Rows that it does not learn from, on which the best of `ROUNDS` rounds is chosen.
        loss: The distance from the teacher that is made small.
        by: Whether a round is judged by that same distance from the teacher, or by the truth of ``judged``: the Brier
            score of its labels, or the squared error of its values.
        steps: Optimizer steps, rounded up to whole rounds.
        batch_size: Rows in a step, at most those of the lesson.
        learning_rate: Peak step size of Adam.
        seed: First weights and order of the rows.
        progress: Sees each step.
        title: Name of the progress bar.

    Raises:
        Diverged: If the loss becomes NaN or infinite.
    """
    batch_size = min(batch_size, len(lesson))
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
    with using_threads(threads_for(network, example=lesson.inputs[:1], batch_size=batch_size)):
        return fit(
            network,
            Objective({"imitate": Term(loss=loss)}),
            Rounds(lesson, math.ceil(steps / rounds) * batch_size),
            settings=settings,
            validation=judged,
            metric=_metric(loss, by, judged),
            progress=progress,
            title=title,
        )


def _metric(loss: Loss, by: Literal["teacher", "truth"], judged: Lesson) -> Metric:
    if by == "truth":
        return negative_brier if judged.labels is not None else negative_squared_error
    return lambda output, batch: -loss(output, batch)


def in_units_(network: nn.Module, center: Float32[Tensor, " outputs"], scale: Float32[Tensor, " outputs"]) -> None:
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
        rule = f"a network whose last linear layer has {len(center)} outputs"
        raise must("network", "in_units_", rule, type(network).__name__, "Use attar.network.architectures.tabular")
    last = linear[-1]
    with torch.no_grad():
        last.weight.mul_(scale[:, None])
        last.bias.mul_(scale).add_(center)
