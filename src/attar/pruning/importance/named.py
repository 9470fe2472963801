"""Signals by the names that recipes give them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attar.pruning.importance.group_fisher import GroupFisher
from attar.pruning.importance.importance import Importance
from attar.pruning.importance.of_weights import BatchNormScale, Magnitude
from attar.pruning.importance.random import Random
from attar.pruning.importance.taylor import Taylor
from attar.pruning.importance.weight_fisher import WeightFisher

IMPORTANCE: Mapping[str, Importance] = MappingProxyType(
    {
        "group_fisher": GroupFisher(),
        "weight_fisher": WeightFisher(),
        "taylor": Taylor(),
        "magnitude_l1": Magnitude(norm=1),
        "magnitude_l2": Magnitude(norm=2),
        "bn_scale": BatchNormScale(),
        "random": Random(),
    }
)
"""Every signal, by its name."""
