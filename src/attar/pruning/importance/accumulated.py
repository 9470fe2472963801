"""Estimates that grow with the steps of a training: sums over examples, and what they are divided by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed
from torch.utils.hooks import RemovableHandle

from attar.errors import BadInput, Diverged, must
from attar.processes import world_size
from attar.pruning.group import Group


class Accumulated(ABC):
    """A sum over examples for each unit, divided by how many examples (or positions) counted.

    Sums are in float64. Where several processes train, each step's are added up over them, so that all of them hold
    the same.

    Attributes:
        groups: Whose units they are.
        of: What errors call the signal.
    """

    def __init__(self, groups: tuple[Group, ...], of: str, factor: float) -> None:
        """Begin with nothing.

        Args:
            groups: Whose units are judged.
            of: What errors call the signal.
            factor: What the mean is multiplied by.
        """
        self.groups, self.of = groups, of
        self._factor = factor
        self._units = sum(group.units for group in groups)
        self._sums: Tensor | None = None
        self._count = 0
        self._hooks: list[RemovableHandle] = []
        self._layers: set[str] = set()  # that are watched
        self._called: set[str] = set()  # that were seen at work

    @abstractmethod
    def _step(self, scale: float) -> Tensor | None:
        """The sums over this process's examples of one step, ``[all units]`` float64, and forget them; None without.

        Args:
            scale: What a derivative that a backward pass gives is multiplied by, to be that of one example's loss.
        """

    @abstractmethod
    def _forget(self) -> None:
        """Forget the steps under way."""

    def add(self, count: int) -> None:
        """Take up the step whose backward passes are done; see `Estimate.add`."""
        # Each process divides by the count of all, and multiplies by their number, as gradients are averaged.
        processes = world_size()
        found = self._step(count / processes)
        if count == 0:
            return
        if found is None:
            raise BadInput(
                f"{self.of} saw no derivative in this step. Start it on the network that is trained, before its "
                "forward pass, and add a step after its backward pass."
            )
        if processes > 1:
            distributed.all_reduce(found)
        self._sums = found if self._sums is None else self._sums.to(found.device).add_(found)
        self._count += count

    def per_group(self) -> dict[str, Tensor]:
        """The score of each unit; see `Estimate.per_group`."""
        if self._sums is None:
            raise BadInput(f"{self.of} has seen no step. Train for one at least before its scores are read.")
        if missing := sorted(self._layers - self._called):
            raise BadInput(
                f"{self.of} cannot judge what the layer {missing[0]!r} computes from, as it was never called: its "
                "weights are used around it. Protect what it reads, or take a signal of the weights."
            )
        scores = (self._sums * (self._factor / self._count)).cpu()
        found = dict(zip(names(self.groups), torch.split(scores, [group.units for group in self.groups]), strict=True))
        for name, score in found.items():
            if not bool(score.isfinite().all()):
                raise Diverged(f"{self.of} of group {name!r} became NaN or infinite. Lower learning_rate.")
        return found

    def remove(self) -> None:
        """Take the hooks away."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._forget()

    def state_dict(self) -> dict[str, Any]:
        """The sums and what they are divided by, between two steps."""
        sums = torch.zeros(0, dtype=torch.float64) if self._sums is None else self._sums.cpu().clone()
        return {"groups": names(self.groups), "sums": sums, "count": self._count, "called": sorted(self._called)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; see `Estimate.load_state_dict`."""
        check_names(state.get("groups"), self.groups, self.of)
        sums = state["sums"]
        if len(sums) not in (0, self._units):
            raise must("sums", self.of, f"of {self._units} units", len(sums), "Start anew after a removal")
        self._sums, self._count = (sums.clone() if len(sums) else None), state["count"]
        self._called = set(state["called"])
        self._forget()


def names(groups: tuple[Group, ...]) -> list[str]:
    """The names of some groups, in their order."""
    return [group.name for group in groups]


def check_names(found: object, groups: tuple[Group, ...], of: str) -> None:
    """See that a state is of these groups.

    Raises:
        BadInput: If it is not.
    """
    if found != names(groups):
        raise must("groups of the state", of, f"{names(groups)}", found, "Start anew after a removal")


def examples_of(inputs: tuple[Any, ...], named: Mapping[str, Any], of: str) -> int:
    """How many examples a network was given.

    Args:
        inputs: What it was called with, by position.
        named: By name.
        of: What errors call the signal.

    Raises:
        BadInput: If there is no tensor with examples along its first axis.
    """
    given = next((one for one in (*inputs, *named.values()) if isinstance(one, Tensor)), None)
    if given is None or given.dim() == 0:
        raise must("inputs", of, "a tensor of examples", type(given).__name__, "Stack the examples")
    return len(given)


def not_by_example(layer: str, values: Tensor, examples: int, of: str) -> BadInput:
    """The error for a layer whose inputs or outputs have no example a row."""
    rule = f"[{examples}, ...], one row an example"
    remedy = "Protect this layer and what it reads, or let the network keep examples along the first axis"
    return must(f"what goes through the layer {layer!r}", of, rule, tuple(values.shape), remedy)


def changed_in_place(layer: str, of: str) -> BadInput:
    """The error for an input that is no longer what the layer read."""
    return BadInput(
        f"the input of the layer {layer!r} was changed in place after the layer had read it, so that {of} cannot tell "
        "what it was. Let the network compute a new tensor there."
    )
