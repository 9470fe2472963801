"""Which trials nobody beats in everything at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import le

from attar.budget import What
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
