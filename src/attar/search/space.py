"""What a search chooses from: named dimensions, and how choices become a network and what is done to it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attar.errors import BadInput, Words, must, near
from attar.network.spec import Spec
from attar.search.proposal import Proposal

MOST_POINTS = 100_000
"""Proposals of a grid at most: nobody trains more."""

_LARGEST = 2**53
"""Bounds of a range at most: from here on floats skip whole numbers."""


@dataclass(frozen=True)
class Choice:
    """One of some values.

    Attributes:
        values: Plain values, such as JSON holds them, each once. Numbers that rise or fall all the way are taken as
            ordered: strategies step from one to the next.
    """

    values: Sequence[Any]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.values)

    @property
    def ordered(self) -> bool:
        """Whether neighbors among the values are alike."""
        if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in self.values):
            return False
        pairs = list(itertools.pairwise(self.values))
        return all(one < after for one, after in pairs) or all(one > after for one, after in pairs)

    def at(self, share: float) -> Any:
        """The value at a share of the way, 0 to 1; each has the same part of it."""
        return self.values[min(int(share * self.size), self.size - 1)]

    def share(self, value: Any) -> float:
        """Where a value is: the middle of its part."""
        return (_place(self.values, value) + 0.5) / self.size

    def has(self, value: Any) -> bool:
        """Whether it is one of the values."""
        return _text(value) in map(_text, self.values)

    def points(self, count: int) -> Sequence[Any]:
        """All of them, however many are asked for."""
        return tuple(self.values)

    def check(self, name: str, of: str) -> None:
        """See that there is a value, each is plain, and none is there twice.

        Raises:
            BadInput: Naming the dimension.
        """
        if not self.values:
            raise must(name, of, "a list of at least one value", list(self.values), "Name what may be chosen")
        seen: set[str] = set()
        for value in self.values:
            try:
                text = _text(value)
            except (TypeError, ValueError, RecursionError) as error:
                remedy = "Use numbers, texts, true and false, lists and tables of these"
                raise must(name, of, "a list of values that a file can hold", value, remedy) from error
            if text in seen:
                raise must(name, of, "a list that names each value once", list(self.values), "Leave one out")
            seen.add(text)


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from ``low`` to ``high``, both included.

    Attributes:
        low: The smallest.
        high: The largest; where steps do not end on it, the last one below it.
        step: From one to the next.
        log: Whether it is factors that count, so that there are as many draws from 8 to 16 as from 64 to 128.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def size(self) -> int:
        """How many there are."""
        return (self.high - self.low) // self.step + 1

    @property
    def last(self) -> int:
        """The largest that a step ends on."""
        return self.low + self.step * (self.size - 1)

    def at(self, share: float) -> int:
        """The number at a share of the way, 0 to 1."""
        low, high = self._edges
        if self.log:
            exact = low * math.pow(high / low, share)
            place = round((exact - self.low) / self.step)
        else:
            place = int(share * self.size)
        return self.low + self.step * min(max(place, 0), self.size - 1)

    def share(self, value: Any) -> float:
        """Where a number is: a share from which `at` comes back to it."""
        low, high = self._edges
        return math.log(value / low) / math.log(high / low) if self.log else (value - low) / (high - low)

    def has(self, value: Any) -> bool:
        """Whether it is one of the numbers."""
        integer = isinstance(value, int) and not isinstance(value, bool)
        return integer and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def points(self, count: int) -> Sequence[int]:
        """So many of them, evenly spaced from the first to the last, or all where there are no more."""
        if self.size <= count:
            return range(self.low, self.last + 1, self.step)
        found = [self.at(one) for one in _even(self.share(self.low), self.share(self.last), count)]
        return tuple(dict.fromkeys(found))

    def check(self, name: str, of: str) -> None:
        """See that the bounds are the right way round.

        Raises:
            BadInput: Naming the dimension.
        """
        _check_bounds(self.low, self.high, name, of)
        if self.step < 1:
            raise must(f"{name}.step", of, "at least 1", self.step, "Leave it out for 1")
        if self.log and self.low < 1:
            raise must(f"{name}.from", of, "at least 1 where log is true", self.low, "Raise it, or leave log out")

    @property
    def _edges(self) -> tuple[float, float]:
        """Half a step beyond either end, so that the ends are drawn as often as what is between them."""
        low, half = self.low - self.step / 2, self.step / 2
        return (max(low, self.low / 2) if self.log else low), self.last + half


@dataclass(frozen=True)
class FloatRange:
    """Numbers from ``low`` to ``high``.

    Attributes:
        low: The smallest.
        high: The largest.
        log: Whether it is factors that count.
    """

    low: float
    high: float
    log: bool = False

    @property
    def size(self) -> int | None:
        """None: there is no end of them; 1 where both ends are the same."""
        return 1 if self.low == self.high else None

    def at(self, share: float) -> float:
        """The number at a share of the way, 0 to 1."""
        exact = self.low * (self.high / self.low) ** share if self.log else self.low + (self.high - self.low) * share
        return min(max(exact, self.low), self.high)

    def share(self, value: Any) -> float:
        """Where a number is, 0 to 1."""
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (float(value) - self.low) / (self.high - self.low)

    def has(self, value: Any) -> bool:
        """Whether it is within."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def points(self, count: int) -> Sequence[float]:
        """So many of them, evenly spaced from end to end."""
        return tuple(dict.fromkeys(self.at(one) for one in _even(0.0, 1.0, count)))

    def check(self, name: str, of: str) -> None:
        """See that the bounds are finite and the right way round.

        Raises:
            BadInput: Naming the dimension.
        """
        _check_bounds(self.low, self.high, name, of)
        if self.log and self.low <= 0:
            raise must(f"{name}.from", of, "greater than 0 where log is true", self.low, "Raise it, or leave log out")


Dimension = Choice | IntRange | FloatRange
"""What is chosen under one name."""

Build = Callable[[Mapping[str, Any]], tuple[Spec, Sequence[Mapping[str, Any]]]]
"""From choices by name to a network and the steps after its training; the same for the same choices."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a search chooses from.

    Attributes:
        dimensions: By name, in order.
        build: What choices come to. Several may come to the same.
        of: What errors call the space.

    Raises:
        BadInput: If there is no dimension, or one is not right.

    Example:
        >>> mlp = "attar.network.architectures:mlp"
        >>> space = Space(
        ...     dimensions={"width": IntRange(8, 128, log=True), "depth": Choice([1, 2])},
        ...     build=lambda chosen: (Spec(mlp, {"hidden": [chosen["width"]] * chosen["depth"]}), ()),
        ... )
        >>> space.count(), len(list(space.grid(points=3)))
        (242, 6)
        >>> [chosen["width"] for chosen in space.grid(points=3)][::2]
        [8, 32, 128]
        >>> space.proposal({"width": 16, "depth": 2}).spec.arguments
        {'hidden': [16, 16]}
    """

    dimensions: Mapping[str, Dimension]
    build: Build
    of: str = "the search space"
    _built: dict[str, tuple[Spec, Sequence[Mapping[str, Any]]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.dimensions:
            raise BadInput(
                f"{self.of[:1].upper()}{self.of[1:]} has nothing to choose. Give a range or a list of values."
            )
        for name, dimension in self.dimensions.items():
            dimension.check(name, self.of)

    def draw(self, random: np.random.Generator) -> dict[str, Any]:
        """Choices at random, each dimension for itself."""
        shares = random.random(len(self.dimensions)).tolist()
        return {name: one.at(share) for (name, one), share in zip(self.dimensions.items(), shares, strict=True)}

    def count(self) -> int | None:
        """How many combinations of choices there are; None where there is no end of them."""
        known = [one.size for one in self.dimensions.values() if one.size is not None]
        return math.prod(known) if len(known) == len(self.dimensions) else None

    def grid(self, points: int | Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """All combinations, the last dimension first.

        Args:
            points: Numbers of each range, evenly spaced from end to end; or of some by name, and all of the others.

        Raises:
            BadInput: If a range without an end has no number of points, a name is unknown, or there are too many.
        """
        for name in points if isinstance(points, Mapping) else ():
            if name not in self.dimensions:
                raise must("points", "the grid", "by names of dimensions", name, near(name, self.dimensions))
        values = [self._points(name, points) for name in self.dimensions]
        count = math.prod(map(len, values))
        if count > MOST_POINTS:
            got = Words(f"{count:,}")
            raise must(
                "the grid", self.of, f"of at most {MOST_POINTS:,} points", got, "Ask for fewer points of a range"
            )
        for combined in itertools.product(*values):
            yield dict(zip(self.dimensions, combined, strict=True))

    def has(self, choices: Mapping[str, Any]) -> bool:
        """Whether these are choices of this space."""
        return choices.keys() == self.dimensions.keys() and all(
            one.has(choices[name]) for name, one in self.dimensions.items()
        )

    def proposal(self, choices: Mapping[str, Any], *, epochs: int = 1, start: str | None = None) -> Proposal:
        """What choices come to.

        Args:
            choices: By name, of this space.
            epochs: Of its training.
            start: As of a `Proposal`.
        """
        text = _text(dict(choices))
        if text not in self._built:
            self._built[text] = self.build(choices)
        spec, steps = self._built[text]
        return Proposal(spec=spec, steps=steps, epochs=epochs, start=start, choices=dict(choices))

    def _points(self, name: str, points: int | Mapping[str, int]) -> Sequence[Any]:
        dimension = self.dimensions[name]
        asked = points.get(name) if isinstance(points, Mapping) else points
        if asked is None and dimension.size is None:
            remedy = "Say how many numbers of it the grid has"
            raise must(name, "points of the grid", "given, as it is a range without steps", Words("none"), remedy)
        if asked is not None and not 1 <= asked <= MOST_POINTS:
            rule = f"from 1 to {MOST_POINTS:,}"
            raise must("points", "the grid", rule, asked, "2 are the two ends of a range")
        return dimension.points(asked or dimension.size or 1)


def _check_bounds(low: int | float, high: int | float, name: str, of: str) -> None:
    for key, bound in (("from", low), ("to", high)):
        if not abs(bound) <= _LARGEST:  # nor is it a number at all
            raise must(f"{name}.{key}", of, f"a number of at most {_LARGEST:,}", bound, "Give one that may be used")
    if low > high:
        raise must(f"{name}.from", of, f"at most {name}.to, which is {high}", low, "Swap them")


def _even(low: float, high: float, count: int) -> list[float]:
    """So many numbers from end to end; a single one in the middle."""
    return [(low + high) / 2] if count == 1 else [low + (high - low) * place / (count - 1) for place in range(count)]


def _place(values: Sequence[Any], value: Any) -> int:
    wanted = _text(value)
    return next(place for place, one in enumerate(values) if _text(one) == wanted)


def _text(value: Any) -> str:
    """By which plain values are compared: 1 and true are two, lists and tuples of the same are one."""
    return json.dumps(value, sort_keys=True, allow_nan=False)
