"""Sizes with which a network can be computed once layers of it are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AvgPoolNd, _MaxPoolNd

from attar.errors import BadInput, shown
from attar.pruning.influence import tensors
from attar.pruning.layers import blocks, ends
from attar.pruning.resize import Number, Resize
from attar.search.n2n.trace import Stretch, Trace, Unequal, run, traced


class Unfit(Exception):
    """There are no such sizes; the message is the reason, as a sentence."""


@dataclass
class Sizes:
    """What was changed of a network's sizes.

    Attributes:
        numbers: As `attar.pruning.resize.Resize` has them.
        shapes: Likewise.
    """

    numbers: dict[str, Number] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def change_(self, network: nn.Module, change: Resize) -> None:
        """Make a change of sizes in place, and note it."""
        try:
            change.apply(network)
        except BadInput as error:
            raise Unfit(str(error)) from error
        self.numbers |= change.numbers
        self.shapes |= change.shapes


def fit_(network: nn.Module, example: Tensor, output: tuple[int, ...], allowed: frozenset[Stretch]) -> Sizes:
    """Give layers the sizes of what they now take, in place.

    Where a branch is added to what passes it by, and makes another number of channels now, the last layer of one of
    both that makes channels makes as many as the other has.

    Args:
        network: Without some of its layers.
        example: One input, ``[1, ...]``.
        output: Shape of what it has to give.
        allowed: Where an operation may stretch one operand to the size of the other.

    Returns:
        What was changed.

    Raises:
        Unfit: If that does not make a network that can be computed.
    """
    sizes = Sizes()
    layers = dict(network.named_modules())
    for _ in range(len(layers)):
        with traced(network, allowed) as trace, _adapting(network, sizes):
            try:
                found = run(network, example, trace)
                break
            except Unequal as clash:
                change = _evened(clash, trace, layers)
                if change is None:
                    raise Unfit(_unequal(clash, trace)) from clash
            except Unfit:
                raise
            except Exception as error:  # whatever torch and the user's code say of sizes that do not fit
                raise Unfit(_broken(trace, error)) from error
        sizes.change_(network, change)
    else:
        raise Unfit("No widths were found with which all sums of branches have terms of equal sizes.")
    check_output(found, output)
    return sizes


def check_output(found: Tensor, output: tuple[int, ...]) -> None:
    """See that a network gives what it has to.

    Raises:
        Unfit: If it does not.
    """
    if tuple(found.shape) != output:
        raise Unfit(f"The network gives an output of shape {list(found.shape)}, and its teacher one of {list(output)}.")


def _broken(trace: Trace, error: Exception) -> str:
    place = f"in layer {trace.running[-1]!r}" if trace.running and trace.running[-1] else "outside of its layers"
    return f"The network cannot be computed {place} ({shown(f'{type(error).__name__}: {error}', 160)})."


def _unequal(clash: Unequal, trace: Trace) -> str:
    first, second = (list(size) for size in clash.sizes)
    ends_of = [
        next((name for name in reversed(trace.order) if mark.through & trace.order[name]), None) for mark in clash.marks
    ]
    of = [f"what {name!r} gives" if name else "the input" for name in ends_of]
    return f"Sizes {first} of {of[0]} and {second} of {of[1]} do not fit where they meet."


def _evened(clash: Unequal, trace: Trace, layers: Mapping[str, nn.Module]) -> Resize | None:
    """The change with which one of two that meet makes as many channels as the other; None where neither can."""
    pairs = enumerate(zip(*clash.sizes, strict=True))
    axes = [axis for axis, (one, other) in pairs if one != other and min(one, other) > 1]
    if len(axes) != 1:
        return None
    lengths = [size[axes[0]] for size in clash.sizes]
    found: list[tuple[int, Resize]] = []
    for mine, other, mark, beside in (
        (lengths[0], lengths[1], clash.marks[0], clash.marks[1]),
        (lengths[1], lengths[0], clash.marks[1], clash.marks[0]),
    ):
        bit = 0 if mark.maker is None else trace.order[mark.maker]
        if not bit & mark.through & ~beside.through:
            continue
        assert mark.maker is not None
        end = ends(layers[mark.maker])
        assert end is not None
        axis = end.axis % len(clash.sizes[0])
        if axis == axes[0] and end.outputs * other % mine == 0:
            found.append((bit, outputs_set(mark.maker, layers[mark.maker], end.outputs * other // mine)))
    return max(found, key=lambda one: one[0])[1] if found else None


def outputs_set(name: str, layer: nn.Module, outputs: int) -> Resize:
    """The change with which a layer makes so many channels or units."""
    end = ends(layer)
    assert end is not None
    shapes = {attribute: _with(layer, attribute, axis, outputs) for attribute, axis in end.output_axes.items()}
    return _of(name, dict.fromkeys(end.output_counts, outputs), shapes)


def inputs_set(name: str, layer: nn.Module, given: Tensor) -> Resize | None:
    """The change with which a layer takes what it is given; None where it does already, or nothing is known of it."""
    numbers: dict[str, Number]
    if (end := ends(layer)) is not None and end.inputs:
        count = given.shape[end.axis]
        if count == end.inputs:
            return None
        shapes = {attribute: _with(layer, attribute, axis, count) for attribute, axis in end.input_axes.items()}
        return _of(name, dict.fromkeys(end.input_counts, count), shapes)
    if (passed := blocks(layer)) is not None:
        count = given.shape[1]
        if count == passed.inputs:
            return None
        kept = count if passed.size == 1 else gcd(count, passed.count)
        if isinstance(layer, _ConvNd):
            outputs = count * layer.out_channels // layer.in_channels if passed.size == 1 else layer.out_channels
            numbers = {"groups": kept, "in_channels": count, "out_channels": outputs}
            sides = (count, outputs // kept) if layer.transposed else (outputs, count // kept)
            shapes = {"weight": (*sides, *layer.weight.shape[2:])}
            if layer.bias is not None:
                shapes["bias"] = (outputs,)
        else:
            numbers = dict.fromkeys(passed.numbers, count)
            if isinstance(layer, nn.GroupNorm):
                numbers["num_groups"] = kept
            shapes = {attribute: (count,) for attribute in passed.tensors}
        return _of(name, numbers, shapes)
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
        shape = tuple(given.shape[-len(layer.normalized_shape) :])
        if shape == tuple(layer.normalized_shape):
            return None
        present = [one for one in ("weight", "bias") if isinstance(getattr(layer, one, None), Tensor)]
        return _of(name, {"normalized_shape": shape}, dict.fromkeys(present, shape))
    return None


def _of(name: str, numbers: Mapping[str, Number], shapes: Mapping[str, tuple[int, ...]]) -> Resize:
    start = f"{name}." if name else ""
    return Resize(
        numbers={start + attribute: number for attribute, number in numbers.items()},
        shapes={start + attribute: shape for attribute, shape in shapes.items()},
    )


def _with(layer: nn.Module, attribute: str, axis: int, length: int) -> tuple[int, ...]:
    shape = list(getattr(layer, attribute).shape)
    shape[axis] = length
    return tuple(shape)


@contextmanager
def _adapting(network: nn.Module, sizes: Sizes) -> Iterator[None]:
    """Let each layer take what it is given, for as long as the context lasts."""

    def hook(name: str) -> Callable[..., None]:
        def adapt(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = tensors((args, kwargs))
            if not given:
                return
            _check_map(name, layer, given[0])
            change = inputs_set(name, layer, given[0])
            if change is not None:
                sizes.change_(network, change)

        return adapt

    handles = [
        module.register_forward_pre_hook(hook(name), with_kwargs=True)
        for name, module in network.named_modules()
        if ends(module) is not None
        or blocks(module) is not None
        or isinstance(module, nn.LayerNorm | nn.RMSNorm | _MaxPoolNd | _AvgPoolNd)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check_map(name: str, layer: nn.Module, given: Tensor) -> None:
    """See that a kernel finds room in what it is moved over.

    Raises:
        Unfit: If it does not.
    """
    if not isinstance(layer, _ConvNd | _MaxPoolNd | _AvgPoolNd) or isinstance(getattr(layer, "padding", 0), str):
        return
    if isinstance(layer, _ConvNd) and layer.transposed:
        return
    kernel = layer.kernel_size
    count = len(kernel) if isinstance(kernel, tuple) else given.dim() - 2
    sides = given.shape[-count:]
    spread, padding = _each(layer, "dilation", count, 1), _each(layer, "padding", count, 0)
    for axis, side in enumerate(sides):
        reach = spread[axis] * (_each(layer, "kernel_size", count, 1)[axis] - 1) + 1
        if reach > side + 2 * padding[axis]:
            around = f" with {padding[axis]} around it" if padding[axis] else ""
            raise Unfit(
                f"The kernel of layer {name!r} reaches over {reach}, and finds a map of {' x '.join(map(str, sides))}"
                f"{around}: what is before it makes maps too small."
            )


def _each(layer: nn.Module, attribute: str, count: int, default: int) -> tuple[int, ...]:
    value = getattr(layer, attribute, default)
    return tuple(value) if isinstance(value, tuple | list) else (value,) * count
