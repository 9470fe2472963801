"""Successive halving: many trainings begin, and the best of them go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from attar.errors import must
from attar.search.goal import Goal
from attar.search.proposal import Proposal, Trial
from attar.search.space import Space
from attar.search.strategies.history import FREE, check_counts, drawn, random_of, students_of, trained


@dataclass(frozen=True)
class Rung:
    """Networks that are trained for as long.

    Attributes:
        networks: How many.
        epochs: Of each there: by so many it has been trained for longer than on the rung below.
        total: Epochs of each in all, when the rung is done.
    """

    networks: int
    epochs: int
    total: int


def rungs_of(
    trials: int, epochs: int, *, eta: int = 3, rungs: int | None = None, most: int | None = None
) -> list[Rung]:
    """The rungs of a halving in which nothing fails.

    Args:
        trials: As `Halving` has them, like the others.
        epochs: Of the first rung.
        eta: One of so many goes on, for so many times as many epochs in all.
        rungs: At most.
        most: Epochs of a network in all; the rung that comes to them is the last.

    Example:
        >>> [(one.networks, one.epochs, one.total) for one in rungs_of(27, 4, most=40)]
        [(27, 4, 4), (9, 8, 12), (3, 24, 36), (1, 4, 40)]
    """
    found = [Rung(trials, epochs, epochs)]
    while (rungs is None or len(found) < rungs) and (below := found[-1]).networks > 1:
        total = below.total * eta if most is None else min(below.total * eta, most)
        if total <= below.total:
            break
        found.append(Rung(max(1, below.networks // eta), total - below.total, total))
    return found


@dataclass(frozen=True, kw_only=True)
class Halving:
    """Trains many networks for a little; of each rung the best go on, from their own weights, to so many times more.

    A network of rung k (from 0) has been trained for ``epochs * eta**k`` epochs in all when the rung is done. With 27
    trials, eta 3 and 1 epoch: 27 networks for 1 epoch, 9 of these for 2 more, 3 for 6 more, and 1 for 18 more. None is
    trained for longer than ``most`` epochs in all.

    Attributes:
        space: What the networks of the first rung are drawn from.
        goal: Which are the best.
        trials: Trainings of the first rung. What is beyond the budget takes none, and others are drawn for it.
        eta: One of so many goes on, at least one; and for how many times as many epochs, in all.
        epochs: Of the first rung.
        rungs: At most; None until one network is left.
        most: Epochs of a network in all, at most, such as those of the training that the best one gets afterwards; None
            for as many as the rungs have.
        seed: Another seed, other draws.

    Raises:
        BadInput: If a number is out of its range.

    References:
        Jamieson, Talwalkar, *Non-stochastic best arm identification and hyperparameter optimization*, 2016, figure 2.
        arXiv:1502.07943; with an eta as in Li et al., *Hyperband*, 2018, section 2.2. arXiv:1603.06560
    """

    space: Space
    goal: Goal
    trials: int = 27
    eta: int = 3
    epochs: int = 1
    rungs: int | None = None
    most: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        given = {"rungs": self.rungs, "most": self.most}
        counts = {name: 1 if count is None else count for name, count in given.items()}
        check_counts("the strategy halving", seed=self.seed, trials=self.trials, epochs=self.epochs, **counts)
        if self.eta < 2:
            raise must("eta", "the strategy halving", "at least 2", self.eta, "Of 3, every third network goes on")

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """What is missing of the lowest rung that is not done."""
        rung = [trial for trial in history if trial.proposal.start is None]
        missing = self.trials - trained(rung)
        if missing > 0 and len(rung) < FREE * self.trials:
            new = drawn(self.space, random_of(self.seed, history), students_of(history), missing, self.epochs)
            if new:
                return new
        for above in self._rungs[1:]:
            finished = [trial for trial in rung if trial.score is not None]
            if len(finished) < 2:
                break
            best = sorted(finished, key=lambda trial: (*self.goal.rank(trial), trial.number))
            promoted = [trial.proposal for trial in best[: max(1, len(finished) // self.eta)]]
            started = {trial.proposal.start for trial in history}
            waiting = [
                self.space.proposal(one.choices, epochs=above.epochs, start=one.key)
                for one in promoted
                if one.key not in started
            ]
            if waiting:
                return waiting
            keys = {one.key for one in promoted}
            rung = [trial for trial in history if trial.proposal.start in keys]
        return []

    @cached_property
    def _rungs(self) -> list[Rung]:
        """The rungs that there are, if nothing fails."""
        return rungs_of(self.trials, self.epochs, eta=self.eta, rungs=self.rungs, most=self.most)
