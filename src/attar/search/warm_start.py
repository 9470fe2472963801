"""First weights from a trained network of other sizes: those of the units that it shares with a new one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from attar.network.copying import copied
from attar.pruning.attention import open_attention_
from attar.pruning.edit import prune
from attar.pruning.group import Group, Groups
from attar.pruning.importance.of_weights import Magnitude


@torch.no_grad()
def warm_start(network: nn.Module, parent: nn.Module, groups: Groups | None = None) -> float:
    """Let a network begin with the weights of another one, in place, as far as they fit.

    Tensors of the same name are taken. Where the network has fewer channels of a group it takes those that the largest
    weights make in the parent, the same ones in every tensor of the group. A tensor that still is of another size is
    taken as far as both reach, from the first position of each axis on. All else stays as it is.

    Args:
        network: With first weights of its own.
        parent: A trained network, such as the teacher or that of the proposal which this one was made from; not
            changed.
        groups: Coupled channels of the parent, as `attar.pruning.groups.find_groups` finds them; without them first
            positions are taken of all that is smaller.

    Returns:
        Which share of the network's parameters were taken, from 0 to 1.

    Example:
        >>> parent, child = nn.Linear(2, 4), nn.Linear(2, 8)
        >>> warm_start(child, parent)
        0.5
        >>> torch.equal(child.weight[:4], parent.weight)
        True
    """
    target = network.state_dict(keep_vars=True)
    given = _slimmed(parent, groups, target).state_dict() if groups else parent.state_dict()
    parameters = {name for name, _ in network.named_parameters()}
    taken = total = 0
    for name, tensor in target.items():
        source = given.get(name)
        counts = name in parameters
        total += tensor.numel() if counts else 0
        if not isinstance(source, Tensor) or source.dim() != tensor.dim() or source.dtype != tensor.dtype:
            continue
        if not counts and source.shape != tensor.shape and not name.rpartition(".")[2].startswith("running_"):
            continue  # a buffer that is no statistic of channels belongs to its size
        both = tuple(slice(min(pair)) for pair in zip(source.shape, tensor.shape, strict=True))
        tensor.data[both] = source[both].to(tensor.device)
        taken += tensor[both].numel() if counts else 0
    return taken / total if total else 0.0


def _slimmed(parent: nn.Module, groups: Groups, target: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the parent with as many channels of each group as the network has, those of the largest weights."""
    slim = open_attention_(copied(parent))
    counts = {group.name: _count(group, target) for group in groups.groups}
    fewer = tuple(group for group in groups.groups if counts[group.name] < group.units)
    if not fewer:
        return slim
    scores = Magnitude().start(slim, Groups(fewer, {})).per_group()
    removed = {
        group.name: scores[group.name].argsort(stable=True)[: group.units - counts[group.name]].tolist()
        for group in fewer
    }
    return prune(slim, groups, removed).apply(slim)


def _count(group: Group, target: Mapping[str, Tensor]) -> int:
    """How many units of a group a network has; all where it has no layer that makes them, or more."""
    for slot in group.slots:
        tensor = target.get(slot.tensor)
        if tensor is None or slot.tensor.rpartition(".")[0] not in group.producers or slot.axis >= tensor.dim():
            continue
        positions = sum(map(len, slot.positions))
        return max(1, min(group.units, tensor.shape[slot.axis] * group.units // max(positions, 1)))
    return group.units
