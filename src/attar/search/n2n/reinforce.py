"""REINFORCE: a policy makes actions more probable that were rewarded above a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from attar.errors import must
from attar.search.n2n.policy import Evaluated, Features, Mask, Policy, Rollouts

Baseline = Literal["others", "moving", "running", "critic", "none"]
"""What is taken from a reward, see `Reinforce`."""

Credit = Literal["own", "mean"]
"""Whose reward counts for a rollout, see `Reinforce`."""

_MEMORY = 0.9
"""Of the moving average, at each update."""

_CRITIC_WEIGHT = 0.5
"""Of the critic's squared error in the loss, as is usual in actor-critic methods."""


@dataclass(frozen=True, kw_only=True)
class Reinforce:
    r"""How a policy learns from rewards.

    The gradient of the expected reward is estimated by the mean over rollouts of
    :math:`\sum_t \nabla \log \pi(a_t) (R - b)`. No baseline that does not depend on the rollout's own
    actions changes what that is on average; it changes how far the estimate scatters. Only where each update has one
    rollout the first has no other than its own reward, and learns nothing.

    Attributes:
        rollouts: Sequences of actions for each update.
        learning_rate: Of Adam.
        baseline: What is taken from a reward. ``others``: the mean reward of the other rollouts of the update.
            ``moving``: a moving average over earlier updates; the mean of the others in the first. ``running``: the
            paper's, as its code has it: the sum of the mean rewards of all earlier updates divided by the number of
            updates with this one, so that it is 0 at first and too low for long. ``critic``: what the policy's critic
            expects at each layer, which learns beside it (actor-critic). ``none``: nothing.
        credit: Whose reward counts for a rollout: its ``own``, or the ``mean`` of all of the update, as the paper's
            code has it: the estimate is then a rollouts-th of the gradient, with more noise.
        entropy: Weight of the entropy of what the actions are drawn from, as a bonus: more keeps the policy trying.
            Of a policy whose actions follow each other it is the entropy along the actions that were drawn.
        step_per_rollout: Whether Adam steps once for each rollout, as in the paper's code, and not once an update.

    References:
        Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning*, 1992.
        Ashok, Rhinehart, Beainy, Kitani, *N2N Learning*, ICLR 2018, section 3.4.
        Kool, van Hoof, Welling, *Buy 4 REINFORCE Samples, Get a Baseline for Free!*, 2019 (the mean of the others).
    """

    rollouts: int = 5
    learning_rate: float = 0.003
    baseline: Baseline = "moving"
    credit: Credit = "own"
    entropy: float = 0.0
    step_per_rollout: bool = False

    def __post_init__(self) -> None:
        if self.rollouts < 1:
            raise must("rollouts", "N2N", "at least 1", self.rollouts, "The paper has 5")
        if not self.learning_rate > 0:
            raise must("learning_rate", "N2N", "greater than 0", self.learning_rate, "The paper has 0.003 and 0.01")
        if not self.entropy >= 0:
            raise must("entropy", "N2N", "at least 0", self.entropy, "Use 0 for no bonus")
        if self.baseline == "others" and self.rollouts < 2:
            raise must("rollouts", "N2N", "at least 2 for the baseline 'others'", 1, "Use 'moving'")
        if self.baseline == "others" and self.credit == "mean":
            remedy = "Use credit = 'own', or another baseline"
            raise must("credit", "N2N", "'own' with the baseline 'others', which would cancel it", "mean", remedy)


@dataclass(frozen=True, kw_only=True)
class Update:
    """What an update saw.

    Attributes:
        baseline: What was taken from the rewards, on average.
        entropy: Of what the actions were drawn from, summed over these, on average over rollouts, in nats.
    """

    baseline: float
    entropy: float


class Learner:
    """Teaches a policy by the rewards of its actions.

    Args:
        policy: Changed in place.
        settings: How it learns.
    """

    def __init__(self, policy: Policy, settings: Reinforce) -> None:
        self.policy, self.settings = policy, settings
        self.optimizer = torch.optim.Adam(policy.parameters(), lr=settings.learning_rate, fused=True)
        self.updates = 0
        self._total, self._moving = 0.0, 0.0

    def update(
        self,
        features: Features,
        mask: Mask,
        actions: Rollouts,
        rewards: Float64[Tensor, " rollouts"],
    ) -> Update:
        """Learn from some rollouts.

        Args:
            features: What the policy sees.
            mask: Which actions are free.
            actions: What was drawn from the policy as it is now.
            rewards: What that was worth.
        """
        settings = self.settings
        count = len(rewards)
        every = [slice(place, place + 1) for place in range(count)] if settings.step_per_rollout else [slice(count)]
        credited = rewards if settings.credit == "own" else rewards.mean().expand(count)
        baselines = self._baselines(rewards)
        seen: list[Evaluated] = []
        for chosen in every:
            evaluated = self.policy.evaluate(features, mask, actions[chosen])
            baseline = evaluated.values.detach() if settings.baseline == "critic" else baselines[chosen, None]
            loss = surrogate(evaluated, credited[chosen, None] - baseline, settings.entropy)
            if settings.baseline == "critic":
                loss = loss + _CRITIC_WEIGHT * critic_loss(evaluated, mask, credited[chosen])
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            seen.append(evaluated)
        average = float(rewards.mean())
        self._moving = average if self.updates == 0 else _MEMORY * self._moving + (1 - _MEMORY) * average
        self._total += average
        self.updates += 1
        if settings.baseline == "critic":
            baselines = torch.cat([one.values.detach() for one in seen])[:, mask]
        entropy = torch.cat([one.entropies.detach() for one in seen]).sum(-1).mean()
        return Update(baseline=float(baselines.mean()), entropy=float(entropy))

    def _baselines(self, rewards: Float64[Tensor, " rollouts"]) -> Float64[Tensor, " rollouts"]:
        """What is taken from each reward; of none but itself where it stands alone."""
        settings = self.settings
        if settings.baseline == "others" or (settings.baseline == "moving" and self.updates == 0):
            return others(rewards)
        known = {"moving": self._moving, "running": self._total / (self.updates + 1)}
        return torch.full_like(rewards, known.get(settings.baseline, 0.0))


def surrogate(
    evaluated: Evaluated, advantages: Float64[Tensor, "rollouts any"], entropy: float = 0.0
) -> Float64[Tensor, ""]:
    """A loss whose gradient is minus the estimate of REINFORCE, less the entropy bonus.

    Args:
        evaluated: What the policy thinks of the actions; ``[rollouts, actions]``.
        advantages: Reward less baseline, ``[rollouts, actions]`` or ``[rollouts, 1]``; no gradient flows here.
        entropy: Weight of the bonus.
    """
    gained = (evaluated.log_probs * advantages).sum(-1).mean()
    return -gained - entropy * evaluated.entropies.sum(-1).mean()


def critic_loss(evaluated: Evaluated, mask: Mask, rewards: Float64[Tensor, " rollouts"]) -> Float64[Tensor, ""]:
    """The critic's squared error, on average over free actions; 0 where there are none."""
    errors = (evaluated.values - rewards[:, None]).square() * mask
    return errors.sum() / (len(rewards) * mask.sum().clamp(min=1))


def others(rewards: Float64[Tensor, " rollouts"]) -> Float64[Tensor, " rollouts"]:
    """For each rollout the mean reward of the others; its own where there are none.

    Example:
        >>> others(torch.tensor([0.0, 3.0, 6.0], dtype=torch.float64))
        tensor([4.5000, 3.0000, 1.5000], dtype=torch.float64)
    """
    if len(rewards) == 1:
        return rewards
    return (rewards.sum() - rewards) / (len(rewards) - 1)
