"""How images lie in memory: channels last, in which convolutions run faster (see benchmarks/kd_step.py)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def lay_out_(network: nn.Module) -> nn.Module:
    """Lay out the weights of a network with two-dimensional convolutions channels last, in place, and return it.

    The numbers stay what they are; sums are taken in another order, so that results may differ in their last bits.
    """
    if any(isinstance(layer, nn.Conv2d) for layer in network.modules()):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def laid_out(inputs: Tensor) -> Tensor:
    """The same inputs, images ``[batch, channels, height, width]`` among them channels last."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs
