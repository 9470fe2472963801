"""Which trials nobody beats in everything at once."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from attar.search.goal import Goal
from attar.search.proposal import Trial


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """The trained trials that none beats: none is as good in score, latency and bytes, and better in one of them.

    It takes a sort, and a search in a sorted list for each trial.

    Args:
        trials: In any order. A figure that was not measured, or is no number, is worse than all.

    Returns:
        The best score first; of those that are equal in everything, the first.
    """
    places: dict[tuple[float, float, float], Trial] = {}
    for one in trials:
        if one.score is not None:
            latency, size = (_less(one.figures.get(what)) for what in ("latency", "bytes"))
            places.setdefault((_less(-one.score), latency, size), one)
    found: list[Trial] = []
    # Of those with at least as good a score: latencies that grow, and the least bytes up to each, which fall.
    latencies: list[float] = []
    least: list[float] = []
    for place in sorted(places):
        _, latency, size = place
        up_to = bisect_right(latencies, latency)
        if up_to and least[up_to - 1] <= size:
            continue
        found.append(places[place])
        first = up_to - 1 if up_to and latencies[up_to - 1] == latency else up_to
        last = next((at for at in range(up_to, len(least)) if least[at] < size), len(least))
        latencies[first:last], least[first:last] = [latency], [size]
    return found


def _less(figure: float | None) -> float:
    """A figure of which less is better."""
    return math.inf if figure is None or math.isnan(figure) else figure


def beside(trials: Sequence[Trial], taken: Trial, goal: Goal, count: int) -> list[Trial]:
    """Some of the trials within the budget that none beats, apart from the one that was taken.

    In the order of their scores they are as far from it as can be, and from each other: a user sees what more quality
    costs, and what less of it saves.

    Args:
        trials: Of a search.
        taken: One of them.
        goal: Whose budget they keep.
        count: How many at most.

    Returns:
        Other students than the one that was taken, the farthest first.
    """
    within = [one for one in trials if one.score is not None and not goal.beyond(one.figures)]
    students = {taken.proposal.student: taken}
    for one in pareto(within):
        students.setdefault(one.proposal.student, one)
    others = [one for one in students.values() if one is not taken]
    first = sum((one.score or 0.0) > (taken.score or 0.0) for one in others)
    places = {one.number: place + (place >= first) for place, one in enumerate(others)}
    chosen: list[Trial] = []
    while len(chosen) < min(count, len(others)):
        near = [first, *(places[one.number] for one in chosen)]
        left = [one for one in others if one not in chosen]
        chosen.append(max(left, key=lambda one: min(abs(places[one.number] - place) for place in near)))
    return chosen
