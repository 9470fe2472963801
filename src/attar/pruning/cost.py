"""What a network costs as a function of how many units each group keeps: what every cost is, and sums of products."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

Kept = Mapping[str, int]
"""How many units of each group are kept; a group that is not named keeps all."""


@runtime_checkable
class Cost(Protocol):
    """A cost of a network of which some units are removed.

    Attributes:
        noise: Changes of less than this share of what a group's layers cost mean nothing; 0 where nothing is measured.
    """

    noise: float

    def total(self, kept: Kept) -> float:
        """The cost of the whole network."""

    def curve(self, group: str, counts: Sequence[int], kept: Kept) -> Floats:
        """``[counts]``, the cost when one group keeps so many units and the others as ``kept`` says.

        Less what does not depend on the group: only differences along it mean something.
        """

    def neighbors(self, group: str) -> frozenset[str]:
        """The groups whose curves change when this one loses units, itself included."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How long an axis is once some units are removed.

    Attributes:
        length: With all units.
        shares: For each group that has positions along it: its name, its units, and the positions that go with a unit
            (their mean, where units have different numbers of them).
    """

    length: int
    shares: tuple[tuple[str, int, float], ...] = ()

    def at(self, kept: Mapping[str, Any]) -> Any:
        """The length; an array where ``kept`` has an array for one of its groups."""
        length: Any = self.length
        for group, units, positions in self.shares:
            if group in kept:
                length = length - (units - kept[group]) * positions
        return length

    def scaled(self, length: int) -> Axis:
        """The same shares of an axis of another length."""
        factor = length / self.length
        return Axis(length, tuple((group, units, positions * factor) for group, units, positions in self.shares))

    @property
    def groups(self) -> frozenset[str]:
        """Names of the groups that it depends on."""
        return frozenset(group for group, _, _ in self.shares)


@dataclass(frozen=True, slots=True)
class Product:
    """One part of a cost: a number times the lengths of some axes."""

    factor: int | float
    axes: tuple[Axis, ...]

    def at(self, kept: Mapping[str, Any]) -> Any:
        """Its value; an array where ``kept`` has an array."""
        return self.factor * prod(axis.at(kept) for axis in self.axes)


class Products:
    """A cost that is a sum of products of lengths: parameters, multiply-adds, bytes, activations."""

    noise = 0.0

    def __init__(self, products: Iterable[Product]) -> None:
        fixed, self._touching = 0.0, defaultdict[str, list[Product]](list)
        self._moving: list[Product] = []
        for product in products:
            groups = frozenset[str]().union(*(axis.groups for axis in product.axes))
            if groups:
                self._moving.append(product)
            else:
                fixed += product.at({})
            for group in groups:
                self._touching[group].append(product)
        self._fixed = fixed

    def total(self, kept: Kept) -> float:
        """The cost of the whole network."""
        return self._fixed + float(sum(product.at(kept) for product in self._moving))

    def curve(self, group: str, counts: Sequence[int], kept: Kept) -> Floats:
        """``[counts]``, as `Cost` says."""
        along = {**kept, group: np.asarray(counts, np.float64)}
        return sum((product.at(along) for product in self._touching[group]), np.zeros(len(counts)))

    def neighbors(self, group: str) -> frozenset[str]:
        """As `Cost` says."""
        return frozenset({group}).union(*(axis.groups for one in self._touching[group] for axis in one.axes))
