"""Logits shifted by a constant for each class, which the biases of the last layer hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.errors import must
from attar.network.copying import copied
from attar.network.evaluating import evaluating


@dataclass(frozen=True)
class ShiftBias:
    """The edit: biases of one layer were shifted, and if it had none, it got them for that.

    The shift itself is in the weights. What is trained or quantized afterwards changes the biases as they are, and a
    second record of them would be wrong from then on.

    Attributes:
        layer: The layer's name, as ``named_modules`` has it; empty for the network itself.
    """

    layer: str

    replaces_earlier: ClassVar[bool] = False

    def apply(self, network: nn.Module) -> nn.Module:
        """Give the layer biases of zero if it has none, in place.

        Raises:
            BadInput: If there is no such layer, or it cannot have biases.
        """
        layer = dict(network.named_modules()).get(self.layer)
        if layer is None or not _can_be_shifted(layer):
            rule = "the name of a layer that can have biases"
            raise must("layer", "ShiftBias", rule, self.layer, "Use the function that built the network")
        _add_bias_(layer)
        return network

    def to_json(self) -> dict[str, Any]:
        """The edit as a plain document."""
        return {"use": "shift_bias", "layer": self.layer}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ShiftBias:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        layer = document.get("layer")
        if document.keys() != {"use", "layer"} or not isinstance(layer, str):
            raise must("shift_bias", "the spec", "the name of a layer and nothing else", document, "Save it again")
        return cls(layer)


def shift_bias(network: nn.Module, shift: Tensor, example: Tensor) -> tuple[nn.Module, ShiftBias]:
    """A copy of a network whose logits are larger by a constant for each class: the biases of its last layer hold it.

    Args:
        network: In eval mode, from ``[batch, ...]`` to logits ``[batch, classes]``; not changed.
        shift: ``[classes]``, what is added.
        example: ``[1, ...]`` inputs, by which the layer is found: the last one whose biases move the logits so.

    Returns:
        The copy, and what has to be added to its spec.

    Raises:
        BadInput: If there is no such layer.

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 3.
    """
    with evaluating(network):
        before = network(example)
    for name, layer in reversed(list(network.named_modules())):
        if not _can_be_shifted(layer) or _outputs(layer) != len(shift):
            continue
        moved = copied(network)
        changed = moved.get_submodule(name)
        _add_bias_(changed)
        bias = changed.bias
        assert isinstance(bias, Tensor)
        with evaluating(moved):
            bias += shift.to(bias)
            if torch.allclose(moved(example), before + shift.to(before), rtol=1e-4, atol=1e-4):
                return moved, ShiftBias(name)
    rule = f"a network whose last layer has, or can have, a bias for each of the {len(shift)} classes"
    raise must("network", "shift_bias", rule, type(network).__name__, "Let a linear layer be its last")


def _can_be_shifted(layer: nn.Module) -> bool:
    """Whether it has biases that no format is attached to, or could have them."""
    if parametrize.is_parametrized(layer, "bias"):
        return False
    if isinstance(getattr(layer, "bias", None), Tensor):
        return True
    return "bias" in layer._parameters and _outputs(layer) is not None and _weight(layer) is not None


def _outputs(layer: nn.Module) -> int | None:
    """How many biases it has, or would have; None where that is not known."""
    bias = getattr(layer, "bias", None)
    if isinstance(bias, Tensor):
        return len(bias) if bias.dim() == 1 else None
    count = getattr(layer, "out_features", getattr(layer, "out_channels", None))
    return count if isinstance(count, int) else None


def _weight(layer: nn.Module) -> Tensor | None:
    """The weights as they are stored: below their format, if they have one."""
    if parametrize.is_parametrized(layer, "weight"):
        original: Tensor = layer.parametrizations["weight"].original  # type: ignore[index, union-attr]
        return original
    return layer._parameters.get("weight")


def _add_bias_(layer: nn.Module) -> None:
    """Biases of zero, where there are none."""
    count, weight = _outputs(layer), _weight(layer)
    if not isinstance(layer.bias, Tensor):
        assert count is not None and weight is not None, "seen by _can_be_shifted"
        layer.bias = nn.Parameter(torch.zeros(count, dtype=weight.dtype, device=weight.device))
