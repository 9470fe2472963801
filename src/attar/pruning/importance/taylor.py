"""First-order estimates of what a unit is worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from attar.pruning.group import Groups
from attar.pruning.importance.importance import some
from attar.pruning.importance.mask_derivatives import MaskDerivatives


@dataclass(frozen=True, kw_only=True)
class Taylor:
    r"""Mean size of the derivative of an example's loss with respect to the unit's mask.

    :math:`\frac{1}{N} \sum_n |g_{nk}|`: by how much the loss of an example changes when the unit goes, to first order,
    whether up or down. The derivative is the sum over a map, where the paper takes the mean and then divides by the
    length of all scores of a layer.

    References:
        Molchanov, Tyree, Karras, Aila, Kautz, *Pruning Convolutional Neural Networks for Resource Efficient Inference*,
        2017, equation 8. arXiv:1611.06440
    """

    def start(self, network: nn.Module, groups: Groups, *, seed: int = 0) -> MaskDerivatives:
        """Put hooks on a network; see `Importance.start`."""
        return MaskDerivatives(network, some(groups, "taylor"), "taylor", factor=1.0, fold=torch.Tensor.abs_)
