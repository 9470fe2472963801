"""What a specialist learns from: examples of its own classes, mixed with others that all have one label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from attar.errors import must
from attar.tasks.labels import ABSENT
from attar.training.batch import Batch, Source


class Mixture:
    """A source of the examples of some classes, and of a random part of all others, labelled as one class.

    In each epoch every example of the special classes is there once; the others are drawn anew, each at most once
    unless there are too few, by seed and epoch alone.

    Attributes:
        special: ``[n]``, rows of the examples of the special classes.
        rest: ``[m]``, rows of all others whose label is known.
    """

    def __init__(
        self,
        data: Source,
        labels: Tensor,
        classes: Sequence[int],
        *,
        of: int,
        fraction: float = 0.5,
        seed: int = 0,
        fixed: bool = False,
    ) -> None:
        """Mix examples.

        Args:
            data: Where they come from.
            labels: ``[len(data)]`` int64 class numbers; `ABSENT` leaves an example out.
            classes: The special classes; in this order they are the labels 0, 1, ... of the batches, and the rest is
                the label after them.
            of: How many classes there are.
            fraction: Share of the special classes in an epoch, between 0 and 1.
            seed: Of the draws.
            fixed: Every epoch is the first one, also in what ``data`` is asked for: for validation.

        Raises:
            BadInput: If there is no example of the special classes, or no other.
        """
        self.data, self.seed, self.fixed = data, seed, fixed
        self.lookup = torch.full((of,), len(classes), dtype=torch.int64)
        self.lookup[list(classes)] = torch.arange(len(classes))
        known = labels != ABSENT
        mine = known & (self.lookup[labels.clamp_min(0)] < len(classes))
        self.labels = labels
        self.special, self.rest = mine.nonzero()[:, 0], (known & ~mine).nonzero()[:, 0]
        for name, rows in (("of the classes", self.special), ("of other classes", self.rest)):
            if len(rows) == 0:
                remedy = "Choose other class sets, or give more examples"
                raise must(f"examples {name} {list(classes)[:8]}", "a specialist", "at least one", 0, remedy)
        self.others = max(1, round(len(self.special) * (1 - fraction) / fraction))
        self._drawn: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.special) + self.others

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        """The batch of some rows in an epoch; it depends on nothing else."""
        epoch = 0 if self.fixed else epoch
        chosen = torch.cat([self.special, self._others(epoch)])[rows]
        batch = self.data.batch(chosen, epoch)
        return replace(batch, labels=self.lookup[self.labels[chosen]], targets=None)

    def _others(self, epoch: int) -> Tensor:
        if self._drawn is None or self._drawn[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            rounds = -(-self.others // len(self.rest))
            drawn = torch.cat([torch.randperm(len(self.rest), generator=generator) for _ in range(rounds)])
            self._drawn = epoch, self.rest[drawn[: self.others]]
        return self._drawn[1]
