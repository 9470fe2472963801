"""The biases of a network's last layer, shifted."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from attar.errors import must


def shifted(network: nn.Module, shift: Tensor, example: Tensor) -> nn.Module:
    """A copy of a network whose logits are larger by a constant for each class: its last biases hold it.

    Args:
        network: In eval mode, from ``[batch, ...]`` to logits ``[batch, classes]``.
        shift: ``[classes]``, what is added.
        example: ``[1, ...]`` inputs, by which the layer is found: the last one whose bias moves the logits so.

    Raises:
        BadInput: If no layer has a bias that does.

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 3.
    """
    with torch.no_grad():
        before = network(example)
    for name, layer in reversed(list(network.named_modules())):
        bias = getattr(layer, "bias", None)
        if not isinstance(bias, Tensor) or bias.shape != shift.shape:
            continue
        moved = copy.deepcopy(network)
        with torch.no_grad():
            changed = moved.get_submodule(name).bias
            assert isinstance(changed, Tensor)
            changed += shift.to(changed)
            if torch.allclose(moved(example), before + shift.to(before), rtol=1e-4, atol=1e-4):
                return moved
    rule = f"a network whose last layer has a bias for each of the {len(shift)} classes"
    raise must("network", "shifted", rule, type(network).__name__, "Give its last layer a bias")
