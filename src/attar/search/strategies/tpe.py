"""Bayesian search by a tree-structured Parzen estimator, from Optuna."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from attar.deployment.quiet import quiet
from attar.errors import missing_extra, must, near
from attar.search.goal import Goal
from attar.search.proposal import Proposal, Trial
from attar.search.space import Choice, Dimension, IntRange, Space
from attar.search.strategies.history import check_counts, drawn, left, random_of, started, students_of

FIGURES = ("score", "quality_loss", "bytes", "latency", "memory", "macs", "parameters")
"""What a trial may be judged by."""

_ATTEMPTS = 20
"""Draws for each new proposal, before one is drawn at random."""

_HUGE = 1e9
"""Stands for a figure, or a share beyond a limit, that is not known or infinite, which Optuna refuses."""


@dataclass(frozen=True, kw_only=True)
class TPE:
    """Models where good and where other trials lie, and draws where the ratio is largest.

    Dimensions are modelled together; with several objectives each for itself, as Optuna does unless it is told.

    The study is made anew from the trials for each batch, so that it is a function of these. Within a batch what has
    been proposed counts as bad until it is known, which spreads the batch out. What breaks a limit counts less than
    all that keeps within, and the less the further it is beyond; so do proposals that were never trained for it. What
    failed is left out.

    Attributes:
        space: What is chosen from.
        goal: The limits, and what is preferred.
        trials: Trainings in all. What is beyond the budget takes none.
        startup: Trials that are drawn at random first.
        objectives: Figures for a front of trade-offs, ``score`` and any of what is counted; empty for what the goal
            prefers, alone.
        epochs: Of each training.
        batch: Proposals that are made at once.
        seed: Another seed, other draws.

    Raises:
        BadInput: If a number is below 1, or a figure is unknown.
        MissingExtra: If Optuna is not installed.

    References:
        Bergstra, Bardenet, Bengio, Kegl, *Algorithms for hyper-parameter optimization*, 2011, section 4. Watanabe,
        *Tree-structured Parzen estimator*, 2023. arXiv:2304.11127; several objectives as in Ozaki et al.,
        *Multiobjective tree-structured Parzen estimator*, 2022.
    """

    space: Space
    goal: Goal
    trials: int = 40
    startup: int = 10
    objectives: Sequence[str] = ()
    epochs: int = 1
    batch: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        counts = {"trials": self.trials, "startup": self.startup, "epochs": self.epochs, "batch": self.batch}
        check_counts("the strategy tpe", seed=self.seed, **counts)
        for name in self.objectives:
            if name not in FIGURES:
                raise must("objectives", "the strategy tpe", "figures that are known", name, near(name, FIGURES))
        _optuna()

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """Random networks first, then draws of the estimator, which follow from the seed and from all trials."""
        random, taken = random_of(self.seed, history), students_of(history)
        count = left(history, self.trials, self.batch)
        known = sorted((one for one in history if self._tells(one)), key=lambda one: one.number)
        if not started(known, self.startup):
            return drawn(self.space, random, taken, count, self.epochs)
        found: list[Proposal] = []
        with quiet("optuna"):
            ask = self._asking(known, int(random.integers(2**32)))
            for _ in range(count * _ATTEMPTS):
                if len(found) == count:
                    break
                proposal = self.space.proposal(ask(), epochs=self.epochs)
                if proposal.student not in taken:
                    taken.add(proposal.student)
                    found.append(proposal)
        return found + drawn(self.space, random, taken, count - len(found), self.epochs)

    def _tells(self, trial: Trial) -> bool:
        """Whether there is something to learn from a trial."""
        return trial.state in ("trained", "over_budget") and self.space.has(trial.proposal.choices)

    def _asking(self, known: Sequence[Trial], seed: int) -> Callable[[], dict[str, Any]]:
        """What draws choices, one after the other, after some trials."""
        optuna = _optuna()
        axes = {name: _Axis.of(optuna.distributions, one) for name, one in self.space.dimensions.items()}
        distributions = {name: axis.distribution for name, axis in axes.items()}
        study = optuna.create_study(
            directions=["minimize"] * max(1, len(self.objectives)),
            # Enough trials are known, also where Optuna would wait for more.
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=1),
        )
        values = _finite([self._values(trial) for trial in known])
        for trial, its in zip(known, values, strict=True):
            choices = trial.proposal.choices
            params = {name: axis.to(choices[name]) for name, axis in axes.items()}
            study.add_trial(
                optuna.trial.create_trial(
                    params=params, distributions=distributions, values=its, constraints=self._constraints(trial)
                )
            )

        def ask() -> dict[str, Any]:
            params = study.ask(fixed_distributions=distributions).params
            return {name: axis.back(params[name]) for name, axis in axes.items()}

        return ask

    def _values(self, trial: Trial) -> list[float | None]:
        """What is to be small; None where it is not known."""
        if not self.objectives:
            name = "score" if self.goal.prefer == "quality" else self.goal.prefer
            return [_to_minimize(trial, name)]
        return [_to_minimize(trial, name) for name in self.objectives]

    def _constraints(self, trial: Trial) -> dict[str, float]:
        """By which share each limit is broken, 0 within; a proposal that was never trained breaks one that is known."""
        limits = [one for one in self.goal.limits if trial.state == "trained" or one.what in trial.figures]
        found: dict[str, float] = {one.what: min(self.goal.excess(one, trial.figures), _HUGE) for one in limits}
        if trial.state == "over_budget" and not any(found.values()):
            found["budget"] = _HUGE
        return found


@dataclass(frozen=True)
class _Axis:
    """A dimension as Optuna has it.

    Attributes:
        distribution: From where its numbers are drawn.
        to: The number of a value.
        back: The value of a number.
    """

    distribution: Any
    to: Callable[[Any], Any]
    back: Callable[[Any], Any]

    @classmethod
    def of(cls, kinds: Any, dimension: Dimension) -> _Axis:
        """The axis of a dimension.

        Args:
            kinds: ``optuna.distributions``.
            dimension: Of a space.
        """
        if isinstance(dimension, Choice):
            numbers = {share: place for place, share in enumerate(map(dimension.share, dimension.values))}
            many = len(numbers)
            distribution = (
                kinds.IntDistribution(0, many - 1)
                if dimension.ordered
                else kinds.CategoricalDistribution(tuple(range(many)))
            )
            return cls(
                distribution, lambda value: numbers[dimension.share(value)], lambda place: dimension.values[place]
            )
        if isinstance(dimension, IntRange) and dimension.log and dimension.step > 1:  # which Optuna has not
            return cls(kinds.FloatDistribution(0.0, 1.0), dimension.share, dimension.at)
        if isinstance(dimension, IntRange):
            distribution = kinds.IntDistribution(dimension.low, dimension.last, dimension.log, dimension.step)
            return cls(distribution, int, int)
        return cls(kinds.FloatDistribution(dimension.low, dimension.high, dimension.log), float, float)


def _to_minimize(trial: Trial, name: str) -> float | None:
    """A figure of a trial, less of which is better."""
    found = trial.score if name == "score" else trial.figures.get(name)
    if found is None or not math.isfinite(found):
        return None
    return -found if name == "score" else found


def _finite(values: Sequence[Sequence[float | None]]) -> list[list[float]]:
    """What is not known, as the worst of all that is."""
    worst = [max((one for one in column if one is not None), default=0.0) for column in zip(*values, strict=True)]
    return [[worst[place] if one is None else one for place, one in enumerate(row)] for row in values]


def _optuna() -> Any:
    """The library, which is imported where it is used.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        with quiet("optuna"):
            import optuna
    except ModuleNotFoundError as error:
        raise missing_extra("optuna", "search", "The strategy tpe") from error
    return optuna
