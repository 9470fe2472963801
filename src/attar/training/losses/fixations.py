"""The loss on where people looked, of a network that gives a logit for each pixel of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attar.errors import BadInput
from attar.ops.dtypes import at_least_float32
from attar.tasks.labels import LabelKind
from attar.tasks.target import Target
from attar.training.batch import Batch
from attar.training.checked import named
from attar.training.objective import Read


@named
@dataclass(frozen=True, kw_only=True)
class Fixations:
    """Negative log-likelihood of fixations, mean over those of an image; an image without one costs nothing.

    References:
        Kümmerer, Wallis, Bethge, *DeepGaze II*, 2016. arXiv:1610.01563
    """

    suits: ClassVar[frozenset[Target]] = frozenset({"logits"})
    reads: ClassVar[frozenset[Read]] = frozenset({"labels"})
    label_kinds: ClassVar[frozenset[LabelKind]] = frozenset({"fixations"})

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Nats per fixation, for each image; output is ``[batch, height * width]`` logits, row by row."""
        if batch.labels is None:
            raise BadInput(
                "labels of the batch must be present for Fixations; got none. Give fixations or drop the term."
            )
        counts = batch.labels.flatten(1).clamp(min=0).to(output.device, at_least_float32(output).dtype)
        log_density = at_least_float32(output).log_softmax(-1)
        return -(counts * log_density).sum(-1) / counts.sum(-1).clamp(min=1)
