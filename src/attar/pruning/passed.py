"""What stands where a layer was that a network goes on without."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Passed(nn.Module):
    """Stands for a layer that is left out: gives what it takes, the first where it takes several."""

    def forward(self, inputs: Tensor, *_: Any, **__: Any) -> Tensor:
        """The first input."""
        return inputs


class Zeros(nn.Module):
    """Stands for the last layer of a branch of which nothing is left: zeros in the shape of what it takes.

    What is added to them passes the branch by.
    """

    def forward(self, inputs: Tensor, *_: Any, **__: Any) -> Tensor:
        """Zeros like the first input."""
        return torch.zeros_like(inputs)


class _ForAttention(nn.Module):
    """What `torch.nn.TransformerEncoderLayer` looks at before it calls an attention, so that it does call it."""

    in_proj_bias = None

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first


class PassedAttention(_ForAttention):
    """Stands for attention that is left out: gives its queries, and no weights."""

    def forward(self, query: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """The queries."""
        return query, None


class ZerosOfAttention(_ForAttention):
    """Stands for attention that was all of a branch: zeros in the shape of its queries, and no weights."""

    def forward(self, query: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Zeros like the queries."""
        return torch.zeros_like(query), None


STAND_INS = (Passed, Zeros, PassedAttention, ZerosOfAttention)
"""All that stands for layers that are gone."""


def stand_in(layer: nn.Module, zeros: bool) -> nn.Module:
    """What takes the place of a layer: of torch's attention one that is called as such.

    Args:
        layer: Any module.
        zeros: Whether it gives zeros; else what it takes.
    """
    if isinstance(layer, nn.MultiheadAttention):
        found: nn.Module = (ZerosOfAttention if zeros else PassedAttention)(layer.batch_first)
    else:
        found = Zeros() if zeros else Passed()
    return found.train(layer.training)
