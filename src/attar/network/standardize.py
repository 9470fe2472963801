"""Input statistics as a part of the network, so that it takes raw inputs wherever it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import must

FURTHEST = 1e6
"""A number that is more deviations than this from its mean counts as so far: no example of a training is (of n none is
more than sqrt(n) standard deviations from the mean), and what layers make of it stays finite in float32."""


def bounded(standardized: Tensor) -> Tensor:
    """Standardized numbers, none of them further than `FURTHEST` from 0; infinity counts as that far, NaN stays.

    Example:
        >>> bounded(torch.tensor([0.5, -torch.inf, 1e38]))
        tensor([ 5.0000e-01, -1.0000e+06,  1.0000e+06])
    """
    return standardized.clamp(-FURTHEST, FURTHEST)


class Standardize(nn.Module):
    """A network behind ``(inputs - mean) / std``, per channel (dimension 1).

    An input that is further than a million deviations from its mean counts as that far, and so does infinity.

    Attributes:
        network: The network that sees standardized inputs.
        mean: ``[channels]`` or ``[1]`` float32 buffer.
        std: ``[channels]`` or ``[1]`` float32 buffer.

    Example:
        >>> Standardize(nn.Identity(), mean=0.5, std=0.25)(torch.tensor([[0.5, 1.0]]))
        tensor([[0., 2.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Tensor | Sequence[float] | float | int,
        std: Tensor | Sequence[float] | float | int,
    ) -> None:
        """Put a network behind fixed statistics.

        Args:
            network: Takes ``[batch, channels, ...]`` and is kept as it is.
            mean: What to subtract: one number, or one per channel, in the unit of the inputs.
            std: What to divide by: the same, positive.

        Raises:
            BadInput: If a statistic is not finite, ``std`` is not positive, or their lengths differ.
        """
        super().__init__()
        self.network = network
        self.register_buffer("mean", _per_channel("mean", mean))
        self.register_buffer("std", _per_channel("std", std))
        if not bool((self.std > 0).all()):
            raise must(
                "std", "Standardize", "positive", self.std.tolist(), "Drop constant channels, or divide them by 1"
            )
        lengths = {len(self.mean), len(self.std)} - {1}
        if len(lengths) > 1:
            got = f"{len(self.mean)} means and {len(self.std)} deviations"
            raise must("std", "Standardize", "as long as mean", got, "Give one number, or one per channel, for each")

    def forward(self, inputs: Tensor) -> Any:
        """What the network says of the standardized ``[batch, channels, ...]`` inputs.

        Raises:
            BadInput: If the inputs have another number of channels than the statistics.
        """
        channels = max(len(self.mean), len(self.std))
        if inputs.dim() < 2 or channels not in (1, inputs.shape[1]):
            rule = f"[batch, {channels if channels > 1 else 'channels'}, ...], as mean and std are"
            raise must(
                "inputs",
                "Standardize",
                rule,
                list(inputs.shape),
                "Use the statistics of the data the network was trained on",
            )
        behind = [1] * (inputs.dim() - 2)
        standardized = (inputs - self.mean.reshape(-1, *behind)) / self.std.reshape(-1, *behind)
        return self.network(bounded(standardized))


def _per_channel(name: str, value: Tensor | Sequence[float] | float | int) -> Tensor:
    """A statistic as ``[channels]`` float32, whatever shape with one number per channel it came in."""
    statistic = torch.as_tensor(value, dtype=torch.float32).detach().clone()
    if statistic.numel() < 1 or statistic.numel() != max([1, *statistic.shape]) or not bool(statistic.isfinite().all()):
        raise must(
            name, "Standardize", "one finite number, or one per channel", value, "Compute it over the training inputs"
        )
    return statistic.flatten()
