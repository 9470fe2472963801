"""Losses on how examples stand to each other: the student is to have the teacher's geometry, not its numbers.

Relations are those among the examples of one micro-batch on one process, as nothing else is in memory at that moment:
`Training.micro_batch_size` and the number of processes change these losses, and no others. Examples that a mask leaves
out have no relations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from attar.errors import must
from attar.ops.dtypes import at_least_float32
from attar.ops.relations import angles, huber, relative_distances
from attar.training.batch import Batch
from attar.training.losses.features import check_layers, features_of


@dataclass(frozen=True, kw_only=True)
class RelationalDistances:
    """Huber loss of the distances between the examples of a micro-batch, each network's over its own mean distance.

    An example's value is the mean over its distances to all examples, that of 0 to itself included, so that the mean
    over a batch is what the authors' code gives; published weights, of 25 or so, hold here. One example alone has no
    relations, and the loss 0.

    Without layers it reads the outputs, each example's logits centered first: softmax ignores the constant, and stores
    of targets drop it.

    Attributes:
        student_layer: Dotted name of the layer of the student, flattened; None for its output.
        teacher_layer: Dotted name of the layer of the teacher; None for the targets.

    References:
        Park, Kim, Lu, Cho, *Relational Knowledge Distillation*, 2019, section 3.2.1. arXiv:1904.05068
    """

    student_layer: str | None = None
    teacher_layer: str | None = None

    def __post_init__(self) -> None:
        check_layers(self.student_layer, self.teacher_layer, "RelationalDistances")

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean over the other end of the Huber losses of an example's distances, per example."""
        return _related(self, output, batch, lambda points: relative_distances(points))


@dataclass(frozen=True, kw_only=True)
class RelationalAngles:
    """Huber loss of the cosines of the angles between the examples of a micro-batch.

    An example's value is the mean over all angles of which it is the vertex, so that the mean over a batch is what the
    authors' code gives; published weights, of 50 or so, hold here. It takes memory and time by the cube of the number
    of examples: keep micro-batches at a few hundred, and layers narrow.

    Without layers it reads the outputs, centered, as `RelationalDistances` does.

    Attributes:
        student_layer: Dotted name of the layer of the student, flattened; None for its output.
        teacher_layer: Dotted name of the layer of the teacher; None for the targets.

    References:
        Park, Kim, Lu, Cho, *Relational Knowledge Distillation*, 2019, section 3.2.2. arXiv:1904.05068
    """

    student_layer: str | None = None
    teacher_layer: str | None = None

    def __post_init__(self) -> None:
        check_layers(self.student_layer, self.teacher_layer, "RelationalAngles")

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean over both other ends of the Huber losses of the angles at an example, per example."""
        return _related(self, output, batch, lambda points: angles(points).flatten(1))


def _related(
    term: RelationalDistances | RelationalAngles,
    output: Tensor,
    batch: Batch,
    relations: Callable[[Tensor], Tensor],
) -> Tensor:
    """Mean Huber loss of each example's relations to all that count; 0 for an example that does not."""
    if term.student_layer is None:
        targets = batch.full_targets(type(term).__name__)
        student, teacher = (
            at_least_float32(logits) - at_least_float32(logits).mean(-1, keepdim=True) for logits in (output, targets)
        )
    else:
        features = features_of(batch, type(term).__name__)
        student, teacher = at_least_float32(features.student), at_least_float32(features.teacher)
    student, teacher = student.flatten(1), teacher.flatten(1)
    if batch.mask is None:
        return huber(relations(student), relations(teacher)).mean(1)
    if batch.mask.dim() > 1:
        rule = "one value per example, as these are relations of examples"
        raise must("mask", type(term).__name__, rule, tuple(batch.mask.shape), "Drop the term")
    counted = batch.mask.nonzero().squeeze(1)
    losses = student.new_zeros(len(student))
    if len(counted) == 0:
        return losses + student.sum() * 0  # The loop asks for a gradient even where it is 0.
    return losses.index_add(0, counted, huber(relations(student[counted]), relations(teacher[counted])).mean(1))
