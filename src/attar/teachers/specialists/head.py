"""A network's last layer, exchanged for one of some of its classes and the rest of them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from attar.errors import Words, must
from attar.network.copying import copied
from attar.network.evaluating import evaluating


def find_head(network: nn.Module, classes: int, example: Tensor) -> str:
    """The name of the layer that gives a network's logits.

    It is the last fully connected layer of as many outputs as there are classes whose outputs, for the example, are
    those of the network.

    Args:
        network: From ``[batch, ...]`` to logits ``[batch, classes]``.
        classes: How many logits.
        example: ``[n, ...]`` inputs, n >= 1.

    Raises:
        BadInput: If no layer is.
    """
    layer_outputs: dict[str, Tensor] = {}
    layers: dict[str, nn.Linear] = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == classes
    }

    def recorder(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _, __, output: layer_outputs.__setitem__(name, output)

    hooks = [layer.register_forward_hook(recorder(name)) for name, layer in layers.items()]
    try:
        with evaluating(network):
            logits = network(example)
    finally:
        for hook in hooks:
            hook.remove()
    for name in reversed([*layers]):
        if (
            name in layer_outputs
            and layer_outputs[name].shape == logits.shape
            and torch.equal(layer_outputs[name], logits)
        ):
            return name
    rule = f"a network whose logits are the outputs of an nn.Linear with {classes} of them"
    raise must("generalist", "specialize", rule, Words(type(network).__name__), "Let it end with such a layer")


def specialized(network: nn.Module, head: str, special: Sequence[int]) -> nn.Module:
    """A copy of a network whose last layer tells some classes apart, and from the rest of them.

    The rows of the special classes are copied. The last row, for the rest (the dustbin), is the mean of the others'
    rows, with the log of their number added to its bias: the rest begins with the probability that the classes would
    have together if each had their mean logit, which is a lower bound of what they have.

    Args:
        network: From ``[batch, ...]`` to logits; left as it is.
        head: Name of its last layer, as `find_head` gives it.
        special: Numbers of the classes, some but not all.
    """
    changed = copied(network)
    old = changed.get_submodule(head) if head else changed
    assert isinstance(old, nn.Linear)
    layer = nn.Linear(old.in_features, len(special) + 1, device=old.weight.device, dtype=old.weight.dtype)
    mask = torch.ones(old.out_features, dtype=torch.bool, device=old.weight.device)
    mask[list(special)] = False
    bias = old.bias if old.bias is not None else torch.zeros(old.out_features).to(old.weight)
    with torch.no_grad():
        layer.weight.copy_(torch.cat([old.weight[list(special)], old.weight[mask].mean(0, keepdim=True)]))
        rest = bias[mask].mean() + math.log(int(mask.sum()))
        layer.bias.copy_(torch.cat([bias[list(special)], rest[None]]))
    layer.train(old.training)
    changed.requires_grad_(True)
    if not head:
        return layer
    parent, _, name = head.rpartition(".")
    setattr(changed.get_submodule(parent), name, layer)
    return changed


def with_head(network: nn.Module, head: str, outputs: int) -> nn.Module:
    """A copy of a network with an untrained last layer of some other size, to be filled from a file.

    Raises:
        BadInput: If the network has no such layer.
    """
    changed = copied(network)
    try:
        old = changed.get_submodule(head)
    except AttributeError:
        old = None
    if not isinstance(old, nn.Linear):
        rule = f"one with an nn.Linear named {head!r}"
        raise must("network", "Specialists.load", rule, Words(type(network).__name__), "Build the generalist's network")
    layer = nn.Linear(old.in_features, outputs, dtype=old.weight.dtype)
    if not head:
        return layer
    parent, _, name = head.rpartition(".")
    setattr(changed.get_submodule(parent), name, layer)
    return changed
