"""The edit that pruning leaves in a spec: which positions of which tensors are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, ClassVar, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.errors import NothingMatched, Words, must, near
from attar.pruning.attention import open_attention_
from attar.pruning.group import Group, Groups
from attar.pruning.layers import owners_of
from attar.pruning.removed import replacement

_SAVE = "Save it again"


@dataclass(frozen=True)
class Cut:
    """What stays of one axis of a tensor.

    Attributes:
        axis: The axis.
        size: Its length before.
        bounds: The first kept position of a run and the one past its last, run after run; strictly increasing.
    """

    axis: int
    size: int
    bounds: tuple[int, ...]

    @classmethod
    def without(cls, axis: int, size: int, positions: Iterable[int]) -> Cut:
        """All positions but some.

        Example:
            >>> Cut.without(0, 6, [2, 5]).bounds
            (0, 2, 3, 5)
        """
        gone = sorted(set(positions))
        runs = zip([0, *(place + 1 for place in gone)], [*gone, size], strict=True)
        return cls(axis, size, tuple(chain.from_iterable((start, stop) for start, stop in runs if start < stop)))

    def positions(self) -> Tensor:
        """The kept positions, int64, in order."""
        return torch.cat([torch.arange(start, stop) for start, stop in zip(*[iter(self.bounds)] * 2, strict=True)])

    def then(self, later: Cut) -> Cut:
        """What stays of the axis after this cut and a later one.

        Example:
            >>> Cut.without(0, 6, [2, 5]).then(Cut.without(0, 4, [0, 2])).bounds
            (1, 2, 4, 5)
        """
        kept = set(self.positions()[later.positions()].tolist())
        return Cut.without(self.axis, self.size, (place for place in range(self.size) if place not in kept))

    @property
    def count(self) -> int:
        """How many positions are kept."""
        return sum(self.bounds[1::2]) - sum(self.bounds[::2])


@dataclass(frozen=True)
class Prune:
    """Positions of tensors that are kept, and what modules know of their sizes afterwards. The others are gone.

    It works on names, shapes and numbers of the network alone, at the cost of a copy of what is kept.

    Attributes:
        cuts: What is kept of each tensor that loses something, by its name.
        sizes: Whole numbers that modules keep of their sizes, by their name: ``features.0.out_channels``.
        emptied: Names of layers of which nothing is left.
        constant: Names of layers that have no inputs left, and give their biases.
    """

    cuts: Mapping[str, tuple[Cut, ...]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    emptied: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()

    replaces_earlier: ClassVar[bool] = False

    def apply(self, network: nn.Module) -> nn.Module:
        """Take out what is not kept, in place; parameters become new ones, with the values that they had.

        Raises:
            BadInput: If the network has no such tensor, it is of another size, shared or made by a parametrization
                such as a number format, a module has no such number, or nothing can stand for a layer of its kind. The
                network is then left as it was.
        """
        layers = dict(network.named_modules())
        owned = owners_of(network)
        cut = {name: self._cut(name, cuts, layers, owned) for name, cuts in self.cuts.items()}
        for name, size in self.sizes.items():
            _check_number(name, size, layers)
        for name in (*self.emptied, *self.constant):
            replacement(name, layers.get(name), name in self.emptied)
        replaced = (*self.emptied, *self.constant)
        heads = any(isinstance(layers[name.rpartition(".")[0]], nn.MultiheadAttention) for name in cut)
        if heads or replaced:  # an encoder layer of torch's asks layers for weights that their stand-ins have not
            open_attention_(network)
        for name, tensor in cut.items():
            layer_name, _, attribute = name.rpartition(".")
            layer = layers[layer_name]
            old = getattr(layer, attribute)
            if attribute in layer._parameters:
                layer._parameters[attribute] = nn.Parameter(tensor, requires_grad=old.requires_grad)
            else:
                layer._buffers[attribute] = tensor
        for name, size in self.sizes.items():
            layer_name, _, attribute = name.rpartition(".")
            setattr(layers[layer_name], attribute, size)
        for name in (*self.emptied, *self.constant):
            parent, _, child = name.rpartition(".")
            layer = layers[name]
            layers[parent]._modules[child] = replacement(name, layer, name in self.emptied).train(layer.training)
        return network

    def _cut(
        self, name: str, cuts: tuple[Cut, ...], layers: Mapping[str, nn.Module], owners: Mapping[str, int]
    ) -> Tensor:
        layer_name, _, attribute = name.rpartition(".")
        layer = layers.get(layer_name)
        remedy = "Use the function that built the network"
        if layer is not None and parametrize.is_parametrized(layer, attribute):
            rule = "names of tensors that no number format or other parametrization is attached to"
            raise must("cuts", "Prune", rule, name, "Prune first, and quantize what is left")
        if name not in owners:
            raise must("cuts", "Prune", "names of the network's tensors", name, near(name, owners))
        if owners[name] > 1:
            raise must("cuts", "Prune", "names of tensors that one layer has alone", name, remedy)
        tensor: Tensor = getattr(layer, attribute).detach()
        for one in cuts:
            if one.axis >= tensor.dim() or tensor.shape[one.axis] != one.size:
                rule = f"made for its shape {tuple(tensor.shape)}"
                got = Words(f"{one.size} positions along axis {one.axis}")
                raise must(f"the cut of {name!r}", "Prune", rule, got, remedy)
        for one in cuts:
            tensor = tensor.index_select(one.axis, one.positions().to(tensor.device))
        return tensor.clone() if not cuts else tensor

    def to_json(self) -> dict[str, Any]:
        """The edit as a plain document."""
        return {
            "use": "prune",
            "cuts": {name: [[one.axis, one.size, *one.bounds] for one in cuts] for name, cuts in self.cuts.items()},
            "sizes": dict(self.sizes),
            "emptied": list(self.emptied),
            "constant": list(self.constant),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Prune:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else, keeps nothing of a tensor, or keeps a position twice or beyond the end.
        """
        cuts, sizes = document.get("cuts"), document.get("sizes")
        emptied, constant = document.get("emptied"), document.get("constant")
        keys = {"use", "cuts", "sizes", "emptied", "constant"}
        if document.keys() != keys or not isinstance(cuts, Mapping) or not isinstance(sizes, Mapping):
            raise must("prune", "the spec", "cuts and sizes by name, and names of layers", dict(document), _SAVE)
        if not _are_names(emptied) or not _are_names(constant) or set(emptied) & set(constant):
            rule = "lists of different names of layers"
            raise must("emptied and constant", "the spec", rule, (emptied, constant), _SAVE)
        for name, size in sizes.items():
            if not _is_count(size):
                raise must(f"size {name!r}", "the spec", "a whole number of at least 1", size, _SAVE)
        read = {name: _read_cuts(name, given) for name, given in cuts.items()}
        return cls(read, dict(sizes), tuple(emptied), tuple(constant))


def prune(network: nn.Module, groups: Groups, removed: Mapping[str, Collection[int]]) -> Prune:
    """The edit that removes units from a network.

    Args:
        network: In which the groups were found; not changed.
        groups: What `attar.pruning.groups.find_groups` gave.
        removed: The units to remove, by the name of their group. Where all are named, the layers that make them are
            removed, and those that take them give their biases; of a group that is not ``removable`` one has to stay.

    Raises:
        BadInput: If there is no such group or unit, one is named twice, or none of a group would stay.
        NothingMatched: If no unit is named.

    Example:
        >>> import torch
        >>> from attar.pruning.groups import find_groups
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> edit = prune(network, find_groups(network, torch.ones(1, 2)), {"0": [1]})
        >>> edit.apply(network)
        Sequential(
          (0): Linear(in_features=2, out_features=2, bias=True)
          (1): ReLU()
          (2): Linear(in_features=2, out_features=1, bias=True)
        )
    """
    known = groups.named()
    layers = dict(network.named_modules())
    gone: dict[tuple[str, int], set[int]] = defaultdict(set)
    lost: dict[tuple[str, str], int] = defaultdict(int)
    emptied: set[str] = set()
    consuming: set[str] = set()
    for name, given in removed.items():
        if name not in known:
            remedy = near(name, known) if known else "No group was found in this network"
            raise must("removed", "prune", "names of groups", name, remedy)
        group, units = known[name], _checked_units(known[name], given)
        if len(units) == group.units:
            users = {consumer.layer for consumer in group.consumers}
            emptied |= {size.layer for size in group.sizes} - users | set(group.producers)
            consuming |= users
        for slot in group.slots:
            gone[slot.tensor, slot.axis].update(chain.from_iterable(slot.positions[unit] for unit in units))
        for size in group.sizes:
            lost[size.layer, size.attribute] += sum(size.counts[unit] for unit in units)
    if not any(map(len, removed.values())):
        raise NothingMatched("removed of prune must name units to remove; it names none. Leave pruning out.")
    constant = consuming - emptied
    cuts: dict[str, tuple[Cut, ...]] = {}
    for (tensor, axis), positions in gone.items():
        layer, _, attribute = tensor.rpartition(".")
        length = getattr(layers[layer], attribute).shape[axis]
        # A layer that gives its biases alone has weights no more: they may keep what no unit is left for.
        if positions and layer not in emptied and not (layer in constant and len(positions) == length):
            cuts[tensor] = (*cuts.get(tensor, ()), Cut.without(axis, length, positions))
    sizes = {}
    for (layer, attribute), count in lost.items():
        left = getattr(layers[layer], attribute) - count
        if count and layer not in emptied and not (layer in constant and left == 0):
            sizes[f"{layer}.{attribute}" if layer else attribute] = left
    return Prune(cuts, sizes, tuple(sorted(emptied)), tuple(sorted(constant)))


def merged(edits: Iterable[Prune]) -> tuple[Prune, ...]:
    """The same as several edits one after the other, in as few as can be.

    Two are one, unless layers went with the first: what a later edit cuts is then of what stands in their place.

    Args:
        edits: In the order in which they were made.
    """
    found: list[Prune] = []
    for edit in edits:
        if not found or found[-1].emptied or found[-1].constant:
            found.append(edit)
            continue
        first = found.pop()
        cuts = {name: {one.axis: one for one in its} for name, its in first.cuts.items()}
        for name, its in edit.cuts.items():
            known = cuts.setdefault(name, {})
            for one in its:
                known[one.axis] = known[one.axis].then(one) if one.axis in known else one
        by_name = {name: tuple(its.values()) for name, its in cuts.items()}
        found.append(Prune(by_name, {**first.sizes, **edit.sizes}, edit.emptied, edit.constant))
    return tuple(found)


def _checked_units(group: Group, given: Collection[int]) -> list[int]:
    units = [int(unit) for unit in given]
    wrong = [unit for unit in units if not 0 <= unit < group.units]
    parameter = f"removed[{group.name!r}]"
    if wrong:
        raise must(parameter, "prune", f"units from 0 to {group.units - 1}", wrong[0], "Count from 0")
    if len(set(units)) < len(units):
        raise must(parameter, "prune", "different units", sorted(units), "Name each unit once")
    if len(units) == group.units and not group.removable:
        got = Words(f"all {group.units}")
        raise must(parameter, "prune", "fewer units than the group has", got, "Keep at least one")
    return units


def _check_number(name: str, size: int, layers: Mapping[str, nn.Module]) -> None:
    """Only a whole number that a module has already can change, and only get smaller."""
    layer_name, _, attribute = name.rpartition(".")
    present = vars(layers[layer_name]).get(attribute) if layer_name in layers else None
    if not _is_count(present):
        remedy = "Use the function that built the network"
        raise must("sizes", "Prune", "names of whole numbers that the network's modules have", name, remedy)
    if not 1 <= size <= present:
        rule = f"from 1 to {present}, which it is"
        raise must(f"size {name!r}", "Prune", rule, size, "Use the function that built the network")


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 1


def _are_names(given: Any) -> TypeGuard[list[str]]:
    return isinstance(given, list) and all(isinstance(name, str) for name in given) and len(set(given)) == len(given)


def _read_cuts(name: str, given: Any) -> tuple[Cut, ...]:
    rule = "lists of an axis, its length, and bounds of the runs that are kept, in order"
    wrong = must(f"cut {name!r}", "the spec", rule, given, _SAVE)
    if not isinstance(given, list) or not given:
        raise wrong
    cuts = []
    for one in given:
        numbers = isinstance(one, list) and all(type(number) is int for number in one)
        if not numbers or len(one) < 4 or len(one) % 2:
            raise wrong
        axis, size, *bounds = one
        rising = all(low < high for low, high in pairwise(bounds))
        if axis < 0 or bounds[0] < 0 or bounds[-1] > size or not rising:
            raise wrong
        cuts.append(Cut(axis, size, tuple(bounds)))
    if len({one.axis for one in cuts}) < len(cuts):
        raise wrong
    return tuple(cuts)
