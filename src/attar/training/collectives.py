"""What the processes of one training add up and agree on."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn


class Collectives:
    """What the processes of a fabric do together, each of them in the same order; alone it costs nothing.

    Attributes:
        processes: How many there are.
        rank: Which of them this one is, from 0.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.processes, self.rank = fabric.world_size, fabric.global_rank

    def added_up(self, values: Tensor) -> Tensor:
        """The sum over the processes of the values that each of them has."""
        if self.processes == 1:
            return values
        added = self._fabric.all_reduce(values, reduce_op="sum")
        assert isinstance(added, Tensor)
        return added

    def total(self, count: int) -> int:
        """The sum of what each of them counts."""
        return count if self.processes == 1 else int(self.added_up(torch.tensor(count, device=self._fabric.device)))

    def agreed(self, value: bool) -> bool:
        """What the first process finds."""
        return value if self.processes == 1 else self._fabric.broadcast(value)

    def share_buffers(self, modules: Iterable[nn.Module | None]) -> None:
        """Give all processes the first one's buffers: batch normalization has seen other examples in each."""
        if self.processes > 1:
            for buffer in [buffer for module in modules if module is not None for buffer in module.buffers()]:
                buffer.copy_(self._fabric.broadcast(buffer))
