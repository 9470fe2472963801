"""Networks in float32, whatever numbers they came in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.network.forward import floating_types, forward


def number_types(network: nn.Module) -> tuple[str, ...]:
    """The types of the floating parameters and buffers of a network other than float32, by name.

    Example:
        >>> number_types(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1).half()))
        ('float16',)
    """
    found = floating_types(network) - {torch.float32}
    return tuple(sorted(str(kind).removeprefix("torch.") for kind in found))


def in_float32(network: nn.Module, rows: Tensor) -> nn.Module | None:
    """A copy of a network in float32, if that runs: code that converts its inputs to another type itself does not.

    Args:
        network: The network; not changed.
        rows: ``[n, ...]`` inputs that it is tried on.

    Returns:
        The copy, in the modes of the network; None if float32 is not for it.
    """
    floats = copied(network).float()
    try:
        with evaluating(floats):
            forward(floats, rows)
    except Exception:  # a network may raise anything
        return None
    return floats
