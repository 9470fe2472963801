"""Which trials nobody beats in everything at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import le

from attar.budget import What
from attar.search.goal import Goal
from attar.search.proposal import Trial


def pareto(trials: Sequence[Trial], by: Sequence[What] = ("latency", "bytes")) -> list[Trial]:
    """The trained trials that none beats: none is as good in score and figures, and better in one of them.

    Args:
        trials: In any order.
        by: Figures of which less is better; one that was not measured is worse than all.

    Returns:
        The best score first; of those that are equal in everything, the first.
    """
    trained = [(one.score, one) for one in trials if one.score is not None]
    places = {one.number: (-score, *(one.figures.get(what, math.inf) for what in by)) for score, one in trained}
    found: dict[tuple[float, ...], Trial] = {}
    for _, one in trained:
        place = places[one.number]
        beaten = any(other != place and all(map(le, other, place)) for other in places.values())
        if not beaten:
            found.setdefault(place, one)
    return [found[place] for place in sorted(found)]


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
