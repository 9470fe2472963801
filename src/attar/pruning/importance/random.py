"""Scores drawn by chance: what every other signal must be better than."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attar.pruning.group import Group, Groups
from attar.pruning.importance.accumulated import check_names, names
from attar.pruning.importance.importance import some


@dataclass(frozen=True, kw_only=True)
class Random:
    """Uniform numbers from 0 up to 1, which follow from the seed, the name of the group, and how many units it has."""

    def start(self, network: nn.Module, groups: Groups, *, seed: int = 0) -> Drawn:
        """Draw nothing yet; see `Importance.start`."""
        return Drawn(some(groups, "random"), seed)


class Drawn:
    """The numbers drawn for some groups."""

    def __init__(self, groups: tuple[Group, ...], seed: int) -> None:
        self.groups, self._seed = groups, seed

    def add(self, count: int) -> None:
        """Nothing, as data do not matter."""

    def per_group(self) -> dict[str, Tensor]:
        """The score of each unit; see `Estimate.per_group`."""
        return {group.name: self._draws(group) for group in self.groups}

    def remove(self) -> None:
        """Nothing, as there are no hooks."""

    def state_dict(self) -> dict[str, Any]:
        """Which groups it is of."""
        return {"groups": names(self.groups)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See that a state is of the same groups."""
        check_names(state.get("groups"), self.groups, "random")

    def _draws(self, group: Group) -> Tensor:
        # By the name, so that a group is drawn alike whichever others there are; by its units, so that it is drawn anew
        # after a removal.
        text = f"{self._seed}/{group.units}/{group.name}".encode()
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text).digest()[:7], "big"))
        return torch.rand(group.units, dtype=torch.float64, generator=generator)
