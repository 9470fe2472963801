"""The interface of all signals: settings that start an estimate, and an estimate that grows with the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from attar.errors import NothingMatched
from attar.pruning.group import Group, Groups


@runtime_checkable
class Importance(Protocol):
    """A signal: a value with settings, which does nothing until it is started.

    Fisher information and Taylor estimate by how much the loss rises, in its unit, so that a cost times beta can be
    added to it. Other signals only rank units: those of different groups are compared all the same, as they are.
    """

    def start(self, network: nn.Module, groups: Groups, *, seed: int = 0) -> Estimate:
        """Begin to estimate what the units of a network are worth.

        Args:
            network: The one that is trained, not a copy of it. Its weights, its modes and their gradients stay as they
                are; until `Estimate.remove` it may have hooks.
            groups: What could be removed from it.
            seed: Of what is drawn, where anything is.

        Raises:
            BadInput: If there is no group, or the signal cannot be had for one of them; the message names it.
        """
        ...


class Estimate(Protocol):
    """What units are worth, as far as it is known.

    In a training, `add` is called once for each step, after its last backward pass and before the optimizer's step
    (``before_step`` of a callback, with its ``state.count``). After a removal the units are others: `remove` this one,
    and start a new one.
    """

    def add(self, count: int) -> None:
        """Take up the step whose backward passes are done, in every process that trains.

        Args:
            count: By how many examples (or positions) all losses of the step were divided, over all processes.

        Raises:
            BadInput: If no derivative came since the last step.
        """
        ...

    def per_group(self) -> dict[str, Tensor]:
        """The score of each unit, ``[units]`` float64 on the CPU, by the name of the group; higher is worth more.

        Raises:
            BadInput: If it needs data and has seen none.
            Diverged: If a score is NaN or infinite.
        """
        ...

    def remove(self) -> None:
        """Take the hooks away; what was seen can still be read."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What must survive a crash; the same in every process."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same groups.

        Raises:
            BadInput: If it is of other groups.
        """
        ...


def some(groups: Groups, of: str) -> tuple[Group, ...]:
    """All groups.

    Raises:
        NothingMatched: If there are none.
    """
    if not groups.groups:
        raise NothingMatched(f"groups of {of} must not be empty. Protect fewer layers, or leave the network as it is.")
    return groups.groups
