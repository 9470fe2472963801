"""What flows through the loop: a batch, and where batches come from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from attar.errors import BadInput
from attar.ops.top_k import TopK, full
from attar.renamed import Renamed
from attar.training.features import Features


@dataclass(frozen=True, slots=True)
class Batch:
    """Some examples, with whatever is known about them.

    Attributes:
        inputs: ``[batch, ...]`` float32, as the student receives them.
        labels: What is true, as the task has it: ``[batch]`` int64 class numbers (-1 where unknown),
            ``[batch, position]``, or ``[batch, height, width]``; ``[batch, labels]`` int64 of 1 and 0;
            ``[batch, outputs]`` float32 of a regression. None without labels.
        targets: ``[batch, classes]`` float32, the logits that a teacher gave (for regression: its values; for maps
            ``[batch, classes, height, width]``), or its likeliest classes alone; None without a teacher. A term that
            needs all classes asks `full_targets`.
        ids: ``[batch]`` int64, the identity of each example, the same in every epoch.
        mask: ``[batch]``, ``[batch, position]`` or ``[batch, height, width]`` bool, True where the loss counts; None
            counts everything.
        weights: ``[batch]`` float32, what the losses of each example are multiplied by; None for 1.
        features: What hidden layers gave, for the one term that is computed; only the loop sets it.
    """

    inputs: Tensor
    labels: Tensor | None = None
    targets: Tensor | TopK | None = None
    ids: Tensor | None = None
    mask: Tensor | None = None
    weights: Tensor | None = None
    features: Features | None = None

    dense_targets = Renamed("full_targets")
    values = Renamed("labels")

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def rows(self, start: int, stop: int) -> Batch:
        """The examples from ``start`` up to ``stop``, without a copy."""
        return self._map(lambda tensor: tensor[start:stop])

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def count(self) -> int:
        """How many examples (or positions) count: what the loop divides by."""
        return len(self) if self.mask is None else int(self.mask.sum())

    def targets_for(self, term: str) -> Tensor | TopK:
        """The targets, in whichever form they are there.

        Args:
            term: Who asks; named in the error.

        Raises:
            BadInput: If there are none.
        """
        if self.targets is None:
            raise BadInput(
                f"targets of the batch must be present for {term}; got none. Give a teacher or drop the term."
            )
        return self.targets

    def full_targets(self, term: str) -> Tensor:
        """The targets as logits of all classes, ``[batch, classes]``; what the top k left out is shared evenly.

        Args:
            term: Who asks; named in the error.

        Raises:
            BadInput: If there are none.
        """
        return full(self.targets_for(term))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        names = ("inputs", "labels", "targets", "ids", "mask", "weights", "features")
        fields = {name: getattr(self, name) for name in names}
        changed: dict[str, Any] = {
            name: value.map(change) if isinstance(value, TopK | Features) else change(value)
            for name, value in fields.items()
            if value is not None
        }
        return replace(self, **changed)


@runtime_checkable
class Source(Protocol):
    """Where the loop gets its batches: anything that can build the batch of given rows in a given epoch."""

    def __len__(self) -> int:
        """Number of examples in one epoch."""
        ...

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        """The batch of ``rows`` (``[batch]`` int64 positions, 0 <= row < len) as they look in ``epoch``.

        It must depend on its arguments alone, so that a resumed run sees what the uninterrupted one saw.
        """
        ...


def micro_batches(batch: Batch, size: int | None) -> list[Batch]:
    """A batch in pieces of even sizes, of ``size`` examples at most; in one where that is None."""
    if size is None or size >= len(batch):
        return [batch]
    count = math.ceil(len(batch) / size)
    cuts = [len(batch) * piece // count for piece in range(count + 1)]
    return [batch.rows(start, stop) for start, stop in itertools.pairwise(cuts)]


def of_counted(values: Tensor, batch: Batch) -> Tensor:
    """One value for each example (or position) that counts: what `Batch.count` counts.

    Positions beyond that are averaged, as all examples have equally many.

    Args:
        values: ``[batch, ...]``, or of the mask's shape with further axes where the mask has positions.
        batch: The examples.

    Returns:
        ``[batch]``, or ``[count]`` where there is a mask.
    """
    dimensions = 1 if batch.mask is None else batch.mask.dim()
    if values.dim() > dimensions:
        values = values.flatten(dimensions).mean(-1)
    return values if batch.mask is None else values[batch.mask]


def weighted(values: Tensor, batch: Batch) -> Tensor:
    """What `of_counted` gives, times what each example counts."""
    if batch.weights is None:
        return values
    if batch.mask is None:
        return values * batch.weights
    weights = batch.weights.reshape(-1, *[1] * (batch.mask.dim() - 1)).expand(batch.mask.shape)
    return values * weights[batch.mask]
