"""How much each group can lose: what a network scores without the least worthy of its units, nothing trained again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from attar.errors import BadInput, must
from attar.pruning.group import Groups
from attar.pruning.verify import masked

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the units that are masked by default."""


def sensitivity(
    network: nn.Module,
    groups: Groups,
    worth: Mapping[str, Tensor],
    score: Callable[[nn.Module], float],
    shares: Sequence[float] = SHARES,
) -> dict[str, list[float]]:
    """What a network scores when one group loses some of its units, for each group and each share.

    The units are masked with 0 where they are used, the least worthy first, in one group at a time. Nothing is trained
    in between, so that scores say which layers a network leans on, and not what it can do after pruning.

    Args:
        network: In which the groups were found; the same afterwards.
        groups: Whose units are masked.
        worth: For each group ``[units]``, as `attar.pruning.importance` has it; the least worthy go first.
        score: Judges a network, such as by its accuracy on validation data.
        shares: Of the units of a group, each from 0 to 1; rounded to whole units.

    Returns:
        For each group ``[shares]`` scores.

    Raises:
        BadInput: If a share is out of range, or a group has no worth, or not one number for each unit.

    Example:
        >>> from attar.pruning.groups import find_groups
        >>> from attar.pruning.importance.named import IMPORTANCE
        >>> network = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
        >>> groups = find_groups(network, torch.ones(1, 2))
        >>> worth = IMPORTANCE["magnitude_l2"].start(network, groups).per_group()
        >>> found = sensitivity(network, groups, worth, lambda one: float(one(torch.ones(1, 2)).norm()), [0.0, 1.0])
        >>> found["0"][1] == float(network[2].bias.detach().norm())  # nothing is left but the last layer's biases
        True
    """
    for share in shares:
        if not 0 <= share <= 1:
            raise must("shares", "sensitivity", "from 0 to 1", share, "Use for example 0.1, 0.2 and so on")
    found = {}
    for group in groups.groups:
        its = worth.get(group.name)
        if its is None or its.shape != (group.units,):
            got = None if its is None else tuple(its.shape)
            raise must("worth", "sensitivity", f"of shape ({group.units},) for {group.name!r}", got, "Estimate it anew")
        order = torch.argsort(its, stable=True).tolist()
        scores = []
        for share in shares:
            gone = order[: round(share * group.units)]
            with masked(network, groups, {group.name: gone}), torch.no_grad():
                scores.append(score(network))
        found[group.name] = scores
    if not found:
        raise BadInput("sensitivity needs a group of units to mask; there is none. Protect fewer layers.")
    return found
