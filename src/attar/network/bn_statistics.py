"""The running statistics of batch normalization, taken anew."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from attar.network.forward import forward


def take_bn_stats_(network: nn.Module, batches: Iterable[Tensor]) -> bool:
    """Replace the running statistics of batch normalization by the means over some batches, in place.

    What was learned with other weights, or by few steps, may be far from what the network now has. All other layers
    are in evaluation mode meanwhile.

    Args:
        network: On the device of the batches.
        batches: Inputs ``[batch, ...]``, more than one row each.

    Returns:
        Whether there was such a layer; without, no batch is asked for.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm1d(1))
        >>> take_bn_stats_(network, [torch.tensor([[1.0], [3.0]]), torch.tensor([[3.0], [5.0]])])
        True
        >>> network[0].running_mean
        tensor([3.])
    """
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    if not norms:
        return False
    modes = [(layer, layer.training) for layer in network.modules()]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches, each counting the same
        norm.train()
    try:
        with torch.no_grad():
            for batch in batches:
                forward(network, batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for layer, mode in modes:
            layer.training = mode
    return True
