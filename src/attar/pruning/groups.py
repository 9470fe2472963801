"""Finding the groups of a network: which channels, units and heads can only go together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from attar.errors import BadInput, Words, must, near
from attar.network.forward import number_type
from attar.pruning.attention import Attention
from attar.pruning.group import Consumer, Group, Groups, Kind, Size, Slot
from attar.pruning.influence import Influence, Probe, Source
from attar.pruning.layers import blocks, ends
from attar.pruning.verify import Verifier, stirred

_ROWS = 8
"""Examples at most on which groups are tried."""

_MANY = 500
"""Numbers of one example with which no second one is needed to see what acts on what."""


def find_groups(network: nn.Module, example: Tensor, protect: Sequence[str] = ()) -> Groups:
    """Which channels, units and heads of a network can be removed, each with all that goes with it.

    Nothing is assumed of the operations between layers: units are changed, and where something changes then is seen.
    What two units act on together, they share; units that share something go together, such as the channels that a
    residual connection adds. Each group is then tried: with units of it taken out, a network with other weights must
    give what it gives with a mask of 0 on them. What does not stand this is no group, and is named with the reason.
    Heads of `torch.nn.MultiheadAttention` are found once `attar.pruning.attention.open_attention_` has opened it.

    Args:
        network: Takes one tensor; not changed.
        example: ``[batch, ...]`` inputs, on which it is run; one or two rows do.
        protect: Names or patterns (``"0"``, ``"blocks.*"``) of layers, or of modules that hold them, that keep all of
            their outputs. They may lose inputs.

    Raises:
        BadInput: If the network does not run on the example or is compiled, or a name of ``protect`` fits nothing.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
        >>> found = find_groups(network, torch.ones(1, 1, 4, 4))
        >>> [(group.name, group.units, group.consumers[0].positions[1]) for group in found.groups]
        [('0', 4, (4, 5, 6, 7))]
        >>> found.untouched
        {'3': 'its units are outputs of the network'}
    """
    if any("_orig_mod" in layer._modules for layer in network.modules()):  # as torch.compile wraps it
        raise must("network", "find_groups", "one that is not compiled", Words("one that is"), "Compile it afterwards")
    protected = _protected(network, protect)
    values = stirred(network)
    device = next((parameter.device for parameter in network.parameters()), example.device)
    numbers = torch.float64 if number_type(values) == torch.float64 else torch.float32
    inputs = (example.to(numbers) if example.is_floating_point() else example)[:_ROWS].to(device)
    try:
        # What acts on what is seen with few numbers, and the runs are many.
        probe = Probe(values, inputs[: 1 if inputs[:1].numel() >= _MANY else 2])
    except BadInput:
        raise
    except Exception as error:
        got = Words(f"{type(error).__name__}: {error}")
        raise must("example", "find_groups", "what the network runs on", got, "Pass inputs that it takes") from error
    candidates, untouched = _candidates(values, probe, protected)
    verified, failed = Verifier(network, inputs).verified(candidates)
    for group in candidates:
        if group.name in failed:
            untouched |= dict.fromkeys(group.producers, failed[group.name])
    order = [source.name for source in probe.sources]
    return Groups(verified, dict(sorted(untouched.items(), key=lambda item: _place(item[0], order))))


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _protected(network: nn.Module, protect: Sequence[str]) -> dict[str, str]:
    """Each protected layer, and the rule that protects it."""
    rules = (protect,) if isinstance(protect, str) else tuple(protect)
    names = [name for name, _ in network.named_modules()]
    found: dict[str, str] = {}
    for rule in rules:
        fits = [name for name in names if name == rule or fnmatchcase(name, rule)]
        if not fits:
            with_weights = [name for name, layer in network.named_modules() if ends(layer) is not None]
            raise must(
                "protect", "find_groups", "names or patterns of the network's layers", rule, near(rule, with_weights)
            )
        for fit in fits:
            inside = fit + "." if fit else ""
            found |= dict.fromkeys((name for name in names if name == fit or name.startswith(inside)), rule)
    return found


# -- from what acts on what to groups --------------------------------------------------------------------------------


class _Components:
    """Sets of things that go together, joined one pair at a time."""

    def __init__(self) -> None:
        self._parent: dict[object, object] = {}

    def of(self, thing: object) -> object:
        """The one thing that stands for the set."""
        parent = self._parent
        root = thing
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[thing] != root:
            parent[thing], thing = root, parent[thing]
        return root

    def join(self, first: object, second: object) -> None:
        """Make the sets of two things one."""
        self._parent[self.of(first)] = self.of(second)


@dataclass
class _Unit:
    """What belongs to one unit: positions at sources, and in the inputs of layers."""

    at_sources: dict[str, list[int]]
    at_inputs: dict[str, set[int]]


def _candidates(values: nn.Module, probe: Probe, protected: dict[str, str]) -> tuple[list[Group], dict[str, str]]:
    layers = dict(values.named_modules())
    untouched = {
        name: reason for name, reason in probe.opaque.items() if ends(layers[name]) or layers[name]._parameters
    }
    influences = {source.name: (source, probe.influence(source)) for source in probe.sources}
    for name in probe.parameters:
        found = _parameter(name, values, probe)
        if found is not None:
            influences[name] = found
    components = _Components()
    for name, (_, influence) in influences.items():
        for layer, pairs in influence.pairs.items():
            for unit, position in pairs.tolist():
                components.join(("made", name, unit), ("seen", layer, position))
    for layer in probe.passing:
        _join_blocks(components, layer, layers[layer], influences.values())
    families = _Components()
    units: dict[object, _Unit] = {}
    for name, (source, influence) in influences.items():
        for place in range(source.units):
            root = components.of(("made", name, place))
            units.setdefault(root, _Unit({}, {})).at_sources.setdefault(name, []).append(place)
            families.join(("source", name), ("unit", root))
        for layer, pairs in influence.pairs.items():
            for position in set(pairs[:, 1].tolist()):
                units[components.of(("seen", layer, position))].at_inputs.setdefault(layer, set()).add(position)
    members: dict[object, list[str]] = defaultdict(list)
    for name in influences:
        members[families.of(("source", name))].append(name)
    of_family: dict[object, list[_Unit]] = defaultdict(list)
    for root, unit in units.items():
        of_family[families.of(("unit", root))].append(unit)
    groups = []
    for family, names in members.items():
        own = of_family[family]
        acting = [influences[name] for name in names]
        reason = _reason(names, own, acting, probe, protected)
        if reason is None:
            groups.append(_group(own, acting, layers))
        else:
            untouched |= dict.fromkeys((name for name in names if not influences[name][0].is_parameter), reason)
    for name in probe.attentions:
        if name in protected:
            untouched[name] = f"it is protected by the rule {protected[name]!r}"
        else:
            groups.append(_heads(name, layers[name]))
    return groups, untouched


def _heads(name: str, layer: nn.Module) -> Group:
    """The heads of torch's attention."""
    assert isinstance(layer, Attention)
    prefix = f"{name}." if name else ""
    last = f"{prefix}out_proj"
    size = layer.head_dim
    taken = tuple(tuple(range(start, start + size)) for start in range(0, layer.num_heads * size, size))
    slots = [Slot(prefix + tensor, 0, positions) for tensor, positions in layer.head_positions().items()]
    slots.append(Slot(f"{last}.weight", 1, taken))
    sizes = (Size(name, "num_heads", (1,) * len(taken)), Size(last, "in_features", (size,) * len(taken)))
    return Group(name, "heads", len(taken), tuple(slots), (Consumer(last, -1, taken),), (name,), sizes)


def _parameter(name: str, values: nn.Module, probe: Probe) -> tuple[Source, Influence] | None:
    """The axis of a parameter along which its numbers act apart from one another, if there is one."""
    layer, _, attribute = name.rpartition(".")
    parameter = values.get_submodule(layer)._parameters[attribute]
    assert parameter is not None
    best: tuple[int, Source, Influence] | None = None
    for axis in reversed(range(parameter.dim())):
        if parameter.shape[axis] < 2:
            continue
        source = Source(name, parameter.shape[axis], axis, is_parameter=True)
        influence = probe.influence(source)
        components = _Components()
        for reached, pairs in influence.pairs.items():
            for unit, position in pairs.tolist():
                components.join(unit, (reached, position))
        apart = len({components.of(unit) for unit in range(source.units)}) if influence.pairs else 0
        if apart > 1 and (best is None or apart > best[0]):
            best = apart, source, influence
    return None if best is None else best[1:]


def _join_blocks(
    components: _Components, name: str, layer: nn.Module, influences: Iterable[tuple[Source, Influence]]
) -> None:
    """Positions of the same block of a layer go together."""
    found = blocks(layer)
    assert found is not None
    positions = {
        place
        for _, influence in influences
        if name in influence.pairs
        for place in influence.pairs[name][:, 1].tolist()
    }
    for position in positions if found.size > 1 else ():
        first = position // found.size * found.size
        for other in range(first, first + found.size):
            components.join(("seen", name, position), ("seen", name, other))


def _reason(
    names: Sequence[str],
    units: Sequence[_Unit],
    acting: Sequence[tuple[Source, Influence]],
    probe: Probe,
    protected: dict[str, str],
) -> str | None:
    """Why these sources stay as they are, as the end of a sentence; None if they may be a group."""
    if all(source.is_parameter for source, _ in acting):
        return "it is used by a module of its own"
    for _, influence in acting:
        if influence.failed:
            return f"the network cannot be computed with other values of its units ({influence.failed})"
    if any(influence.outputs for _, influence in acting):
        return "its units are outputs of the network"
    for name in names:
        if name in protected:
            return (
                f"it is protected by the rule {protected[name]!r}"
                if len(names) == 1
                else f"what goes together stays together, and {name!r} is protected by the rule {protected[name]!r}"
            )
    for _, influence in acting:
        for name in influence.opaque:
            return f"it feeds {name!r}, which stays as it is: {probe.opaque[name]}"
    if not any(influence.pairs for _, influence in acting):
        return "nothing was found that is computed from it"
    if len(units) > 1:
        return None
    if max(source.units for source, _ in acting) == 1:
        return "it has one unit only"
    return (
        "each of its units acts on all that the next layer takes, as a normalization across them, or a multiplication "
        "outside of layers, makes it"
    )


def _group(units: Sequence[_Unit], acting: Sequence[tuple[Source, Influence]], layers: dict[str, nn.Module]) -> Group:
    slots: dict[tuple[str, int], Slot] = {}
    sizes: dict[tuple[str, str], Size] = {}
    consumers: list[Consumer] = []

    def add(layer: str, attribute: str, axis: int, positions: tuple[tuple[int, ...], ...]) -> None:
        tensor = f"{layer}.{attribute}" if layer else attribute
        slots[tensor, axis] = Slot(tensor, axis, positions)

    for source, _ in acting:
        positions = tuple(tuple(unit.at_sources.get(source.name, ())) for unit in units)
        if source.is_parameter:
            add(*_split(source.name), source.axis, positions)
            continue
        end = ends(layers[source.name])
        assert end is not None
        for attribute, axis in end.output_axes.items():
            add(source.name, attribute, axis, positions)
        for attribute in end.output_counts:
            sizes[source.name, attribute] = Size(source.name, attribute, tuple(map(len, positions)))
    for name in dict.fromkeys(name for unit in units for name in unit.at_inputs):
        seen = tuple(tuple(sorted(unit.at_inputs.get(name, ()))) for unit in units)
        layer = layers[name]
        if (end := ends(layer)) is not None:
            consumers.append(Consumer(name, end.axis, seen))
            for attribute, axis in end.input_axes.items():
                add(name, attribute, axis, seen)
            for attribute in end.input_counts:
                sizes[name, attribute] = Size(name, attribute, tuple(map(len, seen)))
        elif (passed := blocks(layer)) is not None:
            own = [sorted({position // passed.size for position in positions}) for positions in seen]
            for attribute in passed.tensors:
                share = getattr(layer, attribute).shape[0] // passed.count
                add(name, attribute, 0, tuple(_spread(one, share) for one in own))
            for attribute in passed.numbers:
                share = getattr(layer, attribute) // passed.count
                sizes[name, attribute] = Size(name, attribute, tuple(len(one) * share for one in own))
    producers = tuple(source.name for source, _ in acting if not source.is_parameter)
    kind = _kind([layers[name] for name in producers], acting)
    return Group(
        producers[0], kind, len(units), tuple(slots.values()), tuple(consumers), producers, tuple(sizes.values())
    )


def _split(name: str) -> tuple[str, str]:
    layer, _, attribute = name.rpartition(".")
    return layer, attribute


def _spread(places: Iterable[int], share: int) -> tuple[int, ...]:
    return tuple(place * share + offset for place in places for offset in range(share))


def _kind(producers: Sequence[nn.Module], acting: Sequence[tuple[Source, Influence]]) -> Kind:
    found = [ends(layer) for layer in producers]
    if any(isinstance(layer, nn.Embedding) for layer in producers):
        return "embedding"
    if any(end is not None and end.axis == 1 for end in found):
        return "channels"
    # A number of an attention acts on its whole head, and shares that with others.
    for _, influence in acting:
        for pairs in influence.pairs.values():
            of_units, of_positions = len(set(pairs[:, 0].tolist())), len(set(pairs[:, 1].tolist()))
            if len(pairs) > max(of_units, of_positions):
                return "heads"
    return "units"
