"""Which numbers of a network act on which: seen by changing some of them, and looking where something changes.

Every layer with weights is made to give what it gave before, whatever comes in, except one, some of whose units are
changed. What changes in the inputs of other layers is then what these units act on directly, by whatever operations
lie between: nothing has to be known of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from attar.errors import shown
from attar.network.copying import copied
from attar.pruning.attention import Attention
from attar.pruning.layers import Ends, blocks, ends
from attar.pruning.opaque import has_tensors, is_users_own, named_layers, opaque

MOST_MIXED = 4096
"""Units that are changed one by one, where several act on one number; of more, none is taken apart."""

_CHANGES = ((100.0, 1), (100.0, -1), (3.0, 0), (100.0, 0), (3.0, 0), (30.0, 0))
"""By how many standard deviations what a unit gives is changed, and which way: 0 for both, number by number.

What hides one change, such as an activation that is flat there, a sum or a maximum, shows another. The first two do
nearly always; the rest is tried where something seems to be missing.
"""

_USUAL = 2


@dataclass(frozen=True)
class Source:
    """What makes units: a layer, or a parameter that a module uses itself.

    Attributes:
        name: Of the layer, or of the parameter.
        units: How many.
        axis: Of the layer's output, or of the parameter.
        is_parameter: Which of both.
    """

    name: str
    units: int
    axis: int
    is_parameter: bool = False


@dataclass
class Influence:
    """On what the units of a source act.

    Attributes:
        pairs: For each layer whose input they change: ``[pairs, 2]`` int64, a unit and a position of the input.
        outputs: Whether the network's output changes with no other layer in between.
        opaque: Names of layers that are reached and cannot lose inputs.
        failed: What the network says where it cannot be computed with other values of the units.
    """

    pairs: dict[str, Tensor] = field(default_factory=dict)
    outputs: bool = False
    opaque: list[str] = field(default_factory=list)
    failed: str = ""


class Probe:
    """A network whose layers give what they gave before.

    Attributes:
        sources: The layers that make units, in the order in which they are called.
        parameters: Names of parameters that modules of the user's own use themselves.
        passing: The layers with blocks, such as normalizations, that pass units on.
        opaque: Layers whose sizes stay, and why.
        attentions: Names of attention whose heads can go.
    """

    def __init__(self, network: nn.Module, example: Tensor, seed: int = 0) -> None:
        """Run a network once, and hold what its layers gave.

        Args:
            network: In eval mode; it is copied.
            example: ``[batch, ...]`` inputs.
            seed: Of what units are changed by.
        """
        self._network = copied(network)
        self._example = example
        self._random = torch.Generator().manual_seed(seed)
        self._layers = named_layers(self._network)
        self.opaque = opaque(self._layers)
        self._open_()
        outputs, calls = self._watch()
        self.opaque |= {name: "it is used more than once" for name, count in calls.items() if count > 1}
        self.opaque |= {
            name: "it is not called as a layer: it is unused, or only its tensors are used"
            for name, layer in self._layers.items()
            if name not in self.opaque and name not in calls and (ends(layer) or blocks(layer))
        }
        free = [name for name in calls if name not in self.opaque]
        self.sources = [Source(name, end.outputs, end.axis) for name in free if (end := ends(self._layers[name]))]
        self.passing = [name for name in free if blocks(self._layers[name])]
        self.attentions = [name for name in free if isinstance(self._layers[name], Attention)]
        self.parameters = [
            f"{name}.{attribute}" if name else attribute
            for name, layer in self._layers.items()
            if name not in self.opaque and is_users_own(layer) and not isinstance(layer, Attention)
            for attribute, parameter in layer._parameters.items()
            if parameter is not None and parameter.is_floating_point()
        ]
        self._given: dict[str, list[Any]] = {}
        self._turn: dict[str, int] = defaultdict(int)
        self._seen: dict[str, Tensor] = {}
        taking = [source.name for source in self.sources if _ends(self._layers[source.name]).inputs]
        for name in (*taking, *self.passing, *(name for name in self.opaque if name in calls)):
            self._layers[name].register_forward_pre_hook(self._see(name), with_kwargs=True)
        for name in (*(source.name for source in self.sources), *(name for name in self.opaque if name in outputs)):
            self._given[name] = outputs[name]
            self._layers[name].forward = self._give(name)
        # Of what goes into opaque layers only whether it changes is looked at.
        watched = (*taking, *self.passing, *self.opaque)
        self._axes = {name: 0 if name in self.opaque else _axis(self._layers[name]) for name in watched}
        self._base_output, self._base = self._run()

    @torch.no_grad()
    def _open_(self) -> None:
        """Let layers with blocks pass on all that comes in: a filter or a scale below zero, before an activation that
        is zero there, would hide a unit whose place in the next layer goes with it all the same."""
        for name, layer in self._layers.items():
            if name in self.opaque or blocks(layer) is None:
                continue
            weight = layer._parameters.get("weight")
            if weight is not None:
                weight.copy_(weight.abs() + 0.1)

    def influence(self, source: Source) -> Influence:
        """On what the units of a source act."""
        try:
            return self._influence(source)
        except Exception as error:  # of the user's code, whose way or sizes may depend on what its layers give
            return Influence(failed=shown(str(error), 160))

    def _influence(self, source: Source) -> Influence:
        found = Influence()
        every = torch.arange(source.units)
        changed, found.outputs = self._changed(source, every, range(len(_CHANGES)))
        found.opaque = [name for name in changed if name in self.opaque and bool(changed[name].any())]
        reached = [name for name, where in changed.items() if name not in self.opaque and bool(where.any())]
        if not reached:
            return found
        apart = self._apart(source, reached)
        found.pairs = apart if apart is not None else self._mixed(source, reached, changed)
        return found

    def _apart(self, source: Source, reached: list[str]) -> dict[str, Tensor] | None:
        """Who acts on what, if no two units act on one number: each is told by the digits of its number."""
        every = torch.arange(source.units)
        digits = (every >> torch.arange(max((source.units - 1).bit_length(), 1))[:, None]) & 1 == 1
        zeros: dict[str, Tensor] = {}  # for each digit and position: whether units act on it that have a 0 there
        ones: dict[str, Tensor] = {}
        for changes in (range(_USUAL), range(_USUAL, len(_CHANGES))):
            for found, sides in ((zeros, ~digits), (ones, digits)):
                seen = [self._changed(source, every[side], changes)[0] for side in sides]
                for name in reached:
                    moved = torch.stack([one[name] for one in seen])
                    found[name] = found[name] | moved if name in found else moved
            if any(bool((zeros[name] & ones[name]).any()) for name in reached):
                return None
            pairs = {name: _read(zeros[name], ones[name]) for name in reached}
            complete = all(one is not None and len(torch.unique(one[:, 0])) == source.units for one in pairs.values())
            if complete:
                break
        return None if any(one is None for one in pairs.values()) else {k: v for k, v in pairs.items() if v is not None}

    def _mixed(self, source: Source, reached: list[str], changed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Who acts on what, unit by unit; or that all act on all, where that is how it looks."""

        def effect(unit: int) -> dict[str, Tensor]:
            return self._changed(source, torch.tensor([unit]), range(_USUAL + 1))[0]

        tried = sorted({0, source.units // 2, source.units - 1})
        effects = {unit: effect(unit) for unit in tried}
        # One number that all of them act on would do to couple them; this is what normalization gives.
        total = any(all(bool(effects[unit][name].all()) for unit in tried) for name in reached)
        if total or source.units > MOST_MIXED:
            return {name: _all_on_all(source.units, changed[name]) for name in reached}
        pairs: dict[str, list[Tensor]] = {name: [] for name in reached}
        for unit in range(source.units):
            seen = effects[unit] if unit in effects else effect(unit)
            for name in reached:
                positions = seen[name].nonzero()[:, 0]
                pairs[name].append(torch.stack([torch.full_like(positions, unit), positions], 1))
        return {name: torch.cat(found) for name, found in pairs.items()}

    def _changed(self, source: Source, units: Tensor, changes: range) -> tuple[dict[str, Tensor], bool]:
        """The positions of each layer's input that some of the changes of units change, and whether the output does."""
        total = {name: torch.zeros(self._length(name, before), dtype=torch.bool) for name, before in self._base.items()}
        output_changed = False
        for change in changes if len(units) else ():
            with self._changing(source, units, *_CHANGES[change]):
                output, seen = self._run()
            output_changed |= not _same(output, self._base_output)
            for name, before in self._base.items():
                total[name] |= self._moved(name, before, seen.get(name))
        return total, output_changed

    def _length(self, name: str, tensor: Tensor) -> int:
        return tensor.shape[self._axes[name] % tensor.dim()] if tensor.dim() else 1

    def _moved(self, name: str, before: Tensor, after: Tensor | None) -> Tensor:
        if after is None or after.shape != before.shape or not before.dim():
            return torch.ones(self._length(name, before), dtype=torch.bool)
        differs = (after != before).movedim(self._axes[name], 0)
        return differs.reshape(len(differs), -1).any(1).cpu()

    @contextmanager
    def _changing(self, source: Source, units: Tensor, far: float, sign: int) -> Iterator[None]:
        if source.is_parameter:
            layer, _, attribute = source.name.rpartition(".")
            parameter = self._layers[layer]._parameters[attribute]
            assert parameter is not None
            before = parameter.data
            parameter.data = self._far(before, source.axis, units, far, sign)
            try:
                yield
            finally:
                parameter.data = before
        else:
            before_outputs = self._given[source.name]
            self._given[source.name] = [self._far(one, source.axis, units, far, sign) for one in before_outputs]
            try:
                yield
            finally:
                self._given[source.name] = before_outputs

    def _far(self, tensor: Tensor, axis: int, units: Tensor, far: float, sign: int) -> Tensor:
        where = units.to(tensor.device)
        share = tensor.index_select(axis, where)
        spread = far * (float(tensor.double().std(correction=0)) + 0.1)
        if sign:
            noise = sign * (0.5 + torch.rand(share.shape, generator=self._random))
        else:
            noise = torch.randn(share.shape, generator=self._random)
        # In the same layout, since sums over another one are rounded otherwise, which would look like an effect.
        return tensor.clone().index_copy_(axis, where, share + spread * noise.to(share))

    def _run(self) -> tuple[list[Tensor], dict[str, Tensor]]:
        self._turn.clear()
        self._seen = {}
        return outputs_alike(self._network, self._example), dict(self._seen)

    def _watch(self) -> tuple[dict[str, list[Any]], dict[str, int]]:
        """What each layer with tensors of its own gave, call by call, and how often it was called."""
        outputs: dict[str, list[Any]] = {}
        calls: dict[str, int] = {}  # in the order of the first calls
        handles = []
        for name, layer in self._layers.items():
            known = has_tensors(layer) or ends(layer) is not None or blocks(layer) is not None
            if not known or isinstance(layer, torch.jit.ScriptModule):  # compiled code takes no hooks
                continue

            def count(_: nn.Module, __: Any, name: str = name) -> None:
                calls[name] = calls.get(name, 0) + 1

            def keep(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
                outputs.setdefault(name, []).append(_cloned(output))

            handles += [layer.register_forward_pre_hook(count), layer.register_forward_hook(keep)]
        outputs_alike(self._network, self._example)
        for handle in handles:
            handle.remove()
        return outputs, calls

    def _give(self, name: str) -> Any:
        def forward(*_: Any, **__: Any) -> Any:
            given = self._given[name]
            self._turn[name] += 1
            return _cloned(given[(self._turn[name] - 1) % len(given)])

        return forward

    def _see(self, name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found = tensors((args, kwargs))
            if name in self.opaque:
                # Of all that goes in, call after call, only whether it changes counts.
                flat = [one.detach().double().flatten() for one in found]
                before = [self._seen[name]] if name in self._seen else []
                self._seen[name] = torch.cat([*before, *flat]) if flat or before else torch.zeros(0)
            elif found:
                self._seen[name] = found[0].detach().clone()

        return hook


def outputs_alike(network: nn.Module, example: Tensor) -> list[Tensor]:
    """All tensors that a network gives, the same each time, also where it draws random numbers."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return [one.detach() for one in tensors(network(example.clone()))]


def tensors(output: object) -> list[Tensor]:
    """All tensors in what a network gives, or takes."""
    if isinstance(output, Tensor):
        return [output]
    if is_dataclass(output) and not isinstance(output, type):
        output = [getattr(output, one.name) for one in fields(output)]
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def _cloned(value: Any) -> Any:
    """The same with a copy of each of its tensors."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    return tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, value)


def _ends(layer: nn.Module) -> Ends:
    found = ends(layer)
    assert found is not None
    return found


def _axis(layer: nn.Module) -> int:
    """The axis of a layer's input along which its units lie."""
    found = ends(layer)
    return 1 if found is None else found.axis


def _same(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(
        one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())
        for one, other in zip(first, second, strict=True)
    )


def _read(zeros: Tensor, ones: Tensor) -> Tensor | None:
    """Units and positions, from ``[digits, positions]``; None if a digit of a unit that acts on one is not known."""
    positions = (zeros | ones).any(0).nonzero()[:, 0]
    if not bool((zeros | ones)[:, positions].all()):
        return None
    weights = 2 ** torch.arange(len(ones))
    return torch.stack([(ones[:, positions] * weights[:, None]).sum(0), positions], 1)


def _all_on_all(units: int, positions: Tensor) -> Tensor:
    """Pairs that couple all units with all changed positions, and no more than are needed for that."""
    places = positions.nonzero()[:, 0]
    every = torch.arange(units)
    on_first = torch.stack([every, places[:1].expand(units)], 1)
    from_first = torch.stack([torch.zeros_like(places), places], 1)
    return torch.cat([on_first, from_first])
