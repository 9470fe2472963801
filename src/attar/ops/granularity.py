"""Which values of a tensor share one scale, and the tensor laid out as one row per such group."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from attar.errors import must


@dataclass(frozen=True)
class PerTensor:
    """One scale for all values: ``[...]`` becomes ``[1, values]``."""

    def groups(self, shape: tuple[int, ...]) -> int:
        """How many groups a tensor of this shape has."""
        return 1

    def rows(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "groups size"]:
        """The tensor with one group a row."""
        return tensor.reshape(1, -1)

    def from_rows(self, rows: Shaped[Tensor, "groups size"], shape: tuple[int, ...]) -> Shaped[Tensor, "..."]:
        """The tensor of this shape whose `rows` these are."""
        return rows.reshape(shape)


@dataclass(frozen=True)
class PerAxis:
    """One scale for each index along ``axis``: ``[out, in, 3, 3]`` with axis 0 becomes ``[out, in * 9]``.

    A scalar is one group. Axis 0 is that of a layer's outputs, but of the inputs in a transposed convolution, whose
    outputs are axis 1.
    """

    axis: int = 0

    def groups(self, shape: tuple[int, ...]) -> int:
        """How many groups a tensor of this shape has."""
        return shape[self._axis(shape)] if shape else 1

    def rows(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "groups size"]:
        """The tensor with one group a row."""
        if not tensor.dim():
            return tensor.reshape(1, 1)
        first = tensor.movedim(self._axis(tuple(tensor.shape)), 0)
        return first.reshape(first.shape[0], -1) if first.numel() else first.new_empty(first.shape[0], 0)

    def from_rows(self, rows: Shaped[Tensor, "groups size"], shape: tuple[int, ...]) -> Shaped[Tensor, "..."]:
        """The tensor of this shape whose `rows` these are."""
        if not shape:
            return rows.reshape(shape)
        axis = self._axis(shape)
        rest = shape[:axis] + shape[axis + 1 :]
        return rows.reshape(shape[axis], *rest).movedim(0, axis)

    def _axis(self, shape: tuple[int, ...]) -> int:
        if not -len(shape) <= self.axis < len(shape):
            rule = f"an axis of a tensor of shape {shape}"
            raise must("axis", "PerAxis", rule, self.axis, "0 is that of most layers' outputs")
        return self.axis % len(shape)


@dataclass(frozen=True)
class PerGroup:
    """One scale for every ``group_size`` consecutive values of the flattened tensor; a paper's word for it is bucket.

    The last group is filled up with the tensor's last value, which changes neither its smallest nor its largest. A
    tensor with fewer values than ``group_size`` is one group.

    References:
        Polino, Pascanu, Alistarh, *Model compression via distillation and quantization*, 2018, section 2.
    """

    group_size: int = 256

    def __post_init__(self) -> None:
        if self.group_size < 1:
            raise must("group_size", "PerGroup", "at least 1", self.group_size, "256 is usual")

    def groups(self, shape: tuple[int, ...]) -> int:
        """How many groups a tensor of this shape has."""
        return max(-(-torch.Size(shape).numel() // self.group_size), 1)

    def rows(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "groups size"]:
        """The tensor with one group a row."""
        flat = tensor.reshape(-1)
        count = len(flat)
        if count <= self.group_size:
            return flat.reshape(1, -1)
        if missing := self.filled(count):
            flat = torch.cat([flat, flat[-1:].expand(missing)])
        return flat.view(-1, self.group_size)

    def filled(self, count: int) -> int:
        """How many values fill up the last group of a tensor with so many values."""
        return -count % self.group_size if count > self.group_size else 0

    def from_rows(self, rows: Shaped[Tensor, "groups size"], shape: tuple[int, ...]) -> Shaped[Tensor, "..."]:
        """The tensor of this shape whose `rows` these are."""
        return rows.reshape(-1)[: torch.Size(shape).numel()].reshape(shape)


Granularity = PerTensor | PerAxis | PerGroup

PER_TENSOR = PerTensor()
BUCKETS = PerGroup(256)
"""The paper's buckets: what formats with a scale for each group begin with."""
