"""What a search is after: a budget, and what decides among those within it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attar.budget import ACCURACY, Limit, Prefer, Score
from attar.search.proposal import Trial


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A budget against what the teacher takes, and what is preferred.

    Attributes:
        limits: What may be lost and used.
        prefer: What decides among trials within all limits.
        teacher: What the teacher takes, by name, in own units, as far as it is known; its score as ``quality_loss``,
            as `attar.budget.Limit.at` wants it.
        score: In which scores are told.
    """

    limits: Sequence[Limit]
    prefer: Prefer
    teacher: Mapping[str, float]
    score: Score = ACCURACY

    def excess(self, limit: Limit, figures: Mapping[str, float]) -> float:
        """By which share of a limit figures are beyond it: 0 within, infinite where nothing is known.

        A loss of quality is counted from the teacher's score: half a point beyond counts as .005 of it.
        """
        found, of = figures.get(limit.what), self.teacher.get(limit.what)
        if limit.keeps(found, of):
            return 0.0
        bound = limit.at(of)
        if found is None or bound is None or not math.isfinite(found):
            return math.inf
        if limit.what == "quality_loss":
            return (found - bound) / max(abs(of or 0.0), 1e-9)
        return found / bound - 1

    def beyond(self, figures: Mapping[str, float], *, so_far: bool = False) -> dict[Limit, float]:
        """The limits that figures break, the one that is broken most first, and by which share.

        Args:
            figures: Of a trial.
            so_far: Whether others are still to come: a limit whose figure is not there is not broken yet.
        """
        looked = [limit for limit in self.limits if not so_far or limit.what in figures]
        found = {limit: excess for limit in looked if (excess := self.excess(limit, figures)) > 0}
        return dict(sorted(found.items(), key=lambda one: -one[1]))

    def worst(self, figures: Mapping[str, float]) -> float:
        """By which share the limit is broken that is broken most, of those whose figure is known; 0 for none."""
        return max(self.beyond(figures, so_far=True).values(), default=0.0)

    def rank(self, trial: Trial) -> tuple[float, ...]:
        """By which trials are sorted, the best first: trained ones, those within the budget, then what is preferred.

        Of those that break it, the one that breaks its worst limit least comes first; so among those that were never
        trained as they break it. What failed, or nobody came to, is last.
        """
        if trial.score is None:
            return (2.0, self.worst(trial.figures)) if trial.state == "over_budget" else (3.0,)
        score = -math.inf if math.isnan(trial.score) else trial.score  # no number is better or worse than another
        broken = self.beyond(trial.figures)
        if broken:
            return (1.0, max(broken.values()), -score)
        preferred = -score if self.prefer == "quality" else trial.figures.get(self.prefer, math.inf)
        return (0.0, preferred, -score)

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The best of some trials, the first of equals; None where none was trained."""
        trained = [one for one in trials if one.score is not None]
        return min(trained, key=self.rank, default=None)
