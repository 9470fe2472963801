"""The pieces of a network that says where people look: features, a readout, what smooths and centers a density."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.network.blocks import convolution


class GazeNetwork(nn.Module):
    """Features, a readout, and a density; see `attar.network.architectures.gaze_network`."""

    def __init__(
        self, features: nn.Module, readout: nn.Module, size: tuple[int, int], blur: float, spread: tuple[float, float]
    ) -> None:
        """Put the pieces together.

        Args:
            features: What images become, ``[batch, channels, ...]``.
            readout: Makes one map of that.
            size: Height and width of the density.
            blur: Standard deviation of what smooths it, as a share of the longer side.
            spread: As of `CenterBias`.
        """
        super().__init__()
        self.features, self.readout, self.size = features, readout, size
        self.blur = Blur(blur * max(size))
        self.center = CenterBias(size, spread)

    def forward(self, images: Tensor) -> Tensor:
        """Log densities ``[batch, height * width]``."""
        seen = self.readout(self.features(images))
        seen = functional.interpolate(seen, size=self.size, mode="bilinear", align_corners=False)
        return torch.log_softmax(self.center(self.blur(seen)).flatten(1), dim=1)


class Blur(nn.Module):
    """A Gaussian over maps of one channel, one axis after the other; borders go on as they are."""

    kernel: Tensor

    def __init__(self, deviation: float) -> None:
        """Make the kernel, which nothing learns.

        Args:
            deviation: Standard deviation in pixels; below a tenth nothing is blurred.
        """
        super().__init__()
        self.reach = math.ceil(3 * deviation) if deviation >= 0.1 else 0
        places = torch.arange(-self.reach, self.reach + 1, dtype=torch.float64)
        weights = torch.exp(-0.5 * (places / max(deviation, 0.1)).square())
        self.register_buffer("kernel", (weights / weights.sum()).float())

    def forward(self, maps: Tensor) -> Tensor:
        """``[batch, 1, height, width]`` to the same."""
        if not self.reach:
            return maps
        reach, kernel = self.reach, self.kernel
        maps = functional.conv2d(
            functional.pad(maps, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None]
        )
        return functional.conv2d(functional.pad(maps, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None])


class CenterBias(nn.Module):
    """Adds the log of a Gaussian in the middle, of which two weights are learned: how much counts down and across."""

    rows: Tensor
    columns: Tensor

    def __init__(self, size: tuple[int, int], spread: tuple[float, float]) -> None:
        """Start with a Gaussian.

        Args:
            size: Height and width of the maps.
            spread: Standard deviations down and across, as shares of height and width.
        """
        super().__init__()
        down, across = (
            -0.5 * (((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5) / deviation).square()
            for count, deviation in zip(size, spread, strict=True)
        )
        self.register_buffer("rows", down.float()[:, None])
        self.register_buffer("columns", across.float()[None])
        self.weight_of_rows = nn.Parameter(torch.ones(()))
        self.weight_of_columns = nn.Parameter(torch.ones(()))

    def forward(self, maps: Tensor) -> Tensor:
        """``[batch, 1, height, width]`` to the same."""
        return maps + self.weight_of_rows * self.rows + self.weight_of_columns * self.columns


def vgg_features(channels: int, widths: Sequence[int], depth: int) -> tuple[nn.Module, int]:
    """Stages of 3 x 3 convolutions, each but the last followed by a max pooling."""
    layers: list[nn.Module] = []
    width = channels
    for stage, size in enumerate(widths):
        for _ in range(depth):
            layers += convolution(width, size)
            width = size
        if stage < len(widths) - 1:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers), width


class _Dense(nn.Module):
    """A layer that adds channels to those that it sees (Huang et al., *Densely connected networks*, 2017)."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(*convolution(inputs, growth))

    def forward(self, seen: Tensor) -> Tensor:
        return torch.cat([seen, self.layer(seen)], dim=1)


def densenet_features(channels: int, widths: Sequence[int], depth: int) -> tuple[nn.Module, int]:
    """A first convolution, then dense stages, between which a 1 x 1 convolution halves channels and a pooling maps."""
    width = 2 * widths[0]
    layers = [*convolution(channels, width), nn.MaxPool2d(2)]
    for stage, growth in enumerate(widths):
        for _ in range(depth):
            layers.append(_Dense(width, growth))
            width += growth
        if stage < len(widths) - 1:
            layers += [*convolution(width, width // 2, kernel=1), nn.AvgPool2d(2)]
            width //= 2
    return nn.Sequential(*layers), width


def readout_layers(width: int, sizes: Sequence[int]) -> nn.Module:
    """1 x 1 convolutions to one map."""
    layers: list[nn.Module] = []
    for size in sizes:
        layers += [nn.Conv2d(width, size, 1), nn.ReLU(inplace=True)]
        width = size
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 1))
