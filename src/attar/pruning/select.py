"""What goes next: which units of which groups, so that a cost comes down to a target for the least rise of the loss.

Both ways take any signal and any cost. Units of a group go in the order of what they are worth, the least worthy first,
and always so many that it helps: where a runtime is as fast with 16 channels as with 13, nothing stops at 13.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import isfinite, prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import must
from attar.pruning.cost import Cost, Counts, Floats

_ROUNDING = 1e-9
"""A sum of products in floats may be off by so much of itself."""

_FEW = 2_000
"""Combinations of counts that are all tried, and points of a front that are kept."""

_ROUNDS = 10
"""In which the knapsack comes down to its target, and as often again looks for better at it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which units go.

    Attributes:
        removed: For each group that loses some, which, in rising order.
        kept: How many of each group stay.
        loss_rise: The estimated rise of the loss, summed over the units.
        cost: Of what is left.
        target: Which cost was asked for.
    """

    removed: dict[str, tuple[int, ...]]
    kept: dict[str, int]
    loss_rise: float
    cost: float
    target: float

    @property
    def met(self) -> bool:
        """Whether the target was reached; if not, this is the cheapest that was found."""
        return _within(self.cost, self.target)


def greedy(
    worth: Mapping[str, Tensor],
    cost: Cost,
    target: float,
    *,
    beta: float | Literal["auto"] = "auto",
    emptied: Collection[str] = (),
) -> Selection:
    """Remove what raises the loss least for what it saves, one move after the other, until the target is met.

    A move takes the least worthy units of one group. After each, the costs of all groups that share a layer with it are
    computed again.

    Args:
        worth: For each group ``[units]``, the estimated rise of the loss when one unit goes.
        cost: Of the network with all these units.
        target: The cost to come down to, in the cost's own unit.
        beta: What a unit of cost is worth in units of the loss: each move goes one step down and has the least
            ``rise + beta * change of cost``. Under "auto" a move goes so far down, and is in such a group, that the
            rise for each unit of cost saved is least, which needs no beta.
        emptied: Groups that may lose all their units; any other keeps one.

    Raises:
        BadInput: If a number is out of range or not finite, or a group is not known.

    References:
        Theis et al., *Faster gaze prediction with dense networks and Fisher pruning* (2018), section 3.
    """
    _check(worth, target, emptied, "greedy")
    if beta != "auto" and not (isfinite(beta) and beta >= 0):
        raise must("beta", "greedy", "'auto' or at least 0", beta, "Use 'auto'")
    problem = _Problem(worth, cost, target, emptied)
    kept, now = dict(problem.units), cost.total({})
    best, cheapest = dict(kept), now
    moves: dict[str, _Move] = {}
    while not _within(now, target):
        found = ((group, problem.move(group, kept, beta)) for group in kept if group not in moves)
        moves |= {group: move for group, move in found if move is not None}
        if not moves:
            break
        # One that saves nothing is made only where none saves: beyond it there may be one that does.
        group = min(moves, key=lambda name: moves[name].order)
        kept[group] = moves[group].count
        now = cost.total(kept)
        if now < cheapest:
            best, cheapest = dict(kept), now
        stale = cost.neighbors(group)
        moves = {name: move for name, move in moves.items() if name not in stale}
    return problem.selection(best)


def knapsack(worth: Mapping[str, Tensor], cost: Cost, target: float, *, emptied: Collection[str] = ()) -> Selection:
    """Choose for all groups at once how many units each keeps: the least rise of the loss within the target.

    A layer costs what both its sides make of it, so that a group's cost depends on its neighbors. Where there are few
    combinations, all are tried. Else the exact knapsack is solved again and again, each time with the neighbors' counts
    of the time before, while the target comes down in steps; every answer is judged by its true cost. Never worse than
    `greedy` with its "auto".

    Args:
        worth: For each group ``[units]``, the estimated rise of the loss when one unit goes.
        cost: Of the network with all these units.
        target: The cost to come down to, in the cost's own unit.
        emptied: Groups that may lose all their units; any other keeps one.

    Raises:
        BadInput: If a number is out of range or not finite, or a group is not known.

    References:
        Shen et al., *Structural pruning via latency-saliency knapsack* (2022).
    """
    _check(worth, target, emptied, "knapsack")
    problem = _Problem(worth, cost, target, emptied)
    if _within(cost.total({}), target):
        return problem.selection(problem.units)
    options = {group: np.append(problem.steps[group], units) for group, units in problem.units.items()}
    start = greedy(worth, cost, target, emptied=emptied).kept
    if prod(map(len, options.values())) <= _FEW:
        every = (dict(zip(options, map(int, counts), strict=True)) for counts in product(*options.values()))
        kept = min((start, *every), key=problem.rank)
    else:
        tried = [start, *_rounds(problem, options)]
        kept = _polished(problem, options, min(tried, key=problem.rank))
    return problem.selection(kept)


@dataclass(frozen=True, slots=True)
class _Move:
    """From what a group keeps down to a count; ``order`` says which is made first."""

    count: int
    order: tuple[bool, float, float]


class _Problem:
    """Groups in the order in which their units go, and the counts worth stopping at."""

    def __init__(self, worth: Mapping[str, Tensor], cost: Cost, target: float, emptied: Collection[str]) -> None:
        values = {group: one.detach().double().cpu().numpy() for group, one in worth.items()}
        self.units = {group: len(one) for group, one in values.items()}
        self.cost, self.target = cost, target
        self._order = {group: np.argsort(one, kind="stable") for group, one in values.items()}
        # By how much the loss rises when so many stay.
        self.rise: dict[str, Floats] = {
            group: np.append(0.0, np.cumsum(one[self._order[group]]))[::-1] for group, one in values.items()
        }
        self._least = {group: 0 if group in emptied else min(1, units) for group, units in self.units.items()}
        self.steps = {
            group: self._helpful(group, np.arange(self._least[group], units), {})[0]
            for group, units in self.units.items()
        }
        """Counts below all, at which the network that was given is cheaper than at every larger one, rising."""

    def _helpful(self, group: str, counts: Counts, kept: Mapping[str, int]) -> tuple[Counts, Floats]:
        """Of some rising counts those that are cheaper than all larger ones up to what is kept, and what each saves."""
        now = kept.get(group, self.units[group])
        below = counts[counts < now]
        curve = self.cost.curve(group, [*below.tolist(), now], kept)
        margin = max(self.cost.noise, _ROUNDING) * abs(float(curve[-1]))
        if self.cost.noise:
            helps, least = np.zeros(len(below), np.bool_), float(curve[-1])
            for place in reversed(range(len(below))):
                if curve[place] < least - margin:
                    helps[place], least = True, float(curve[place])
        else:
            helps = curve[:-1] < np.minimum.accumulate(curve[:0:-1])[::-1] - margin
        return below[helps], curve[-1] - curve[:-1][helps]

    def move(self, group: str, kept: Mapping[str, int], beta: float | Literal["auto"]) -> _Move | None:
        """The best move of a group; None where it has no unit to lose."""
        now, least = kept[group], self._least[group]
        if now <= least:
            return None
        counts, saved = self._helpful(group, self.steps[group], kept)
        if not len(counts):
            below = self.steps[group][self.steps[group] < now]
            count = int(below[-1]) if len(below) else least
            return _Move(count, (True, float(self.rise[group][count] - self.rise[group][now]), 0.0))
        if beta != "auto":
            counts, saved = counts[-1:], saved[-1:]
        rise = self.rise[group][counts] - self.rise[group][now]
        score = rise / saved if beta == "auto" else rise - beta * saved
        place = np.lexsort((-saved, score))[0]
        return _Move(int(counts[place]), (False, float(score[place]), -float(saved[place])))

    def risen(self, kept: Mapping[str, int]) -> float:
        """The rise of the loss."""
        return float(sum(self.rise[group][count] for group, count in kept.items()))

    def rank(self, kept: Mapping[str, int]) -> tuple[float, float]:
        """Less is better: first how far the cost is above the target, then the rise of the loss, then the cost."""
        cost = self.cost.total(kept)
        return (0.0, self.risen(kept)) if _within(cost, self.target) else (cost, 0.0)

    def selection(self, kept: Mapping[str, int]) -> Selection:
        """The answer that keeps so many units of each group."""
        removed = {
            group: tuple(sorted(self._order[group][: units - kept[group]].tolist()))
            for group, units in self.units.items()
            if kept[group] < units
        }
        return Selection(removed, dict(kept), self.risen(kept), self.cost.total(kept), self.target)


def _rounds(problem: _Problem, options: Mapping[str, Counts]) -> Iterator[dict[str, int]]:
    """Answers for costs that are those around the answer before, while the target comes down."""
    kept, full = dict(problem.units), problem.cost.total({})
    seen = set[tuple[int, ...]]()
    for turn in range(1, 2 * _ROUNDS + 1):
        share = min(1.0, turn / _ROUNDS)
        target = full + (problem.target - full) * share
        kept = _solved(problem, options, kept, target)
        if share == 1.0:
            yield kept
            if tuple(kept.values()) in seen:
                return
            seen.add(tuple(kept.values()))


def _solved(
    problem: _Problem, options: Mapping[str, Counts], around: Mapping[str, int], target: float
) -> dict[str, int]:
    """The knapsack with every group's costs as they are while all others keep what they keep now."""
    groups = list(options)
    costs, rises = np.zeros(1), np.zeros(1)
    picked: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    for group in groups:
        counts = options[group]
        curve = problem.cost.curve(group, counts.tolist(), around)
        cost = (costs[:, None] + curve).ravel()
        rise = (rises[:, None] + problem.rise[group][counts]).ravel()
        front = _front(cost, rise)
        picked.append((front // len(counts), front % len(counts)))
        costs, rises = cost[front], rise[front]

    def answer(place: int) -> dict[str, int]:
        found = {}
        for group, (parents, choices) in zip(reversed(groups), reversed(picked), strict=True):
            found[group] = int(options[group][choices[place]])
            place = int(parents[place])
        return {group: found[group] for group in groups}

    # Along the front cost rises and the loss falls: the last whose true cost is within.
    low, high = 0, len(costs) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _within(problem.cost.total(answer(middle)), target):
            low = middle
        else:
            high = middle - 1
    return answer(low)


def _front(cost: Floats, rise: Floats) -> NDArray[np.intp]:
    """Which points no other is better than, in rising cost; of many, the one of least rise in each stretch of cost."""
    order = np.lexsort((rise, cost))
    lowest = np.minimum.accumulate(rise[order])
    front: NDArray[np.intp] = order[np.append(True, lowest[1:] < lowest[:-1])]
    if len(front) > _FEW:
        low, high = cost[front[0]], cost[front[-1]]
        stretch = ((cost[front] - low) / (high - low) * (_FEW - 1)).astype(np.intp)
        front = front[np.append(stretch[1:] != stretch[:-1], True)]
    return front


def _polished(problem: _Problem, options: Mapping[str, Counts], kept: dict[str, int]) -> dict[str, int]:
    """One step more for a group where it fits, or where a step less for another makes room."""
    rank, groups = problem.rank(kept), list(options)
    pairs = len(groups) <= 30

    def step(at: Mapping[str, int], group: str, by: int) -> dict[str, int] | None:
        place = int(np.searchsorted(options[group], at[group])) + by
        return {**at, group: int(options[group][place])} if 0 <= place < len(options[group]) else None

    better = True
    while better:
        better = False
        for group in groups:
            more = step(kept, group, 1)
            others = (step(more, other, -1) for other in groups if other != group) if more and pairs else ()
            for trial in (more, *others):
                if trial is not None and (found := problem.rank(trial)) < rank:
                    kept, rank, better = trial, found, True
                    break
    return kept


def _within(cost: float, target: float) -> bool:
    return cost <= target + _ROUNDING * abs(target)


def _check(worth: Mapping[str, Tensor], target: float, emptied: Collection[str], of: str) -> None:
    """See that what was given is whole."""
    if not (isfinite(target) and target >= 0):
        raise must("target", of, "finite and at least 0", target, "Give the cost to come down to")
    for group, values in worth.items():
        if values.dim() != 1 or not torch.isfinite(values).all():
            rule = "one finite number a unit for each group"
            found = list(values.shape) if values.dim() != 1 else "a number that is not finite"
            raise must(f"worth[{group!r}]", of, rule, found, "See whether training diverged")
    if unknown := sorted(set(emptied) - set(worth)):
        raise must("emptied", of, "groups that have a worth", unknown[0], "Leave it out")
