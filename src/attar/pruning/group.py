"""A group: channels of several layers of which one cannot go without its counterparts in the others."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

Kind = Literal["channels", "units", "heads", "embedding"]
"""What one unit of a group is: a feature map, a neuron, an attention head, a number of an embedding."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The positions along one axis of one tensor that belong to the units of a group.

    Attributes:
        tensor: Name of the parameter or buffer, as `torch.nn.Module.state_dict` has it: ``features.0.weight``.
        axis: Along which positions are removed.
        positions: For each unit the positions along the axis that go with it; a unit may have none, or several (a head,
            or a feature map that was flattened).
    """

    tensor: str
    axis: int
    positions: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A layer whose output is computed from the units: with a unit gone, it sees one input channel less.

    A unit is removed exactly by a mask of 0 on it in the inputs of all consumers; a depthwise convolution, which goes
    itself with its channel, is none.

    Attributes:
        layer: Name of the module, as `torch.nn.Module.named_modules` has it.
        axis: Of its input, along which the units lie: 1 for images, -1 for linear layers.
        positions: For each unit the positions along that axis.
    """

    layer: str
    axis: int
    positions: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Size:
    """A whole number that a module keeps of its own size: it shrinks with the units.

    Attributes:
        layer: Name of the module; empty for the network itself.
        attribute: Such as ``out_channels`` or ``num_heads``.
        counts: For each unit what the number loses with it.
    """

    layer: str
    attribute: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Units that can be removed one by one, each with all that belongs to it.

    Attributes:
        name: Of the first layer that makes them; what people and rules call the group.
        kind: What a unit is.
        units: How many there are.
        slots: What is removed with a unit, in every tensor that has part of it.
        consumers: Where a mask stands for the removal.
        producers: Names of the layers that make the units.
        sizes: What modules know of their sizes, in so far as it counts these units.
        removable: Whether all of its units may go at once, and layers with them.
    """

    name: str
    kind: Kind
    units: int
    slots: tuple[Slot, ...]
    consumers: tuple[Consumer, ...]
    producers: tuple[str, ...]
    sizes: tuple[Size, ...] = ()
    removable: bool = False


@dataclass(frozen=True, slots=True)
class Groups:
    """All that can be removed from a network, and what cannot.

    Attributes:
        groups: In the order in which the network computes them.
        untouched: Name of each layer that stays as it is, and why, as the end of a sentence.
    """

    groups: tuple[Group, ...]
    untouched: dict[str, str]

    def without(self, removed: Mapping[str, Collection[int]]) -> Groups:
        """The groups of the network once some units are gone, numbered anew; a group without units is none.

        Args:
            removed: For each group that loses some, which of its units.
        """
        gone_from: dict[tuple[str, int], set[int]] = defaultdict(set)
        for group in self.groups:
            axes: tuple[Slot | Consumer, ...] = (*group.slots, *group.consumers)
            for axis in axes:
                gone = gone_from[_place(axis)]
                for unit in removed.get(group.name, ()):
                    gone.update(axis.positions[unit])
        moved = {place: sorted(gone) for place, gone in gone_from.items() if gone}
        left = []
        for group in self.groups:
            lost = set(removed.get(group.name, ()))
            units = [unit for unit in range(group.units) if unit not in lost]
            if units:
                slots = tuple(_renumbered(slot, units, moved) for slot in group.slots)
                consumers = tuple(_renumbered(one, units, moved) for one in group.consumers)
                sizes = tuple(replace(one, counts=tuple(one.counts[unit] for unit in units)) for one in group.sizes)
                left.append(replace(group, units=len(units), slots=slots, consumers=consumers, sizes=sizes))
        return replace(self, groups=tuple(left))

    def named(self) -> dict[str, Group]:
        """The groups by their names."""
        return {group.name: group for group in self.groups}


OnAxis = TypeVar("OnAxis", Slot, Consumer)


def _place(one: Slot | Consumer) -> tuple[str, int]:
    """The axis on which its positions lie; that of a layer's input is none of a tensor's."""
    return (one.tensor, one.axis) if isinstance(one, Slot) else (f"input of {one.layer}", one.axis)


def _renumbered(given: OnAxis, units: Sequence[int], gone: Mapping[tuple[str, int], Sequence[int]]) -> OnAxis:
    """With some of the units, positions counted without those that are gone."""
    without = gone.get(_place(given), ())
    kept = (given.positions[unit] for unit in units)
    return replace(given, positions=tuple(tuple(one - bisect_left(without, one) for one in its) for its in kept))
