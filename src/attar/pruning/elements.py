"""Single weights that go: those of least magnitude, in each tensor or in all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from attar.errors import NothingMatched, must, near
from attar.pruning.layers import normalizes_across

Over = Literal["layer", "network"]
"""Where weights are compared: within each tensor, or in all of them together."""


def weights_of(network: nn.Module, skip: Sequence[str] = ()) -> dict[str, nn.Parameter]:
    """The weights of a network by their names, tied ones once: what layers multiply their inputs with.

    These are the weights of layers that torch knows, and all other parameters that are long along two axes at least.
    Factors of single channels or positions are none, such as the scale of a normalization, or what a parametrization
    multiplies filters with.

    Args:
        network: Any module.
        skip: Names or patterns (``"0"``, ``"blocks.*"``, ``"head.weight"``) of layers or tensors that are left out;
            ``"first"`` and ``"last"`` are the first and the last layer with weights.

    Raises:
        NothingMatched: If a name fits nothing, or nothing is left.

    Example:
        >>> list(weights_of(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), ["last"]))
        ['0.weight']
    """
    modules = dict(network.named_modules())
    found = {
        name: one
        for name, one in network.named_parameters()
        if one.is_floating_point() and one.dim() > 1 and _multiplies(one, name, modules)
    }
    layers = list(dict.fromkeys(_layer(name) for name in found))
    left = dict(found)
    for pattern in (skip,) if isinstance(skip, str) else skip:
        if pattern in ("first", "last") and layers:
            fits = [name for name in found if _layer(name) == layers[0 if pattern == "first" else -1]]
        else:
            fits = [name for name in found if fnmatchcase(name, pattern) or fnmatchcase(_layer(name), pattern)]
        if not fits:
            names = [*(one for one in layers if one), *found, "first", "last"]
            raise NothingMatched(f"skip must fit a layer with weights; {pattern!r} fits none. {near(pattern, names)}")
        for name in fits:
            left.pop(name, None)
    if not left:
        raise NothingMatched(f"No weights are left of {len(found)} tensors with weights. Skip less.")
    return left


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _multiplies(tensor: Tensor, name: str, modules: Mapping[str, nn.Module]) -> bool:
    """Whether inputs are multiplied with it as with a matrix, not each with a factor of its own."""
    layer, _, attribute = name.rpartition(".")
    if attribute == "weight" and isinstance(modules[layer], nn.Linear | nn.Embedding | _ConvNd):
        return True
    return sum(length > 1 for length in tensor.shape) > 1 and not normalizes_across(modules[layer])


@torch.no_grad()
def smallest(
    weights: Mapping[str, Tensor], share: float, over: Over = "layer", gone: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Which weights go: a share of them, those nearest to zero.

    Args:
        weights: Tensors of any shapes.
        share: From 0 to 1; rounded to whole weights.
        over: Whether the share is one of each tensor, or of all together.
        gone: Where weights have gone before, bool in the same shapes: these go first.

    Returns:
        Bool tensors in the same shapes on the same devices, true where a weight goes. Of equals the first goes first.

    Raises:
        BadInput: If the share is out of range.

    Example:
        >>> weights = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([0.5, 0.1])}
        >>> [mask.tolist() for mask in smallest(weights, 0.5).values()]
        [[True, False], [False, True]]
        >>> [mask.tolist() for mask in smallest(weights, 0.5, over="network").values()]
        [[False, False], [True, True]]
    """
    if not 0 <= share <= 1:
        raise must("share", "smallest", "from 0 to 1", share, "Use for example 0.9")
    sizes = {name: _sizes(one, None if gone is None else gone[name]) for name, one in weights.items()}
    if over == "layer":
        return {name: _least(one, share).reshape(weights[name].shape) for name, one in sizes.items()}
    masks = torch.split(_least(torch.cat(list(sizes.values())), share), [len(one) for one in sizes.values()])
    return {name: mask.reshape(weights[name].shape) for name, mask in zip(sizes, masks, strict=True)}


def _sizes(weights: Tensor, gone: Tensor | None) -> Tensor:
    """Magnitudes in one row, below zero where a weight is gone already."""
    sizes = weights.detach().abs().flatten()
    return sizes if gone is None else sizes.masked_fill(gone.flatten().to(sizes.device), -1.0)


def _least(sizes: Tensor, share: float) -> Tensor:
    mask = torch.zeros(len(sizes), dtype=torch.bool, device=sizes.device)
    mask[torch.argsort(sizes, stable=True)[: round(share * len(sizes))]] = True
    return mask
