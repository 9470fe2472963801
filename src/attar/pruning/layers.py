"""What is known of layers by their type: where their units lie, and what is removed with one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm


@dataclass(frozen=True)
class Ends:
    """Both ends of a layer that multiplies what comes in with weights: each unit of either has a slice of these.

    Attributes:
        axis: Of its inputs and outputs, along which units lie.
        outputs: How many units it makes.
        output_axes: The axis of each tensor along which these lie.
        output_counts: Attributes that count them.
        inputs: How many units it takes; 0 for an embedding, which takes whole numbers.
        input_axes: The axis of the weights along which these lie.
        input_counts: Attributes that count them.
    """

    axis: int
    outputs: int
    output_axes: dict[str, int]
    output_counts: tuple[str, ...]
    inputs: int
    input_axes: dict[str, int]
    input_counts: tuple[str, ...]


@dataclass(frozen=True)
class Blocks:
    """What a layer has for each block of its input units, which go together: it passes them on and mixes no others.

    A batch normalization has as many blocks as channels, a convolution as many as it has groups.

    Attributes:
        count: How many blocks there are, of equal size, one after the other.
        inputs: How many units it takes.
        tensors: Those that have an equal part for each block along axis 0.
        numbers: Attributes that have an equal part for each block.
    """

    count: int
    inputs: int
    tensors: tuple[str, ...]
    numbers: tuple[str, ...]

    @property
    def size(self) -> int:
        """Input units of one block."""
        return self.inputs // self.count


def ends(layer: nn.Module) -> Ends | None:
    """The ends of a layer, or None if it is of another kind."""
    if isinstance(layer, _ConvNd) and layer.groups == 1:
        out = 1 if layer.transposed else 0
        output_axes = _present(layer, {"weight": out, "bias": 0})
        output_counts, input_counts = ("out_channels",), ("in_channels",)
        return Ends(
            1, layer.out_channels, output_axes, output_counts, layer.in_channels, {"weight": 1 - out}, input_counts
        )
    if isinstance(layer, nn.Linear):
        output_axes = _present(layer, {"weight": 0, "bias": 0})
        return Ends(
            -1, layer.out_features, output_axes, ("out_features",), layer.in_features, {"weight": 1}, ("in_features",)
        )
    if isinstance(layer, nn.Embedding):
        return Ends(-1, layer.embedding_dim, {"weight": 1}, ("embedding_dim",), 0, {}, ())
    return None


def blocks(layer: nn.Module) -> Blocks | None:
    """The blocks of a layer whose units lie along axis 1, or None if it is of another kind."""
    tensors: tuple[str, ...]
    numbers: tuple[str, ...]
    if isinstance(layer, _ConvNd) and layer.groups > 1:
        count, inputs = layer.groups, layer.in_channels
        tensors, numbers = ("weight", "bias"), ("groups", "in_channels", "out_channels")
    elif isinstance(layer, _BatchNorm | _InstanceNorm):
        count = inputs = layer.num_features
        tensors, numbers = ("weight", "bias", "running_mean", "running_var"), ("num_features",)
    elif isinstance(layer, nn.GroupNorm):
        count, inputs = layer.num_groups, layer.num_channels
        tensors, numbers = ("weight", "bias"), ("num_groups", "num_channels")
    elif isinstance(layer, nn.PReLU) and layer.num_parameters > 1:
        count = inputs = layer.num_parameters
        tensors, numbers = ("weight",), ("num_parameters",)
    else:
        return None
    return Blocks(count, inputs, tuple(_present(layer, dict.fromkeys(tensors, 0))), numbers)


def normalizes_across(layer: nn.Module) -> bool:
    """Whether it divides by the spread of all that lies along some axes, so that no number there can go alone."""
    return isinstance(layer, nn.LayerNorm | nn.RMSNorm | nn.LocalResponseNorm)


def _present(layer: nn.Module, axes: dict[str, int]) -> dict[str, int]:
    return {name: axis for name, axis in axes.items() if isinstance(getattr(layer, name, None), Tensor)}


def owners_of(network: nn.Module) -> dict[str, int]:
    """How many modules have each parameter and buffer, by all of its names."""
    counts: dict[int, int] = {}
    names: dict[str, int] = {}
    for prefix, layer in network.named_modules():
        for attribute, tensor in chain(layer._parameters.items(), layer._buffers.items()):
            if tensor is not None:
                counts[id(tensor)] = counts.get(id(tensor), 0) + 1
                names[f"{prefix}.{attribute}" if prefix else attribute] = id(tensor)
    return {name: counts[place] for name, place in names.items()}
