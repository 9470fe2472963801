"""Layers that somebody reads while the network is trained: they keep their shape, and with it what would change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.network.taps import tapped
from attar.pruning.edit import prune
from attar.pruning.group import Group, Groups


def without_changes_of(groups: Groups, network: nn.Module, example: Tensor, read: Mapping[str, str]) -> Groups:
    """The groups that can lose units while some layers keep the shape of what they give; the others are named.

    Args:
        groups: Of the network.
        network: Not changed.
        example: ``[batch, ...]`` inputs, on which it is run.
        read: By the names of layers whose shape stays, who reads them, as in ``the term 'hint'``.

    Raises:
        BadInput: If the network has no such layer, or it gives no single tensor.
    """
    if not read:
        return groups

    def shapes(one: nn.Module) -> dict[str, tuple[int, ...]]:
        with evaluating(one), tapped(one, read) as outputs:
            one(example.clone())
            return {name: tuple(outputs[name].shape) for name in read}

    def changed(group: Group) -> str | None:
        gone = range(max(group.units // 2, 1))
        slim = shapes(prune(network, groups, {group.name: gone}).apply(copied(network)))
        return next((name for name in read if slim[name] != before[name]), None)

    before = shapes(network)
    found = {group.name: changed(group) for group in groups.groups}
    left = tuple(group for group in groups.groups if found[group.name] is None)
    kept = {
        producer: f"{read[layer]} reads {layer!r}, which it would make narrower"
        for group in groups.groups
        if (layer := found[group.name]) is not None
        for producer in group.producers
    }
    return replace(groups, groups=left, untouched={**groups.untouched, **kept})
