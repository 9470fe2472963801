"""What a trial is worth to a strategy that learns from rewards: how much smaller it is, by how much quality is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

from attar.errors import must
from attar.search.goal import Goal
from attar.search.proposal import Trial

INVALID = -1.0
"""The reward of what is no network, was larger than the teacher, or failed."""

_BEST_RATIO = 2.0
"""Of two errors at most: that of a student without any has no bound."""

SizeFigure = Literal["parameters", "macs", "bytes", "latency", "memory"]
"""Figures of which less is better."""


@runtime_checkable
class Reward(Protocol):
    """What figures are worth; more is better. Any function of these arguments is one."""

    def __call__(self, figures: Mapping[str, float], teacher: Mapping[str, float], iteration: int) -> float:
        """The reward.

        Args:
            figures: Of a trial, by name, in own units, see `attar.search.proposal.Trial`. Without ``score`` where it
                was beyond the budget and never trained.
            teacher: The same figures of what it is held against.
            iteration: How often the strategy has learned so far, from 0.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class CompressionReward:
    r"""Compression times quality kept: :math:`C (2 - C) (A / A_T)^p` with :math:`C = 1 - size / size_T`.

    Gains of compression fade as there is less to gain: 0 for the teacher's own size, 1 for none at all. What is larger
    than the teacher gets `INVALID`. A is the score, see `quality_ratio`; one that was never trained has none, and
    counts as 0. The paper's p is 1, and compression then outweighs accuracy: from a half of the teacher's size to a
    quarter of it a fifth of the accuracy may be lost for the same reward.

    Under constraints a trial that breaks one gets :math:`\epsilon R + (1 - \epsilon) P`, with :math:`\epsilon` falling
    from 1 to 0 over the first iterations: the strategy sees the way to the constraint before it is punished for it.
    P is :math:`1 / (2 (1 + x)) - 1`, with x the share by which the constraint is broken that is broken most, of what it
    allows or, for the score, of the teacher's: -1/2 for hardly, -1 for by far. So the way within can be learned where
    everything is beyond, as it is of short trainings where little may be lost. What was never trained has no R to be
    seen, and gets P at once.

    Attributes:
        size: Which figure is the size.
        quality_power: The power p of the share of quality that is kept; more for less to be lost.
        most: Constraints: figures, and what each may be at most, in own units.
        least_score: What the score has to be at least; None for any.
        annealed: Iterations until nothing of a broken constraint is forgiven.

    Example:
        >>> reward = CompressionReward()
        >>> reward({"parameters": 25.0, "score": 0.8}, {"parameters": 100.0, "score": 0.8}, 0)
        0.9375

    References:
        Ashok, Rhinehart, Beainy, Kitani, *N2N Learning: Network to Network Compression via Policy Gradient
        Reinforcement Learning*, ICLR 2018, section 3.3, where P is -1. The authors' code raises :math:`1 - i/15` to the
        fourth power without a bound below, so that from iteration 15 on a broken constraint is forgiven again; here it
        is not.
    """

    size: SizeFigure = "parameters"
    quality_power: float = 1.0
    most: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    least_score: float | None = None
    annealed: int = 15

    def __post_init__(self) -> None:
        if not 0 < self.quality_power < math.inf:
            remedy = "Use 1 for the paper's reward"
            raise must("quality_power", "the reward", "a number greater than 0", self.quality_power, remedy)
        if self.annealed < 1:
            raise must("annealed", "the reward", "at least 1", self.annealed, "Use 1 for no annealing")
        for what, bound in self.most.items():
            if not 0 < bound < math.inf:
                raise must(f"most[{what!r}]", "the reward", "a number greater than 0", bound, "Leave it out for any")

    @classmethod
    def within(cls, goal: Goal, **settings: Any) -> CompressionReward:
        """The reward whose constraints are a budget.

        Args:
            goal: The budget.
            **settings: Attributes other than the constraints.

        Raises:
            BadInput: If a limit is relative to what is not known of the teacher.
        """
        most: dict[str, float] = {}
        least = None
        for limit in goal.limits:
            of = goal.teacher.get(limit.what)
            bound = limit.at(of)
            if bound is None or (limit.what == "quality_loss" and of is None):
                raise must(limit.what, "the budget", "held against a figure of the teacher", "no such figure", _MEASURE)
            if limit.what == "quality_loss":
                least = (of or 0.0) - bound
            else:
                most[limit.what] = bound
        return cls(most=MappingProxyType(most), least_score=least, **settings)

    def __call__(self, figures: Mapping[str, float], teacher: Mapping[str, float], iteration: int) -> float:
        """The reward of a trial, see `Reward`.

        Raises:
            BadInput: If the size is not known, or a figure of a trained one on which there is a constraint.
        """
        of, best = _figure(teacher, self.size, "the teacher"), _figure(teacher, "score", "the teacher")
        reward = 0.0
        if "score" in figures:
            kept = quality_ratio(figures["score"], best)
            saved = 1 - _figure(figures, self.size, "a trial") / of
            if saved < 0 or not math.isfinite(kept):
                return INVALID
            reward = saved * (2 - saved) * kept**self.quality_power
        elif figures.get(self.size, 0.0) > of:
            return INVALID
        excess = self._excess(figures, abs(best))
        if excess <= 0:
            return reward
        forgiven = max(0.0, 1 - iteration / self.annealed) ** 4 if "score" in figures else 0.0
        return forgiven * reward + (1 - forgiven) * (0.5 / (1 + excess) - 1)

    def _excess(self, figures: Mapping[str, float], best: float) -> float:
        """By which share the constraint is broken that is broken most: 0 or less for none, infinite for no score.

        What was never trained need not have all figures: what is known counts, and a score that is asked for is missing
        where nothing else is broken.
        """
        trained = "score" in figures
        lost = 0.0
        if self.least_score is not None and trained:
            lost = (self.least_score - figures["score"]) / best
        looked = [what for what in self.most if trained or what in figures]
        excess = max([_figure(figures, what, "a trial") / self.most[what] - 1 for what in looked], default=0.0)
        excess = max(excess, lost)
        return math.inf if excess <= 0 and self.least_score is not None and not trained else excess


_MEASURE = "Measure it, or leave it out"


def quality_ratio(score: float, teacher: float) -> float:
    """The share of the teacher's quality that is kept: 1 for as good, 0 for none.

    Scores above 0 (accuracy, bits) are divided as they are. Scores below 0 are errors with a minus, such as RMSE: the
    teacher's error is divided by the student's, so that more is better there too; twice as good counts at most.

    Args:
        score: The student's.
        teacher: The teacher's.

    Raises:
        BadInput: If the teacher's score is 0: nothing is a share of it.

    Example:
        >>> quality_ratio(0.45, 0.9), quality_ratio(-0.4, -0.1), quality_ratio(0.0, -0.1)
        (0.5, 0.25, 2.0)
    """
    if teacher == 0 or not math.isfinite(teacher):
        remedy = "Write a reward that does not divide by it"
        raise must("score", "the teacher", "a number other than 0 where rewards are shares of it", teacher, remedy)
    if math.isnan(score):
        return score
    if teacher > 0:
        return max(score, 0.0) / teacher
    return min(teacher / score, _BEST_RATIO) if score < 0 else _BEST_RATIO


def reward_of(trial: Trial, reward: Reward, teacher: Mapping[str, float], iteration: int) -> float | None:
    """The reward of a trial: `INVALID` where it failed, None where nobody came to it.

    Args:
        trial: What came of a proposal.
        reward: What its figures are worth.
        teacher: Figures of what it is held against.
        iteration: See `Reward`.

    Raises:
        BadInput: If the reward is no number.
    """
    if trial.state == "skipped":
        return None
    if trial.state == "failed":
        return INVALID
    found = float(reward(trial.figures, teacher, iteration))
    if not math.isfinite(found):
        raise must("reward", f"trial {trial.number}", "a finite number", found, "Correct the function of the reward")
    return found


def _figure(figures: Mapping[str, float], name: str, of: str) -> float:
    """A figure that has to be there."""
    found = figures.get(name)
    if found is None or (name != "score" and not (0 <= found < math.inf and (of != "the teacher" or found > 0))):
        raise must(name, of, "known to the reward", found, _MEASURE)
    return found
