"""Sums over examples of the squared gradients of a layer's weights, from its input and the gradient of its output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_BY_EXAMPLE = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Embedding,
    nn.LayerNorm,
    nn.GroupNorm,
)
"""Layers that answer each example by itself."""

KNOWN = (*_BY_EXAMPLE, nn.modules.batchnorm._BatchNorm)
"""Layers whose gradients can be had for each example."""

_MOST_NUMBERS = 4_000_000
"""How many numbers of gradients are held at once: 16 MB."""


@torch.no_grad()
def squared_gradients(layer: nn.Module, values: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """For each weight of a layer the sum over examples of the square of its gradient.

    The gradient is that of the sum of all losses. In training mode batch normalization's is that of the example's own
    outputs, with the statistics of the batch.

    Args:
        layer: One of `KNOWN`; parameters of its own alone count.
        values: ``[examples, ...]``, what it was given.
        gradient: ``[examples, ...]``, of what it gave.

    Returns:
        By the names that the parameters have in the layer, in their shapes.
    """
    parameters = dict(layer.named_parameters(recurse=False))
    numbers = next((one.dtype for one in parameters.values()), gradient.dtype)
    gradient = gradient.to(numbers)  # where layers compute in coarser ones than weights have
    values = values.to(numbers) if values.is_floating_point() else values
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return _of_batch_norm(layer, values, gradient)
    if isinstance(layer, nn.Linear) and values.dim() == 2:
        found = {"weight": gradient.square().T @ values.square()}
        if layer.bias is not None:
            found["bias"] = gradient.square().sum(0)
        return found

    def of_one(value: Tensor, its: Tensor) -> dict[str, Tensor]:
        def answer(given: dict[str, Tensor]) -> Tensor:
            output: Tensor = torch.func.functional_call(layer, given, (value[None],))
            return output[0]

        pulled: Any = torch.func.vjp(answer, parameters)
        gradients: dict[str, Tensor] = pulled[1](its)[0]
        return gradients

    size = max(1, _MOST_NUMBERS // max(1, sum(one.numel() for one in parameters.values())))
    sums = {name: torch.zeros_like(one) for name, one in parameters.items()}
    every: Any = torch.func.vmap(of_one)
    for some, its in zip(torch.split(values, size), torch.split(gradient, size), strict=True):
        for name, gradients in every(some, its).items():
            sums[name] += gradients.square_().sum(0)
    return sums


def _of_batch_norm(layer: nn.modules.batchnorm._BatchNorm, values: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    of_batch = layer.training or layer.running_mean is None
    statistics = (None, None) if of_batch else (layer.running_mean, layer.running_var)
    normal = functional.batch_norm(values, *statistics, training=of_batch, eps=layer.eps)
    by_position = (gradient * normal).flatten(2).sum(2) if values.dim() > 2 else gradient * normal
    of_bias = gradient.flatten(2).sum(2) if values.dim() > 2 else gradient
    return {"weight": by_position.square().sum(0), "bias": of_bias.square().sum(0)}
