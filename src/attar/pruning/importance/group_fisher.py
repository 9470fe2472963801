"""Fisher information of a mask on each unit: by how much the loss rises without it, to second order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from attar.pruning.group import Groups
from attar.pruning.importance.importance import some
from attar.pruning.importance.mask_derivatives import MaskDerivatives


@dataclass(frozen=True, kw_only=True)
class GroupFisher:
    r"""Half the mean square of the derivative of an example's loss with respect to the unit's mask.

    :math:`\frac{1}{2N} \sum_n g_{nk}^2`, with :math:`g_{nk}` the derivative of the loss of example n with respect to a
    mask on unit k in the inputs of all layers that compute from it, and N how many examples (or positions) counted.
    Where the network is at a minimum of its loss, and the loss is a negative log-likelihood, this is by how much the
    mean loss rises when the unit goes, to second order. A weight on a term scales scores by its square. A student that
    agrees with its teacher has no derivative of the distance between the two, whatever a unit is worth: let labels
    count as well.

    References:
        Theis, Korshunova, Tejani, Huszar, *Faster gaze prediction with dense networks and Fisher pruning*, 2018,
        section 2.2. arXiv:1801.05787. The mask is here on all parts of a group of coupled channels at once.
    """

    def start(self, network: nn.Module, groups: Groups, *, seed: int = 0) -> MaskDerivatives:
        """Put hooks on a network; see `Importance.start`."""
        return MaskDerivatives(
            network, some(groups, "group_fisher"), "group_fisher", factor=0.5, fold=torch.Tensor.square_
        )
