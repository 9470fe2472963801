"""What convolutional networks are put together from: layers as lists, and blocks with a way around."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolution(
    inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, apart: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution with batch normalization and ReLU; without a stride the map stays as large as it is.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        kernel: Height and width of its window, an odd number.
        stride: Pixels from one place of the window to the next.
        apart: Pixels between the taps of the window.
        groups: Parts of the channels that are convolved by themselves.
    """
    return [
        nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=apart * (kernel // 2),
            dilation=apart,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def separable(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """A depthwise-separable convolution: 3x3 on each channel by itself, then 1x1 over all of them.

    For ``outputs`` channels it takes about a ninth of the multiply-adds of a 3x3 convolution.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: Of the 3x3 convolution.

    References:
        Howard et al., *MobileNets*, 2017, section 3.1 and figure 3. arXiv:1704.04861
    """
    return [*convolution(inputs, inputs, stride=stride, groups=inputs), *convolution(inputs, outputs, kernel=1)]


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., *Deep Residual Learning*, 2016, figure 2)."""

    def __init__(self, width: int) -> None:
        """Make the block.

        Args:
            width: Channels that come in and go out.
        """
        super().__init__()
        self.body = nn.Sequential(*convolution(width, width), *convolution(width, width)[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Maps to maps of the same shape."""
        return torch.relu(x + self.body(x))
