"""Outputs of which an axis in the middle is the classes: a map has them first, as convolutions give them."""

from __future__ import annotations

from torch import Tensor

_MAP = 4
"""Axes of a batch of maps."""


def classes_last(outputs: Tensor) -> Tensor:
    """Outputs with their classes along the last axis, where all losses look for them; no copy.

    Args:
        outputs: ``[batch, classes, height, width]`` becomes ``[batch, height, width, classes]``; anything of another
            number of axes has its classes last already.

    Example:
        >>> import torch
        >>> classes_last(torch.zeros(2, 3, 4, 5)).shape
        torch.Size([2, 4, 5, 3])
    """
    return outputs.movedim(1, -1) if outputs.dim() == _MAP else outputs
