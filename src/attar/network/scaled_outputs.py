"""Center and spread of values as a part of the network, so that it learns standardized ones and gives them in units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from attar.errors import Words, must
from attar.network.forward import forward

MOST_OUTPUTS = 1_000_000
"""Values that an edit from a file may ask for."""


class ScaledOutputs(nn.Module):
    """What a network gives times a scale, plus a center, per output (dimension 1).

    Attributes:
        network: The network, whose outputs are standardized values.
        center: ``[outputs]`` float32 buffer, in the units of the values.
        scale: ``[outputs]`` float32 buffer, likewise.

    Example:
        >>> ScaledOutputs(nn.Identity(), torch.tensor([20.0]), torch.tensor([4.0]))(torch.tensor([[0.5]]))
        tensor([[22.]])
    """

    center: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, center: Tensor, scale: Tensor) -> None:
        """Put statistics behind a network.

        Args:
            network: Gives ``[batch, outputs]``; kept as it is.
            center: ``[outputs]``, what to add.
            scale: ``[outputs]``, what to multiply by first.

        Raises:
            BadInput: If they are not of one length.
        """
        super().__init__()
        if center.dim() != 1 or center.shape != scale.shape:
            got = (tuple(center.shape), tuple(scale.shape))
            raise must("center and scale", "ScaledOutputs", "one number for each output", got, "Use scaled_to")
        self.network = network
        self.register_buffer("center", center.detach().clone().float())
        self.register_buffer("scale", scale.detach().clone().float())

    def forward(self, inputs: Tensor) -> Tensor:
        """Values ``[batch, outputs]`` of ``[batch, ...]`` inputs."""
        outputs = forward(self.network, inputs)
        if outputs.shape[1:] != self.scale.shape:  # which would be stretched to the length of the scale
            rule = f"[batch, {len(self.scale)}], one for each value"
            raise must("output", "the network", rule, tuple(outputs.shape), "Give it so many outputs")
        return outputs * self.scale + self.center


@dataclass(frozen=True)
class ScaleOutputs:
    """The edit: the network stands before a scale and a center, one of each for every output.

    Attributes:
        outputs: How many these are.
    """

    outputs: int

    replaces_earlier: ClassVar[bool] = False

    def apply(self, network: nn.Module) -> ScaledOutputs:
        """Put a center of 0 and a scale of 1 behind the network."""
        return ScaledOutputs(network, torch.zeros(self.outputs), torch.ones(self.outputs))

    def to_json(self) -> dict[str, Any]:
        """The edit as a plain document."""
        return {"use": "scale_outputs", "outputs": self.outputs}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ScaleOutputs:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        outputs = document.get("outputs")
        integer = isinstance(outputs, int) and not isinstance(outputs, bool)
        if document.keys() != {"use", "outputs"} or not integer or not 1 <= outputs <= MOST_OUTPUTS:  # type: ignore[operator]
            raise must("scale_outputs", "the spec", "a number of outputs and nothing else", document, "Save it again")
        return cls(int(outputs))  # type: ignore[arg-type]


def scaled_to(network: nn.Module, values: Tensor) -> ScaledOutputs:
    """A network that learns standardized values and gives them in their units.

    Args:
        network: Gives ``[batch, outputs]``; kept as it is.
        values: ``[n, outputs]``, such as the labels of the training split; NaN where not known.

    Raises:
        BadInput: If a value is known nowhere.

    Example:
        >>> scaled_to(nn.Identity(), torch.tensor([[1.0], [3.0]]))(torch.tensor([[0.0], [1.0]]))
        tensor([[2.],
                [3.]])
    """
    return ScaledOutputs(network, *center_and_scale(values))


def center_and_scale(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each value, ``[outputs]`` float32 each; 1 for one that does not vary.

    What varies by no more than float32's rounding does not vary.

    Args:
        values: ``[n, outputs]``, NaN where not known.

    Raises:
        BadInput: If a value is known nowhere, or varies by less than float32 can divide by.
    """
    known = ~values.isnan()
    counts = known.sum(0)
    if not len(values) or bool((counts == 0).any()):
        raise must("values", "center_and_scale", "known for at least one example", Words("none"), "Give labels")
    numbers = torch.where(known, values, 0.0).double()
    center = numbers.sum(0) / counts
    spread = (torch.where(known, numbers - center, 0.0).square().sum(0) / counts).sqrt()
    smallest = torch.finfo(torch.float32).tiny
    if bool(((spread > 0) & (spread < smallest)).any()):
        place = int(((spread > 0) & (spread < smallest)).nonzero()[0])
        rule, got = f"of a standard deviation of at least {smallest:.2g}, or 0", Words(f"{spread[place]:.2g}")
        raise must("values", "center_and_scale", rule, got, "Multiply them by a power of ten: float32 divides by it")
    least = 2 * torch.finfo(torch.float32).eps * center.abs()
    return center.float(), torch.where(spread > least, spread, 1.0).float()
