"""What actions mean: on which layers a policy may act, what it sees of these, and the network that it comes to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from attar.network.spec import Spec
from attar.search.n2n.layers import Invalid, LayerKind, Layers, LayerState
from attar.search.n2n.policy import KEEP, Features, Mask, ShrinkagePolicy
from attar.search.n2n.surgery import student

Shrunk = Literal["outputs", "kernels"]
"""What of a layer can get smaller."""

_LEADING: Sequence[LayerKind] = ("convolution", "depthwise", "linear", "attention", "embedding", "recurrent")
_FOLLOWING: Sequence[LayerKind] = ("batch_norm", "norm", "activation", "dropout")
"""Layers that others belong to, and those others."""


@runtime_checkable
class Actions(Protocol):
    """What the actions of one policy mean for one network.

    Attributes:
        features: What the policy sees.
        mask: Which actions are free.
    """

    features: Features
    mask: Mask

    def student(self, actions: Int64[Tensor, " actions"]) -> Spec | Invalid:
        """The network that actions come to."""
        ...

    def choices(self, actions: Int64[Tensor, " actions"]) -> Mapping[str, Any]:
        """What was chosen, as plain values for people."""
        ...


class Removal:
    """An action for each layer: whether it stays.

    Args:
        layers: The network.
        blocks: Whether normalization, activation and dropout have no action of their own, and stay or go with the layer
            before them whose outputs they take. What takes a sum of branches has one.
    """

    def __init__(self, layers: Layers, blocks: bool = False) -> None:
        self._layers = layers
        self.features = layers.features().double()
        self._led_by = _led_by(layers) if blocks else list(range(len(layers.states)))
        pairs = zip(layers.states, self._led_by, strict=True)
        self.mask = torch.tensor([state.removable and led_by == place for place, (state, led_by) in enumerate(pairs)])

    def student(self, actions: Int64[Tensor, " actions"]) -> Spec | Invalid:
        """The network of the layers that stay."""
        return student(self._layers, self._kept(actions))

    def choices(self, actions: Int64[Tensor, " actions"]) -> Mapping[str, Any]:
        """The names of the layers that go."""
        pairs = zip(self._layers.states, self._kept(actions), strict=True)
        return {"removed": [state.name for state, kept in pairs if not kept and state.removable]}

    def _kept(self, actions: Int64[Tensor, " actions"]) -> list[bool]:
        """Of each layer, whether it stays."""
        return ((actions == KEEP) | ~self.mask)[self._led_by].tolist()


def _led_by(layers: Layers) -> list[int]:
    """For each layer the place of the one whose action it follows; its own where it has an action."""
    terms: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)  # of which sums a layer is in which term
    for place, one in enumerate(layers.sums):
        for side, names in enumerate((one.branch, one.beside)):
            for name in names:
                terms[name].add((place, side))
    found: list[int] = []
    for place, state in enumerate(layers.states):
        before = layers.states[place - 1] if place else None
        follows = (
            before is not None
            and state.kind in _FOLLOWING
            and before.kind in (*_LEADING, *_FOLLOWING)
            and terms[before.name] == terms[state.name]
        )
        found.append(found[-1] if follows else place)
    return found


class Shrinkage:
    """An action for each layer and each of its sizes, of a layer one after the other: what share of it stays.

    Args:
        layers: The network.
        policy: Whose multipliers the shares are.
        sizes: What gets smaller.
    """

    def __init__(self, layers: Layers, policy: ShrinkagePolicy, sizes: Sequence[Shrunk] = ("outputs",)) -> None:
        self._layers, self._policy, self._sizes = layers, policy, sizes
        rows = layers.features().double().repeat_interleave(len(sizes), 0)
        kernel = torch.tensor([[float(size == "kernels")] for size in sizes], dtype=torch.float64)
        self.features = torch.cat([rows, kernel.repeat(len(layers.states), 1)], 1)
        self.mask = torch.tensor([_shrinks(state, size) for state in layers.states for size in sizes])

    def student(self, actions: Int64[Tensor, " actions"]) -> Spec | Invalid:
        """The network of the shares that stay."""
        shares = self._shares(actions)
        keep = [True] * len(self._layers.states)
        return student(self._layers, keep, shares.get("outputs", ()), shares.get("kernels", ()))

    def choices(self, actions: Int64[Tensor, " actions"]) -> Mapping[str, Any]:
        """The shares by names of layers, where they are below 1."""
        names = [state.name for state in self._layers.states]
        return {
            size: {name: share for name, share in zip(names, shares, strict=True) if share < 1}
            for size, shares in self._shares(actions).items()
        }

    def _shares(self, actions: Int64[Tensor, " actions"]) -> dict[str, list[float]]:
        """By size, a share for each layer."""
        shares = self._policy.shares(self.mask, actions[None]).reshape(-1, len(self._sizes))
        return {size: shares[:, place].tolist() for place, size in enumerate(self._sizes)}


def _shrinks(state: LayerState, size: Shrunk) -> bool:
    """Whether a share decides on a size of a layer."""
    return state.shrinkable if size == "outputs" else state.kernel_shrinks
