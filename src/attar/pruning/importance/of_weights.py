"""Signals that need no data: what the weights of a unit say of it, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.pruning.group import Group, Groups, Slot
from attar.pruning.importance.accumulated import check_names, names
from attar.pruning.importance.importance import some

_OUTPUTS_ALONG_AXIS_1 = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Embedding)
"""Layers whose weights have outputs along axis 1; others have them along axis 0."""


class Reading:
    """An estimate that is what the weights say at the time it is read."""

    def __init__(self, groups: tuple[Group, ...], of: str, read: Callable[[Group], Tensor]) -> None:
        """Read nothing yet.

        Args:
            groups: Whose units are judged.
            of: What errors call the signal.
            read: Gives the scores of a group, ``[units]`` float64.
        """
        self.groups, self.of = groups, of
        self._read = read

    def add(self, count: int) -> None:
        """Nothing, as data do not matter."""

    def per_group(self) -> dict[str, Tensor]:
        """The score of each unit; see `Estimate.per_group`."""
        return {group.name: self._read(group).cpu() for group in self.groups}

    def remove(self) -> None:
        """Nothing, as there are no hooks."""

    def state_dict(self) -> dict[str, Any]:
        """Which groups it is of."""
        return {"groups": names(self.groups)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See that a state is of the same groups."""
        check_names(state.get("groups"), self.groups, self.of)


@dataclass(frozen=True, kw_only=True)
class Magnitude:
    """Length of the weights that make a unit, in all layers that make it; biases are left out.

    Layers differ in how long their weights are, so that scores rank the units of one group.

    Attributes:
        norm: 1 for the sum of sizes, 2 for the root of the sum of squares.

    References:
        Li, Kadav, Durdanovic, Samet, Graf, *Pruning Filters for Efficient ConvNets*, 2017, section 3.1.
        arXiv:1608.08710
    """

    norm: Literal[1, 2] = 2

    def start(self, network: nn.Module, groups: Groups, *, seed: int = 0) -> Reading:
        """Find the weights; see `Importance.start`."""
        layers, parameters = dict(network.named_modules()), dict(network.named_parameters(remove_duplicate=False))
        found = {group.name: _filters(group, layers, parameters) for group in some(groups, "Magnitude")}

        def read(group: Group) -> Tensor:
            power = sum(
                per_unit(parameters[slot.tensor].detach().abs().double() ** self.norm, slot)
                for slot in found[group.name]
            )
            assert isinstance(power, Tensor)
            return power if self.norm == 1 else power.sqrt()

        return Reading(groups.groups, "Magnitude", read)


@dataclass(frozen=True, kw_only=True)
class BatchNormScale:
    """Size of the factors by which batch normalization multiplies a unit, added up where it has several.

    References:
        Liu, Li, Shen, Huang, Yan, Zhang, *Learning Efficient Convolutional Networks through Network Slimming*, 2017,
        section 3. arXiv:1708.06519
    """

    def start(self, network: nn.Module, groups: Groups, *, seed: int = 0) -> Reading:
        """Find the factors; see `Importance.start`."""
        parameters = dict(network.named_parameters(remove_duplicate=False))
        norms = {name for name, layer in network.named_modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)}
        found: dict[str, list[Slot]] = {}
        for group in some(groups, "bn_scale"):
            slots = [slot for slot in group.slots if slot.tensor in parameters and _owner(slot) in norms]
            found[group.name] = [slot for slot in slots if slot.tensor.endswith("weight")]
            if not found[group.name]:
                raise BadInput(
                    f"bn_scale of group {group.name!r} needs batch normalization with a scale on its units; "
                    "there is none. Protect this layer, or choose another signal, such as group_fisher."
                )

        def read(group: Group) -> Tensor:
            total = sum(per_unit(parameters[slot.tensor].detach().abs().double(), slot) for slot in found[group.name])
            assert isinstance(total, Tensor)
            return total

        return Reading(groups.groups, "bn_scale", read)


@torch.no_grad()
def per_unit(values: Tensor, slot: Slot) -> Tensor:
    """The sum of the numbers of a tensor that belong to each unit, ``[units]``.

    Args:
        values: In the shape of the slot's tensor.
        slot: Which of them belong to which unit.
    """
    others = [dimension for dimension in range(values.dim()) if dimension != slot.axis]
    along = values.sum(others) if others else values
    units = [unit for unit, its in enumerate(slot.positions) for _ in its]
    positions = [position for its in slot.positions for position in its]
    index = torch.tensor(units, dtype=torch.int64, device=along.device)
    return along.new_zeros(len(slot.positions)).index_add_(0, index, along[positions])


def _owner(slot: Slot) -> str:
    return slot.tensor.rpartition(".")[0]


def _filters(group: Group, layers: Mapping[str, nn.Module], parameters: Mapping[str, Tensor]) -> list[Slot]:
    """Where the weights are that make the units: in the layers that make them, along the axis of their outputs."""
    found = []
    for slot in group.slots:
        owner = _owner(slot)
        if owner in group.producers and slot.tensor in parameters and parameters[slot.tensor].dim() > 1:
            if slot.axis == (1 if isinstance(layers[owner], _OUTPUTS_ALONG_AXIS_1) else 0):
                found.append(slot)
    if not found:
        raise BadInput(
            f"Magnitude of group {group.name!r} needs plain weights in the layers that make its units "
            f"({', '.join(map(repr, group.producers))}); there are none. Protect this layer, or choose another signal, "
            "such as group_fisher."
        )
    return found
