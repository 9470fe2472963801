"""Copies of networks."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TypeVar

from torch import Tensor, nn

from attar.errors import AttarError, BadInput

Network = TypeVar("Network", bound=nn.Module)


def copied(network: Network) -> Network:
    """A copy of a network with weights of its own, also of one that holds tensors that it computed from its weights.

    Torch refuses to copy the latter (`torch.nn.utils.weight_norm` makes such networks). They are computed again in the
    next forward pass, so that the copy gets their values alone.

    Args:
        network: Any module; not changed.

    Raises:
        BadInput: If it holds something that cannot be copied, such as a lock.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> layer.doubled = 2 * layer.weight
        >>> copied(layer).doubled.requires_grad
        False
    """
    memo: dict[int, object] = {}
    for module in network.modules():
        for value in chain(vars(module).values(), module._buffers.values()):
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(network, memo)
    except (AttarError, MemoryError):
        raise
    except Exception as error:  # whatever the attributes of a user's module raise
        raise _not_copied(network, error) from error


def _not_copied(network: nn.Module, error: Exception) -> BadInput:
    """The error for a network with something in it that cannot be copied, such as a lock or an open file."""
    place = ""
    for name, module in network.named_modules():
        for attribute, value in vars(module).items():
            if attribute in ("_parameters", "_buffers", "_modules"):
                continue
            try:
                copy.deepcopy(value)
            except Exception:  # what it is does not matter: it is here
                place = place or f", which is in its {f'{name}.{attribute}' if name else attribute!r}"
    return BadInput(
        f"The network {type(network).__name__} cannot be copied: {str(error).rstrip('.')}{place}. Make that where it "
        "is used, or give the class a __deepcopy__."
    )


def without_memory(network: Network) -> Network:
    """A copy of a network whose tensors have names, types and shapes, and no values: on the ``meta`` device.

    Args:
        network: Any module; not changed.

    Example:
        >>> without_memory(nn.Linear(2, 1)).weight.device
        device(type='meta')
    """
    memo: dict[int, object] = {}
    for module in network.modules():
        for value in chain(vars(module).values(), module._parameters.values(), module._buffers.values()):
            if isinstance(value, nn.Parameter):
                memo[id(value)] = nn.Parameter(value.detach().to("meta"), requires_grad=value.requires_grad)
            elif isinstance(value, Tensor):
                memo[id(value)] = value.detach().to("meta")
    return copy.deepcopy(network, memo)
