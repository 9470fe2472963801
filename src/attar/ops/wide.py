"""The precision in which losses are computed."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(values: Tensor) -> Tensor:
    """The same values in float32, or as they are in float64: what half precision cannot add up, these can.

    Example:
        >>> wide(torch.zeros(2, dtype=torch.bfloat16)).dtype, wide(torch.zeros(2, dtype=torch.float64)).dtype
        (torch.float32, torch.float64)
    """
    return values if values.dtype == torch.float64 else values.float()
