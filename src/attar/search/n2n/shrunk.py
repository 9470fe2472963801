"""How small a network can be expected to get: what one is worth that is still to be made narrower."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from attar.search.n2n.layers import Invalid, Layers
from attar.search.n2n.surgery import built, student


def shrunk_share(layers: Layers, multipliers: Sequence[float]) -> float:
    """The share of a network's parameters that is left where all layers that may are made narrow.

    Each keeps the geometric mean of the smallest multiplier and the middle one: less than a policy draws at first, and
    more than the least that it can come to. A network that is large for a layer which stays wide, such as a classifier
    of many inputs, keeps more than one whose layers all get narrower.

    Args:
        layers: The network.
        multipliers: From which a policy draws the share of its outputs that a layer keeps.

    Returns:
        The share, at most 1; 1 where there is no such network.

    Example:
        >>> import torch
        >>> from attar.network.spec import Spec
        >>> from attar.search.n2n.describe import describe
        >>> spec = Spec("attar.network.architectures:mlp", {"inputs": 100, "classes": 10, "hidden": [100]})
        >>> shrunk_share(describe(spec, torch.zeros(1, 100)), [0.25, 0.25, 1.0])  # 25 of 100 units stay
        0.25067...
    """
    share = math.sqrt(min(multipliers) * statistics.median(multipliers))
    count = len(layers.states)
    narrow = student(layers, [True] * count, [share] * count)
    if isinstance(narrow, Invalid):
        return 1.0
    return min(1.0, sum(one.numel() for one in built(narrow).parameters()) / layers.parameters)
