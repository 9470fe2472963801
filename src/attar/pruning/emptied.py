"""Groups that may lose all their units, and what is left of the others once one has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from attar.network.evaluating import evaluating
from attar.network.forward import forward
from attar.pruning.group import Group, Groups, Slot
from attar.pruning.removed import Biases
from attar.pruning.verify import masked


def may_be_emptied(network: nn.Module, groups: Groups, examples: Tensor) -> frozenset[str]:
    """Names of the groups without which the output still depends on the input.

    In a chain of layers none can go as a whole: all that follows would be the same for every example. Beside a shortcut
    one can.

    Args:
        network: In which the groups were found; not changed.
        groups: These groups.
        examples: ``[batch, ...]`` inputs, at least two that differ.
    """
    found = []
    for group in groups.groups:
        if group.removable:
            gone = masked(network, groups, {group.name: range(group.units)})
            with evaluating(network), gone, torch.no_grad():
                outputs = forward(network, examples)
            if bool((outputs != outputs[:1]).any()):
                found.append(group.name)
    return frozenset(found)


def still_there(groups: Groups, network: nn.Module) -> Groups:
    """The groups without what went with layers of which nothing is left.

    Args:
        groups: Of the network as it was, numbered anew.
        network: As it is.
    """
    tensors = dict(network.state_dict(keep_vars=True))
    layers = dict(network.named_modules())
    left = []
    for group in groups.groups:
        moved = (_moved(slot, group, layers) for slot in group.slots)
        slots = tuple(slot for slot in moved if slot.tensor in tensors)
        consumers = tuple(one for one in group.consumers if one.layer in layers and _weighted(layers[one.layer]))
        sizes = tuple(one for one in group.sizes if hasattr(layers.get(one.layer), one.attribute))
        producers = tuple(name for name in group.producers if name in layers and _weighted(layers[name]))
        if slots:
            left.append(replace(group, slots=slots, consumers=consumers, sizes=sizes, producers=producers))
    return replace(groups, groups=tuple(left))


def _moved(slot: Slot, group: Group, layers: Mapping[str, nn.Module]) -> Slot:
    """Where a slot is now: a layer that gives biases alone has them for its outputs, also where it had none before."""
    layer, _, _ = slot.tensor.rpartition(".")
    bias = f"{layer}.bias"
    if not isinstance(layers.get(layer), Biases) or any(one.tensor == bias for one in group.slots):
        return slot
    return replace(slot, tensor=bias, axis=0)


def _weighted(layer: nn.Module) -> bool:
    """Whether a layer computes from its inputs, with weights of its own or of those in it."""
    return any(parameter.dim() > 1 for parameter in layer.parameters())
