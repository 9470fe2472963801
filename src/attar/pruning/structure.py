"""What of a network gets smaller with which group.

`Structure.of` runs a network once and writes down which axes of its tensors, and which layers, get shorter with which
group. From there every cost is arithmetic: what a removal saves is had without making the slim network, in the layers
that lose outputs and in their neighbors that lose inputs alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from attar.network.copying import copied
from attar.network.cost import cost as count_cost
from attar.network.evaluating import evaluating
from attar.network.forward import forward
from attar.pruning.cost import Axis, Cost, Product, Products
from attar.pruning.edit import prune
from attar.pruning.group import Groups
from attar.pruning.influence import tensors
from attar.pruning.latency import Latency, Layer, LayerShape, LayerTime, NetworkTime, Operator
from attar.pruning.layers import ends


@dataclass(frozen=True, slots=True)
class Structure:
    """What of a network gets smaller with which group.

    Attributes:
        weights: For each parameter, by its name, the axes of it.
        work: Multiply-adds of one example.
        layers: Calls of layers that multiply by weights, in the order in which they happen.
        given: Numbers that layers with weights give for one example.
    """

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
        numbers = {
            name: tuple(
                Axis(length, shares.get((_unparametrized(name), axis), ())) for axis, length in enumerate(one.shape)
            )
            for name, one in network.named_parameters(remove_duplicate=False)
        }
        axes = {_unparametrized(name): one for name, one in numbers.items()}
        counted = count_cost(network, example)
        with evaluating(network), _watched(network) as calls:
            forward(network, example)
        work = tuple(_work(network, groups, example, counted.by_layer, axes, calls))
        layers = tuple(layer for call in calls for layer in _layers(call, axes, calls))
        given = tuple(product for call in calls for product in _given(call, axes, calls))
        # By their own names, as several may make one weight.
        weights = {name: numbers[name] for name, _ in network.named_parameters()}
        return cls(weights, work, layers, given)

    def parameters(self) -> Products:
        """Numbers that training sets; one that several layers share counts once."""
        return Products(Product(1, axes) for axes in self.weights.values())

    def bytes(self) -> Products:
        """Bytes of the parameters, in float32."""
        return Products(Product(4, axes) for axes in self.weights.values())

    def macs(self) -> Products:
        """Multiply-adds of one example, as `attar.network.cost` counts them."""
        return Products(self.work)

    def activations(self) -> Products:
        """Bytes, in float32, of what the layers with weights give for one example."""
        return Products(replace(one, factor=4 * one.factor) for one in self.given)

    def latency(self, time: LayerTime, measured: NetworkTime) -> Latency:
        """Milliseconds of a call, as `Latency` says, calibrated by the network of which nothing is removed."""
        return Latency(self.layers, self.activations(), time, [({}, measured)])


def _unparametrized(name: str) -> str:
    """The name of a parameter without a parametrization on it."""
    return re.sub(r"\.parametrizations\.(\w+)\.original\d*$", r".\1", f".{name}")[1:]


def _shares(groups: Groups) -> dict[tuple[str, int], tuple[tuple[str, int, float], ...]]:
    """By tensor and axis, which groups have how many positions of it a unit."""
    found = defaultdict[tuple[str, int], list[tuple[str, int, float]]](list)
    for group in groups.groups:
        for slot in group.slots:
            positions = sum(map(len, slot.positions)) / group.units
            found[_unparametrized(slot.tensor), slot.axis].append((group.name, group.units, positions))
    return {place: tuple(shares) for place, shares in found.items()}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer with weights.

    Attributes:
        name: Of the module.
        module: The module.
        size: Shape of its first input.
        gives: Shape of its output, the first where it has several.
    """

    name: str
    module: nn.Module
    size: tuple[int, ...]
    gives: tuple[int, ...]


@contextmanager
def _watched(network: nn.Module) -> Iterator[list[Call]]:
    """The calls of layers with weights that happen while this is open."""
    calls: list[Call] = []

    def hook(name: str) -> Callable[..., None]:
        def note(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object) -> None:
            taken, gives = tensors((args, kwargs)), tensors(output)
            if taken and gives:
                calls.append(Call(name, module, tuple(taken[0].shape), tuple(gives[0].shape)))

        return note

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if ends(module) is not None or isinstance(module, _ConvNd | nn.MultiheadAttention):
                handle = module.register_forward_hook(hook(name), with_kwargs=True)
                stack.callback(handle.remove)
        yield calls


_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


def _work(
    network: nn.Module,
    groups: Groups,
    example: Tensor,
    by_layer: Mapping[str, int],
    axes: Mapping[str, tuple[Axis, ...]],
    calls: Sequence[Call],
) -> Iterator[Product]:
    """Multiply-adds by layer: of those that are known in proportion to their weights, of others as they are found."""
    modules = dict(network.named_modules())
    unknown: dict[str, int] = {}
    for name, macs in by_layer.items():
        module, start = modules[name], f"{name}." if name else ""
        if isinstance(module, nn.MultiheadAttention):
            yield from _attention_work(name, macs, axes, calls)
            continue
        own = [axes[f"{start}{_unparametrized(one)}"] for one in _own(module)]
        weights = [one for one in own if len(one) > 1]
        if weights and (ends(module) is not None or type(module).__module__.startswith("torch.")):
            numbers = sum(prod(axis.length for axis in one) for one in weights)
            yield from (Product(macs / numbers, one) for one in weights)
        else:
            unknown[name] = macs
    if unknown:
        yield from _found_work(network, groups, example, unknown)


def _found_work(network: nn.Module, groups: Groups, example: Tensor, unknown: Mapping[str, int]) -> Iterator[Product]:
    """Work that users' own code does, such as products of what two layers gave: what half of each group takes off it.

    Of several groups on which the same work depends each is taken for a factor.
    """
    depends: dict[str, list[Axis]] = {name: [] for name in unknown}
    for group in groups.groups:
        gone = group.units // 2
        if not gone or not any(slot.tensor.startswith(name) for slot in group.slots for name in unknown):
            continue
        slim = prune(network, groups, {group.name: range(gone)}).apply(copied(network))
        after = count_cost(slim, example).by_layer
        for name, macs in unknown.items():
            share = round((1 - after.get(name, 0) / macs) * group.units / gone, 9)  # 1 where it is in proportion
            if share > 0:
                depends[name].append(Axis(group.units, ((group.name, group.units, share),)))
    for name, macs in unknown.items():
        yield Product(macs / prod(axis.length for axis in depends[name]), tuple(depends[name]))


def _own(module: nn.Module) -> list[str]:
    """Names of a module's own parameters, parametrized or not."""
    names = [name for name, _ in module.named_parameters(recurse=False)]
    return names + [name for name, _ in module.named_parameters() if name.startswith("parametrizations.")]


def _attention_work(
    name: str, macs: int, axes: Mapping[str, tuple[Axis, ...]], calls: Sequence[Call]
) -> Iterator[Product]:
    """Projections by their weights; the rest, products of queries, keys and values, by what these have."""
    weights = [axes[one] for one in _projections(name, axes, calls)]
    tokens = sum(prod(call.size[:-1]) for call in calls if call.name == name)
    numbers = sum(prod(axis.length for axis in one) for one in weights)
    for one in weights:
        yield Product(min(tokens, macs / numbers), one)
    rest = macs - tokens * numbers
    if rest > 0 and weights:
        first = weights[0][0]
        yield Product(rest / first.length, (first,))


def _projections(name: str, axes: Mapping[str, tuple[Axis, ...]], calls: Sequence[Call]) -> list[str]:
    """Names of the weights with which an attention multiplies; the last one may be called as a layer of its own."""
    start = f"{name}." if name else ""
    last = f"{start}out_proj"
    every = [one for one in axes if one.startswith(start) and len(axes[one]) > 1]
    return [one for one in every if one != f"{last}.weight" or all(call.name != last for call in calls)]


def _weight(call: Call, axes: Mapping[str, tuple[Axis, ...]]) -> tuple[Axis, ...]:
    """The axes of a layer's weight, also where it is computed from other numbers and no parameter."""
    assert isinstance(call.module.weight, Tensor), "a layer with weights"
    computed = tuple(Axis(length) for length in call.module.weight.shape)
    return axes.get(f"{call.name}.weight" if call.name else "weight", computed)


def _given(call: Call, axes: Mapping[str, tuple[Axis, ...]], calls: Sequence[Call]) -> list[Product]:
    """What one call gives: one number a position and channel."""
    module = call.module
    if isinstance(module, nn.MultiheadAttention):
        return [Product(prod(call.size[:-1]), axes[one][:1]) for one in _projections(call.name, axes, calls)]
    weight = _weight(call, axes)
    outputs = weight[0]
    if isinstance(module, _ConvNd) and module.transposed:
        outputs = weight[1] if module.groups == 1 else weight[0].scaled(module.out_channels)
    elif isinstance(module, nn.Embedding):
        outputs = weight[1]
    return [Product(prod(call.gives) // outputs.length, (outputs,))]


def _layers(call: Call, axes: Mapping[str, tuple[Axis, ...]], calls: Sequence[Call]) -> list[Layer]:
    """What is multiplied by weights in one call of a module, as far as layers of its kind can be timed alone."""
    name, module, size = call.name, call.module, call.size
    if isinstance(module, nn.MultiheadAttention):
        tokens = (prod(size[:-1]),)
        return [_linear(name, "MatMul", tokens, axes[one]) for one in _projections(name, axes, calls)]
    if not isinstance(module, _Convolution | nn.Linear):
        return []
    weight = _weight(call, axes)
    if isinstance(module, nn.Linear):
        rows = size[1:-1]
        return [_linear(name, "MatMul" if rows else "Gemm", rows, weight)]
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


def costs(structure: Structure) -> dict[str, Cost]:
    """The costs that need no measurement, by the names that recipes have for them."""
    return {
        "parameters": structure.parameters(),
        "macs": structure.macs(),
        "bytes": structure.bytes(),
        "activations": structure.activations(),
    }
