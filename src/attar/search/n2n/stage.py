"""One stage of N2N: a policy draws networks, is told what they are worth, and draws better ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from attar.network.spec import Spec
from attar.search.n2n.actions import Actions
from attar.search.n2n.layers import Invalid
from attar.search.n2n.policy import RemovalPolicy, ShrinkagePolicy, generator
from attar.search.n2n.reinforce import Learner, Reinforce
from attar.search.proposal import Proposal, Trial
from attar.search.reward import INVALID, Reward, reward_of
from attar.search.strategies.history import trained

Propose = Callable[[Spec, Mapping[str, Any]], Proposal]
"""From a network and what was chosen for it to what is tried."""


SeenAs = Callable[[Trial], Trial]
"""From a trial to the one by whose figures it is judged."""

Ended = Literal["nothing", "trainings", "updates"]
"""What a stage ended by: nothing of the network was free, its trainings were spent, or its updates and what the policy
drew after them."""

_ROUNDS, _AT_ONCE = 10, 32
"""After the updates: how often networks are drawn at most, and how many at once."""


class Stage:
    """Iterations of drawing, trying and learning.

    Everything follows from the arguments and from the trials of what was drawn: it is kept as it goes on, and made anew
    by going through the same trials.

    Args:
        policy: Draws actions; changed in place.
        settings: How it learns.
        actions: What its actions mean.
        propose: What is tried.
        reward: What a trial is worth.
        teacher: Figures of what it is held against.
        size: Parameters of the first teacher, over which compression is counted.
        iterations: Updates at most.
        trials: Trainings at most; what is beyond the budget takes none.
        seen_as: By whose figures a trial is judged; its own if left out.
        spends_all: Whether trainings that are left when the updates are over are spent on networks that the policy
            draws then and nobody has tried. It does not learn from them.
        seed: Of what is drawn.
    """

    def __init__(
        self,
        policy: RemovalPolicy | ShrinkagePolicy,
        settings: Reinforce,
        *,
        actions: Actions,
        propose: Propose,
        reward: Reward,
        teacher: Mapping[str, float],
        size: float | None,
        iterations: int,
        trials: int,
        spends_all: bool,
        seed: int,
        seen_as: SeenAs = lambda trial: trial,
    ) -> None:
        self.policy, self.settings = policy, settings
        self.actions, self.propose = actions, propose
        self.reward, self.teacher, self.size = reward, teacher, size
        self.iterations, self.trials, self.seed = iterations, trials, seed
        self.spends_all, self.seen_as = spends_all, seen_as
        self.records: list[dict[str, Any]] = []
        self._used: dict[str, tuple[str, Mapping[str, float]]] = {}
        self._learner = Learner(policy, settings)
        self._tried: dict[tuple[int, ...], Proposal | Invalid] = {}
        self._rollouts: Int64[Tensor, "rollouts actions"] | None = None
        self._rounds = 0
        self.ended: Ended | None = None if bool(actions.mask.any()) else "nothing"

    def advance(self, known: Mapping[str, Trial]) -> list[Proposal]:
        """Learn from what is known by now, until something has to be tried that is not.

        Args:
            known: Trials by the keys of their proposals.

        Returns:
            What has to be tried; nothing when the stage is over.
        """
        while self.ended is None:
            over = len(self.records) == self.iterations
            if self._rollouts is None:
                random = generator(self.seed, self.policy.kind, len(self.records) + self._rounds)
                count = _AT_ONCE if over else self.settings.rollouts
                self._rollouts = self.policy.sample(self.actions.features, self.actions.mask, count, random)
            drawn = [self._proposal(rollout) for rollout in self._rollouts]
            new = {one.key: one for one in drawn if isinstance(one, Proposal) and one.key not in known}
            left = self.trials - self.trained(known)
            if new and left > 0:
                return list(new.values())[:left]
            self._used |= {
                one.key: _result(known[one.key]) for one in drawn if isinstance(one, Proposal) and one.key in known
            }
            if over:
                self._rounds += 1
            elif not new:
                self._learn(self._rollouts, drawn, known)
            self._rollouts = None
            if new or (left <= 0 and len(self.records) == self.iterations):
                self.ended = "trainings"
            elif len(self.records) == self.iterations and (not self.spends_all or self._rounds == _ROUNDS):
                self.ended = "updates"
        return []

    def trained(self, known: Mapping[str, Trial]) -> int:
        """How many trainings were spent on what was drawn so far; those that failed count."""
        return trained(known[key] for key in self._keys() if key in known)

    def best(self, known: Mapping[str, Trial]) -> Trial | None:
        """The trained trial of the highest reward, as it is after the last iteration; the first of equals.

        Where constraints make all alike it is the highest reward of the first iteration, which forgives most.
        """

        def worth(trial: Trial) -> tuple[float, ...]:
            return tuple(self._worth(trial, at) or 0.0 for at in (self.iterations, 0))

        trials = (known[key] for key in self._keys() if key in known)
        return max((trial for trial in trials if trial.score is not None), key=worth, default=None)

    def contradicted(self, known: Mapping[str, Trial]) -> bool:
        """Whether trials that decided something are no longer so."""
        return any(key not in known or _result(known[key]) != used for key, used in self._used.items())

    def _keys(self) -> dict[str, None]:
        """Keys of all that was drawn, in order."""
        return {one.key: None for one in self._tried.values() if isinstance(one, Proposal)}

    def _proposal(self, rollout: Int64[Tensor, " actions"]) -> Proposal | Invalid:
        """What actions come to, found once."""
        place = tuple(rollout.tolist())
        if place not in self._tried:
            spec = self.actions.student(rollout)
            choices = self.actions.choices(rollout)
            self._tried[place] = spec if isinstance(spec, Invalid) else self.propose(spec, choices)
        return self._tried[place]

    def _learn(
        self,
        rollouts: Int64[Tensor, "rollouts actions"],
        drawn: Sequence[Proposal | Invalid],
        known: Mapping[str, Trial],
    ) -> None:
        """Tell the policy what its actions were worth, and keep a record of it."""
        iteration = len(self.records)
        trials = [known[one.key] if isinstance(one, Proposal) else None for one in drawn]
        rewards = [INVALID if trial is None else self._worth(trial, iteration) for trial in trials]
        record: dict[str, Any] = {
            "stage": self.policy.kind,
            "iteration": iteration,
            "rewards": rewards,
            "keys": [one.key if isinstance(one, Proposal) else None for one in drawn],
            "compression": [self._compression(trial) for trial in trials],
            "trained": self.trained(known),
            "invalid": [one.reason for one in drawn if isinstance(one, Invalid)],
            "mean": None,
            "baseline": None,
            "entropy": None,
        }
        # Nobody came to the others before the time was over.
        rows = [place for place, reward in enumerate(rewards) if reward is not None]
        if rows:
            found = torch.tensor([rewards[row] for row in rows], dtype=torch.float64)
            update = self._learner.update(self.actions.features, self.actions.mask, rollouts[rows], found)
            record |= {"mean": float(found.mean()), "baseline": update.baseline, "entropy": update.entropy}
        self.records.append(record)

    def _worth(self, trial: Trial, iteration: int) -> float | None:
        """The reward of a trial; None where nobody came to it."""
        return reward_of(self.seen_as(trial), self.reward, self.teacher, iteration)

    def _compression(self, trial: Trial | None) -> float | None:
        """How many times fewer parameters a trial has than the first teacher; None where it is not known."""
        parameters = None if trial is None else trial.figures.get("parameters")
        return self.size / parameters if self.size and parameters else None


def _result(trial: Trial) -> tuple[str, Mapping[str, float]]:
    """What a policy learns from a trial."""
    return trial.state, trial.figures
