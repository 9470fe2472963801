"""What layers are before anything is tried: whose sizes stay, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.pruning.layers import blocks, ends, normalizes_across


def named_layers(network: nn.Module) -> dict[str, nn.Module]:
    """All modules by name, but those that make other layers' weights."""
    layers = dict(network.named_modules())
    makers = [name + "." for name, layer in layers.items() if isinstance(layer, parametrize.ParametrizationList)]
    return {name: layer for name, layer in layers.items() if not (name + ".").startswith(tuple(makers))}


def has_tensors(layer: nn.Module) -> bool:
    """Whether it has parameters of its own, or one that is computed from others."""
    return any(parameter is not None for parameter in layer._parameters.values()) or parametrize.is_parametrized(layer)


def is_users_own(layer: nn.Module) -> bool:
    """Whether it is of a class that is no share of torch, and no layer that is known."""
    known = ends(layer) is not None or blocks(layer) is not None
    return not known and not type(layer).__module__.startswith("torch.")


def opaque(layers: Mapping[str, nn.Module]) -> dict[str, str]:
    """Layers that cannot lose units, by what they are."""
    owners: dict[int, list[str]] = defaultdict(list)
    for name, layer in layers.items():
        for tensor in chain(layer._parameters.values(), layer._buffers.values()):
            if tensor is not None:
                owners[id(tensor)].append(name)
    found = {}
    for name, layer in layers.items():
        if isinstance(layer, torch.jit.ScriptModule):
            found[name] = "it is compiled"
            continue
        if not has_tensors(layer):
            continue
        tied = [
            other
            for tensor in chain(layer._parameters.values(), layer._buffers.values())
            if tensor is not None
            for other in owners[id(tensor)]
            if other != name
        ]
        known = ends(layer) or blocks(layer) or normalizes_across(layer) or isinstance(layer, nn.PReLU)
        computed = [one for one in ("weight", "bias") if isinstance(vars(layer).get(one), Tensor)]
        if parametrize.is_parametrized(layer):
            found[name] = "a number format or another parametrization is attached to it"
        elif known and computed:
            found[name] = f"its {computed[0]} is computed from other numbers, as torch.nn.utils.weight_norm does"
        elif tied:
            found[name] = f"it shares weights with {tied[0]!r}"
        elif not known and not is_users_own(layer):
            found[name] = f"nothing is known of the sizes of {type(layer).__name__}"
            if type(layer) is nn.MultiheadAttention:
                found[name] = "its heads cannot be seen before open_attention_ has opened it"
    return found
