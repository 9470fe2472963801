"""What a network costs as a function of how many units each group keeps.

`Structure.of` runs a network once and writes down which axes of its tensors, and which layers, get shorter with which
group. From there every cost is arithmetic: what a removal saves is had without making the slim network, in the layers
that lose outputs and in their neighbors that lose inputs alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls  # type: ignore[import-untyped]
from torch import Tensor, nn

from attar.network.cost import cost as count_cost
from attar.network.evaluating import evaluating
from attar.network.forward import forward
from attar.pruning.group import Groups

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

Kept = Mapping[str, int]
"""How many units of each group are kept; a group that is not named keeps all."""


@runtime_checkable
class Cost(Protocol):
    """A cost of a network of which some units are removed.

    Attributes:
        noise: Changes of less than this share of what a group's layers cost mean nothing; 0 where nothing is measured.
    """

    noise: float

    def total(self, kept: Kept) -> float:
        """The cost of the whole network."""

    def curve(self, group: str, counts: Sequence[int], kept: Kept) -> Floats:
        """``[counts]``, the cost when one group keeps so many units and the others as ``kept`` says.

        Less what does not depend on the group: only differences along it mean something.
        """

    def neighbors(self, group: str) -> frozenset[str]:
        """The groups whose curves change when this one loses units, itself included."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How long an axis is once some units are removed.

    Attributes:
        length: With all units.
        shares: For each group that has positions along it: its name, its units, and the positions that go with a unit
            (their mean, where units have different numbers of them).
    """

    length: int
    shares: tuple[tuple[str, int, float], ...] = ()

    def at(self, kept: Mapping[str, Any]) -> Any:
        """The length; an array where ``kept`` has an array for one of its groups."""
        length: Any = self.length
        for group, units, positions in self.shares:
            if group in kept:
                length = length - (units - kept[group]) * positions
        return length

    def scaled(self, length: int) -> Axis:
        """The same shares of an axis of another length."""
        factor = length / self.length
        return Axis(length, tuple((group, units, positions * factor) for group, units, positions in self.shares))

    @property
    def groups(self) -> frozenset[str]:
        """Names of the groups that it depends on."""
        return frozenset(group for group, _, _ in self.shares)


@dataclass(frozen=True, slots=True)
class Product:
    """One part of a cost: a number times the lengths of some axes."""

    factor: int | float
    axes: tuple[Axis, ...]

    def at(self, kept: Mapping[str, Any]) -> Any:
        """Its value; an array where ``kept`` has an array."""
        return self.factor * prod(axis.at(kept) for axis in self.axes)


class Products:
    """A cost that is a sum of products of lengths: parameters, multiply-adds, bytes, activations."""

    noise = 0.0

    def __init__(self, products: Iterable[Product]) -> None:
        fixed, self._touching = 0.0, defaultdict[str, list[Product]](list)
        self._moving: list[Product] = []
        for product in products:
            groups = frozenset[str]().union(*(axis.groups for axis in product.axes))
            if groups:
                self._moving.append(product)
            else:
                fixed += product.at({})
            for group in groups:
                self._touching[group].append(product)
        self._fixed = fixed

    def total(self, kept: Kept) -> float:
        """The cost of the whole network."""
        return self._fixed + float(sum(product.at(kept) for product in self._moving))

    def curve(self, group: str, counts: Sequence[int], kept: Kept) -> Floats:
        """``[counts]``, as `Cost` says."""
        along = {**kept, group: np.asarray(counts, np.float64)}
        return sum((product.at(along) for product in self._touching[group]), np.zeros(len(counts)))

    def neighbors(self, group: str) -> frozenset[str]:
        """As `Cost` says."""
        return frozenset({group}).union(*(axis.groups for one in self._touching[group] for axis in one.axes))


Operator = Literal["Conv", "Gemm", "MatMul"]
"""What multiplies by weights, by its name in ONNX: a convolution, a linear layer of rows, or one of sequences."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """All that the time of a layer depends on but how many channels go in and out.

    Attributes:
        operator: What it is.
        size: Of its input without batch and channels: ``(height, width)`` of an image, ``(length,)`` of a sequence,
            ``()`` of a row.
        kernel, stride, padding, dilation: Of a convolution; else empty.
        groups: In which a convolution divides its channels; 0 where each input channel is a group of its own.
        inputs, outputs: Channels of the unpruned layer: no more will be asked for.
    """

    operator: Operator
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of one layer.

    Attributes:
        name: Of the module.
        shape: What is called.
        inputs, outputs: Its channels.
    """

    name: str
    shape: LayerShape
    inputs: Axis
    outputs: Axis


LayerTime = Callable[[LayerShape, Counts, Counts], Floats]
"""From a layer and ``[n]`` numbers of input and output channels, each at least 1, to ``[n]`` times, in any unit."""


@dataclass(frozen=True, slots=True)
class NetworkTime:
    """Time of a call of a whole network, in units of a reference that was timed in the same moments.

    A processor is faster in one moment than in the next; the ratio to a reference carries over, milliseconds do not.

    Attributes:
        total: From call to answer.
        layers: Of it, in layers that multiply by weights.
        others: Of it, in everything else that computes: additions, pooling, activations.
        unit_ms: How long the reference took, in milliseconds.
    """

    total: float
    layers: float
    others: float
    unit_ms: float


class Latency:
    """Milliseconds of a call: the measured times of single layers, calibrated against whole networks.

    ``scale * layers + others * activations + fixed``: layers in their network need not be as fast as alone; what else
    computes takes time in proportion to the values that layers give; the call itself takes what it takes.
    """

    noise = 0.02

    def __init__(
        self,
        layers: Sequence[Layer],
        activations: Products,
        time: LayerTime,
        measured: Sequence[tuple[Kept, NetworkTime]],
    ) -> None:
        """Calibrate.

        Args:
            layers: All calls of layers that multiply by weights.
            activations: What everything else is in proportion to.
            time: Of single layers.
            measured: Networks that were timed, by what they keep, at least one: the first says how its time is
                divided and what a millisecond is, the others correct that.
        """
        self._layers, self._activations, self._time, self._measured = tuple(layers), activations, time, measured
        self._of: dict[str, list[Layer]] = defaultdict(list)
        for layer in layers:
            for group in layer.inputs.groups | layer.outputs.groups:
                self._of[group].append(layer)
        self.unit_ms = measured[0][1].unit_ms
        parts = np.array([[self._sum(layers, kept, 1).item(), activations.total(kept), 1.0] for kept, _ in measured])
        weights = self.unit_ms * _fitted(parts, [one for _, one in measured])
        self.scale, self.others, self.fixed = map(float, weights)

    def calibrated(self, measured: NetworkTime, kept: Kept) -> Latency:
        """The same with one measurement more: of the network that keeps ``kept``.

        A millisecond stays what it was in the first, so that a target means the same.
        """
        return Latency(self._layers, self._activations, self._time, [*self._measured, (kept, measured)])

    def error(self, measured: NetworkTime, kept: Kept) -> float:
        """By which share of what was measured the prediction for the network that keeps ``kept`` is above it."""
        return self.total(kept) / (measured.total * self.unit_ms) - 1

    def total(self, kept: Kept) -> float:
        """Milliseconds of the whole network."""
        layers = self._sum(self._layers, kept, 1).item()
        return self.scale * layers + self.others * self._activations.total(kept) + self.fixed

    def curve(self, group: str, counts: Sequence[int], kept: Kept) -> Floats:
        """``[counts]``, as `Cost` says."""
        along = {**kept, group: np.asarray(counts, np.int64)}
        layers = self._sum(self._of[group], along, len(counts))
        return self.scale * layers + self.others * self._activations.curve(group, counts, kept)

    def neighbors(self, group: str) -> frozenset[str]:
        """As `Cost` says."""
        return frozenset({group}).union(*(one.inputs.groups | one.outputs.groups for one in self._of[group]))

    def _sum(self, layers: Iterable[Layer], kept: Mapping[str, Any], length: int) -> Floats:
        """``[length]`` times of some layers alone."""
        total = np.zeros(length)
        for layer in layers:
            sides = (np.rint(np.broadcast_to(axis.at(kept), length)) for axis in (layer.inputs, layer.outputs))
            inputs, outputs = (side.astype(np.int64) for side in sides)
            there = (inputs > 0) & (outputs > 0)
            if there.any():
                total[there] += self._time(layer.shape, inputs[there], outputs[there])
        return total


_TRUST = 0.1
"""How much the division of the first network's time weighs beside a measurement."""


def _fitted(parts: Floats, measured: Sequence[NetworkTime]) -> Floats:
    """How many units of the reference each part counts for, so that the parts of each network add up to its time.

    Least squares of relative errors without negative weights. Few networks do not say which part is to blame: then the
    division of the first one's time, which was measured, stays as far as it can.

    Args:
        parts: ``[networks, 3]``: the table's sum over layers, activations, 1.
        measured: What each network took.
    """
    first = measured[0]
    divided = np.array([first.layers, first.others, max(0.0, first.total - first.layers - first.others)])
    scales = np.where(parts[0] > 0, parts[0], 1.0)
    # Unknown are the shares of the first network's time.
    times = np.array([one.total for one in measured])
    rows = parts / scales * (first.total / times)[:, None]
    rows = np.concatenate([rows, _TRUST * np.eye(3)])
    shares, _ = nnls(rows, np.concatenate([np.ones(len(times)), _TRUST * divided / first.total]))
    found: Floats = np.where(parts[0] > 0, shares * first.total / scales, 0.0)
    return found


@dataclass(frozen=True, slots=True)
class Structure:
    """What of a network gets smaller with which group.

    Attributes:
        units: Of each group.
        weights: For each parameter, by its name, the axes of it.
        work: Multiply-adds of one example.
        layers: Calls of layers that multiply by weights, in the order in which they happen.
        given: Numbers that layers with weights give for one example.
    """

    units: dict[str, int]
    weights: dict[str, tuple[Axis, ...]]
    work: tuple[Product, ...]
    layers: tuple[Layer, ...]
    given: tuple[Product, ...]

    @classmethod
    def of(cls, network: nn.Module, groups: Groups, example: Tensor) -> Structure:
        """Run a network once.

        Args:
            network: It is not changed.
            groups: What can be removed from it.
            example: One input, ``[1, ...]``.

        Raises:
            BadInput: If the example is not a single one.
        """
        shares = _shares(groups)
        axes = {
            _plain(name): tuple(
                Axis(length, shares.get((_plain(name), axis), ())) for axis, length in enumerate(one.shape)
            )
            for name, one in network.named_parameters(remove_duplicate=False)
        }
        counted = count_cost(network, example)
        with evaluating(network), _watched(network) as calls:
            forward(network, example)
        work = tuple(_work(network, counted.by_layer, axes, calls))
        layers = tuple(layer for name, module, size in calls for layer in _layers(name, module, size, axes))
        given = tuple(
            Product(prod(_size_after(layer.shape)), (layer.outputs,))  # one number a position and channel
            for layer in layers
        )
        weights = {_plain(name): axes[_plain(name)] for name, _ in network.named_parameters()}
        return cls({one.name: one.units for one in groups.groups}, weights, work, layers, given)

    def parameters(self) -> Products:
        """Numbers that training sets; one that several layers share counts once."""
        return Products(Product(1, axes) for axes in self.weights.values())

    def bytes(self, bits: int = 32) -> Products:
        """Bytes of the parameters: weights of so many bits a number, vectors such as biases of 32."""
        return Products(Product((bits if len(axes) > 1 else 32) / 8, axes) for axes in self.weights.values())

    def macs(self) -> Products:
        """Multiply-adds of one example, as `attar.network.cost` counts them."""
        return Products(self.work)

    def activations(self) -> Products:
        """Bytes, in float32, of what the layers with weights give for one example."""
        return Products(replace(one, factor=4 * one.factor) for one in self.given)

    def latency(self, time: LayerTime, measured: NetworkTime) -> Latency:
        """Milliseconds of a call, as `Latency` says, calibrated by the network of which nothing is removed."""
        return Latency(self.layers, self.activations(), time, [({}, measured)])


def _plain(name: str) -> str:
    """The name of a parameter without a parametrization on it."""
    return re.sub(r"\.parametrizations\.(\w+)\.original\d*$", r".\1", f".{name}")[1:]


def _shares(groups: Groups) -> dict[tuple[str, int], tuple[tuple[str, int, float], ...]]:
    """By tensor and axis, which groups have how many positions of it a unit."""
    found = defaultdict[tuple[str, int], list[tuple[str, int, float]]](list)
    for group in groups.groups:
        for slot in group.slots:
            positions = sum(map(len, slot.positions)) / group.units
            found[_plain(slot.tensor), slot.axis].append((group.name, group.units, positions))
    return {place: tuple(shares) for place, shares in found.items()}


Call = tuple[str, nn.Module, tuple[int, ...]]
"""Name, module, and shape of its first input."""


@contextmanager
def _watched(network: nn.Module) -> Iterator[list[Call]]:
    """The calls of layers with weights that happen while this is open."""
    calls: list[Call] = []

    def hook(name: str) -> Callable[..., None]:
        def note(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            given = next((one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)), None)
            if given is not None:
                calls.append((name, module, tuple(given.shape)))

        return note

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if isinstance(module, _Convolution | nn.Linear | nn.MultiheadAttention):
                handle = module.register_forward_pre_hook(hook(name), with_kwargs=True)
                stack.callback(handle.remove)
        yield calls


_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


def _work(
    network: nn.Module, by_layer: Mapping[str, int], axes: Mapping[str, tuple[Axis, ...]], calls: Sequence[Call]
) -> Iterator[Product]:
    """Multiply-adds by layer: in proportion to its weights, and, where it has none, to what its first part gives."""
    modules = dict(network.named_modules())
    for name, macs in by_layer.items():
        module, start = modules[name], f"{name}." if name else ""
        if isinstance(module, nn.MultiheadAttention):
            yield from _attention_work(name, macs, axes, calls)
            continue
        own = [axes[f"{start}{_plain(one)}"] for one in _own(module)]
        if weights := [one for one in own if len(one) > 1]:
            numbers = sum(prod(axis.length for axis in one) for one in weights)
            yield from (Product(macs / numbers, one) for one in weights)
            continue
        # Products of what parts gave, such as in attention that is written out.
        inside = (axes[other] for other in axes if other.startswith(start) and len(axes[other]) > 1)
        first = next((one[0] for one in inside if one[0].shares), Axis(1))
        yield Product(macs / first.length, (first,))


def _own(module: nn.Module) -> list[str]:
    """Names of a module's own parameters, parametrized or not."""
    names = [name for name, _ in module.named_parameters(recurse=False)]
    return names + [name for name, _ in module.named_parameters() if name.startswith("parametrizations.")]


def _attention_work(
    name: str, macs: int, axes: Mapping[str, tuple[Axis, ...]], calls: Sequence[Call]
) -> Iterator[Product]:
    """Projections by their weights; the rest, products of queries, keys and values, by what these have."""
    start = f"{name}." if name else ""
    weights = [axes[one] for one in axes if one.startswith(start) and len(axes[one]) > 1]
    tokens = sum(prod(size[:-1]) for called, _, size in calls if called == name)
    for one in weights:
        yield Product(tokens, one)
    rest = macs - tokens * sum(prod(axis.length for axis in one) for one in weights)
    if rest > 0 and weights:
        first = weights[0][0]
        yield Product(rest / first.length, (first,))


def _layers(name: str, module: nn.Module, size: tuple[int, ...], axes: Mapping[str, tuple[Axis, ...]]) -> list[Layer]:
    """What is multiplied by weights in one call of a module."""
    start = f"{name}." if name else ""
    if isinstance(module, nn.MultiheadAttention):
        tokens = (prod(size[:-1]),)
        weights = (axes.get(f"{start}{one}") for one in ("in_proj_weight", "out_proj.weight"))
        return [_linear(name, "MatMul", tokens, weight) for weight in weights if weight is not None]
    weight = axes[f"{start}weight"]
    if isinstance(module, nn.Linear):
        rows = size[1:-1]
        return [_linear(name, "MatMul" if rows else "Gemm", rows, weight)]
    assert isinstance(module, _Convolution)
    groups, inputs = module.groups, weight[1]
    if groups > 1:
        depthwise = weight[1].length == 1
        groups = 0 if depthwise else groups
        inputs = (weight[0] if depthwise else weight[1]).scaled(module.in_channels)
    if isinstance(module.padding, str):
        spread = zip(module.dilation, module.kernel_size, strict=True)
        padding = tuple(d * (k - 1) // 2 if module.padding == "same" else 0 for d, k in spread)
    else:
        padding = tuple(module.padding)
    shape = LayerShape(
        "Conv",
        size[-len(module.kernel_size) :],
        tuple(module.kernel_size),
        tuple(module.stride),
        padding,
        tuple(module.dilation),
        groups,
        module.in_channels,
        module.out_channels,
    )
    return [Layer(name, shape, inputs, weight[0])]


def _linear(name: str, operator: Operator, size: tuple[int, ...], weight: tuple[Axis, ...]) -> Layer:
    outputs, inputs = weight
    shape = LayerShape(operator, size, (), (), (), (), 1, inputs.length, outputs.length)
    return Layer(name, shape, inputs, outputs)


def _size_after(shape: LayerShape) -> tuple[int, ...]:
    """Positions that a layer gives for one example."""
    if shape.operator != "Conv":
        return shape.size
    sides = zip(shape.size, shape.kernel, shape.stride, shape.padding, shape.dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides)


def costs(structure: Structure) -> dict[str, Cost]:
    """The costs that need no measurement, by the names that recipes have for them."""
    return {
        "parameters": structure.parameters(),
        "macs": structure.macs(),
        "bytes": structure.bytes(),
        "activations": structure.activations(),
    }
