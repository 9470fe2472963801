"""What stands where a layer was: of whose units none is left, or of whose inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from attar.errors import must
from attar.pruning.layers import blocks, ends


class _Window:
    """How the size of a map follows from what goes into a convolution."""

    def __init__(self, layer: _ConvNd) -> None:
        count = len(layer.kernel_size)
        valid = (0,) * count if layer.padding == "valid" else layer.padding
        self.kernel, self.stride, self.dilation = layer.kernel_size, layer.stride, layer.dilation
        self.padding: tuple[int, ...] | None = None if isinstance(valid, str) else tuple(valid)
        self.transposed, self.more = layer.transposed, layer.output_padding

    def size(self, shape: Sequence[Any]) -> list[Any]:
        """Height, width and the like of the output."""
        if self.padding is None:  # as large as the input
            return list(shape)
        found = []
        for axis, length in enumerate(shape):
            reach = self.dilation[axis] * (self.kernel[axis] - 1)
            if self.transposed:
                inside = (length - 1) * self.stride[axis] - 2 * self.padding[axis]
                found.append(inside + reach + self.more[axis] + 1)
            else:
                found.append((length + 2 * self.padding[axis] - reach - 1) // self.stride[axis] + 1)
        return found


class Nothing(nn.Module):
    """Stands for a layer of whose units none is left: one channel of zeros, of the size that its output had.

    No layer looks at it; but what lies between layers, such as pooling, needs something to work on.
    """

    def __init__(self, layer: nn.Module) -> None:
        """Take the place of a layer.

        Args:
            layer: A convolution, a linear layer or an embedding.
        """
        super().__init__()
        self.window = _Window(layer) if isinstance(layer, _ConvNd) else None
        self.adds_an_axis = isinstance(layer, nn.Embedding)

    def forward(self, inputs: Tensor) -> Tensor:
        """Zeros, float32 where the inputs are whole numbers."""
        kind = inputs.dtype if inputs.is_floating_point() else torch.get_default_dtype()
        if self.window is not None:
            shape = [inputs.shape[0], 1, *self.window.size(inputs.shape[2:])]
        else:
            shape = [*(inputs.shape if self.adds_an_axis else inputs.shape[:-1]), 1]
        return torch.zeros(shape, dtype=kind, device=inputs.device)


class Biases(nn.Module):
    """Stands for a layer of whose inputs none is left: it gives its biases everywhere.

    Attributes:
        bias: ``[outputs]``; zeros that do not learn where the layer had none.
    """

    def __init__(self, layer: nn.Module) -> None:
        """Take the place of a layer.

        Args:
            layer: A convolution or a linear layer; its biases are taken over.
        """
        super().__init__()
        self.window = _Window(layer) if isinstance(layer, _ConvNd) else None
        end = ends(layer)
        assert end is not None
        bias = layer._parameters.get("bias")
        if bias is None:
            weight = layer._parameters["weight"]
            assert weight is not None
            zeros = torch.zeros(end.outputs, dtype=weight.dtype, device=weight.device)
            bias = nn.Parameter(zeros, requires_grad=False)
        self.bias = bias

    def forward(self, inputs: Tensor) -> Tensor:
        """The biases, in the size that the layer's output had."""
        if self.window is None:
            return self.bias.reshape(*[1] * (inputs.dim() - 1), -1).expand(*inputs.shape[:-1], len(self.bias))
        size = self.window.size(inputs.shape[2:])
        return self.bias.reshape(1, -1, *[1] * len(size)).expand(inputs.shape[0], len(self.bias), *size)


def replacement(name: str, layer: nn.Module | None, emptied: bool) -> nn.Module:
    """What takes the place of a layer.

    Args:
        name: Its name; for messages.
        layer: The layer, if there is one.
        emptied: Whether none of its units is left; else none of its inputs.

    Raises:
        BadInput: If it is of a kind that nothing can stand for, or is the network itself.
    """
    end = None if layer is None else ends(layer)
    if name and layer is not None and end is not None and (emptied or end.inputs):
        return Nothing(layer) if emptied else Biases(layer)
    if name and layer is not None and emptied and blocks(layer) is not None:
        return Nothing(layer) if isinstance(layer, _ConvNd) else nn.Identity()
    rule = "names of layers with units" if emptied else "names of layers that multiply inputs with weights"
    parameter = "emptied" if emptied else "constant"
    raise must(parameter, "Prune", rule, name, "Use the function that built the network")
