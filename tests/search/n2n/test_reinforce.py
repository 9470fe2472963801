"""REINFORCE: its estimate against the exact gradient, what baselines are and do, and toys that are learned."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.search.n2n.policy import KEEP, Evaluated, Policy, RemovalPolicy, ShrinkagePolicy, generator
from attar.search.n2n.reinforce import Learner, Reinforce, others, surrogate

FEATURES = torch.eye(3, dtype=torch.float64)
MASK = torch.tensor([True, False, True])


class Tabular(nn.Module):
    """Logits of each layer's actions as they are: what is worked out by hand."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))

    def sample(self, features: Tensor, mask: Tensor, rollouts: int, generator: torch.Generator) -> Tensor:
        return torch.multinomial(self.logits.detach().softmax(-1), rollouts, replacement=True, generator=generator).T

    def evaluate(self, features: Tensor, mask: Tensor, actions: Tensor) -> Evaluated:
        log_probs = self.logits.log_softmax(-1)
        chosen = log_probs.expand(len(actions), -1, -1).gather(-1, actions[..., None]).squeeze(-1)
        entropies = -(log_probs.exp() * log_probs).sum(-1).expand(len(actions), -1)
        return Evaluated(chosen, entropies, torch.zeros_like(chosen))


def _policy(kind: str) -> RemovalPolicy | ShrinkagePolicy:
    """A small one with an opinion."""
    if kind == "removal":
        policy: RemovalPolicy | ShrinkagePolicy = RemovalPolicy(3, hidden=4)
    else:
        policy = ShrinkagePolicy(3, (0.25, 0.5, 1.0), hidden=4)
    with torch.no_grad():
        for weights in policy.parameters():
            weights.mul_(3)
    return policy


def _every_action(policy: RemovalPolicy | ShrinkagePolicy) -> Tensor:
    choices, unchanged = (2, KEEP) if isinstance(policy, RemovalPolicy) else (3, 0)
    free = [range(choices) if one else [unchanged] for one in MASK.tolist()]
    return torch.tensor(list(itertools.product(*free)))


def _rewards(actions: Tensor) -> Tensor:
    """Any function of all actions together, far from 0."""
    return 2 + torch.sin(actions.double() @ torch.tensor([1.0, 0.5, 3.0], dtype=torch.float64))


def _gradient(policy: nn.Module, loss: Tensor) -> Tensor:
    found = torch.autograd.grad(loss, list(policy.parameters()), allow_unused=True)
    return torch.cat([torch.zeros(0) if one is None else one.reshape(-1) for one in found])


def _moments(policy: Any, estimate: Callable[[Evaluated, Tensor], Tensor]) -> tuple[Tensor, float, Tensor]:
    """Mean and total variance of an estimate over all pairs of rollouts, by their probability; the exact gradient."""
    every = _every_action(policy)
    probable = policy.evaluate(FEATURES, MASK, every).log_probs.sum(-1).exp()
    exact = _gradient(policy, (probable * _rewards(every)).sum())
    mean, square = torch.zeros_like(exact), 0.0
    for one, other in itertools.product(range(len(every)), repeat=2):
        actions = every[[one, other]]
        weight = float(probable[one].detach() * probable[other].detach())
        found = -_gradient(policy, estimate(policy.evaluate(FEATURES, MASK, actions), _rewards(actions)))
        mean, square = mean + weight * found, square + weight * float(found.square().sum())
    return mean, square - float(mean.square().sum()), exact


def _without(evaluated: Evaluated, rewards: Tensor) -> Tensor:
    return surrogate(evaluated, rewards[:, None])


def _constant(evaluated: Evaluated, rewards: Tensor) -> Tensor:
    return surrogate(evaluated, rewards[:, None] - 2)


def _others(evaluated: Evaluated, rewards: Tensor) -> Tensor:
    return surrogate(evaluated, (rewards - others(rewards))[:, None])


def _critic(evaluated: Evaluated, rewards: Tensor) -> Tensor:
    return surrogate(evaluated, rewards[:, None] - evaluated.values.detach())


def _mean_reward(evaluated: Evaluated, rewards: Tensor) -> Tensor:
    return surrogate(evaluated, rewards.mean().expand(2)[:, None] - 2)


@pytest.mark.parametrize("kind", ["removal", "shrinkage"])
@pytest.mark.parametrize("estimate", [_without, _constant, _others, _critic])
def test_estimate_is_the_exact_gradient_on_average(kind: str, estimate: Callable[..., Tensor]) -> None:
    mean, _, exact = _moments(_policy(kind), estimate)
    assert float(exact.norm()) > 0.01
    torch.testing.assert_close(mean, exact)


def test_with_the_mean_reward_for_all_the_estimate_is_a_share_of_the_gradient() -> None:
    mean, _, exact = _moments(_policy("removal"), _mean_reward)
    torch.testing.assert_close(mean, exact / 2)


@pytest.mark.parametrize("kind", ["removal", "shrinkage"])
def test_a_baseline_takes_scatter_out_of_rewards_that_are_far_from_0(kind: str) -> None:
    policy = _policy(kind)
    scatter = {one.__name__: _moments(policy, one)[1] for one in (_without, _constant, _others)}
    assert scatter["_constant"] < scatter["_without"] / 3
    assert scatter["_others"] < scatter["_without"] / 2


def test_estimate_worked_out_by_hand() -> None:
    # Two equal logits, rewards 1 and 0 for the two actions, both drawn once: the mean of the others takes 0 from the
    # one and 1 from the other, so that the estimate is half of 1 * (1/2, -1/2) and of -1 * (-1/2, 1/2).
    policy = Tabular([[0.0, 0.0]])
    rewards = torch.tensor([1.0, 0.0], dtype=torch.float64)
    evaluated = policy.evaluate(torch.zeros(1, 1), torch.tensor([True]), torch.tensor([[0], [1]]))
    (-surrogate(evaluated, (rewards - others(rewards))[:, None])).backward()
    assert policy.logits.grad is not None
    assert policy.logits.grad.tolist() == [[0.5, -0.5]]


def _learn(learner: Learner, rewards: list[list[float]]) -> list[float]:
    """The baselines of some updates."""
    found = []
    for given in rewards:
        actions = torch.full((len(given), 3), KEEP)
        found.append(learner.update(FEATURES, MASK, actions, torch.tensor(given, dtype=torch.float64)).baseline)
    return found


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("none", [0, 0, 0]),
        ("running", [0, 2 / 2, (2 + 4) / 3]),  # means 2, 4, 6: what was before, divided by one more
        ("moving", [2, 2, 0.9 * 2 + 0.1 * 4]),
        ("others", [2, 4, 6]),
    ],
)
def test_baselines_worked_out_by_hand(baseline: Any, expected: list[float]) -> None:
    learner = Learner(_policy("removal"), Reinforce(baseline=baseline))
    assert _learn(learner, [[1, 3], [2, 6], [6, 6]]) == pytest.approx(expected)


def test_a_rollout_alone_teaches_nothing_where_it_is_held_against_others() -> None:
    policy = _policy("removal")
    before = [weights.clone() for weights in policy.parameters()]
    _learn(Learner(policy, Reinforce(baseline="others")), [[5.0]])
    assert all(torch.equal(one, now) for one, now in zip(before, policy.parameters(), strict=True))


def test_adam_steps_once_an_update_or_once_a_rollout() -> None:
    for each, steps in ((False, 1), (True, 2)):
        learner = Learner(_policy("removal"), Reinforce(baseline="none", step_per_rollout=each))
        _learn(learner, [[1.0, 2.0]])
        (state,) = {int(one["step"]) for one in learner.optimizer.state.values()}
        assert state == steps


def test_entropy_bonus_alone_makes_everything_equally_probable() -> None:
    policy = Tabular([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    learner = Learner(policy, Reinforce(baseline="others", entropy=0.5, learning_rate=0.1))
    mask = torch.ones(3, dtype=torch.bool)
    for _ in range(80):
        seen = learner.update(FEATURES, mask, torch.zeros(2, 3, dtype=torch.int64), torch.ones(2).double())
    assert seen.entropy == pytest.approx(3 * math.log(2), abs=0.01)


def _bandit(policy: Policy, settings: Reinforce, updates: int, seed: int = 0) -> Learner:
    """Three layers, of which the first is needed and the last is useless; the middle one is not to be touched."""
    learner = Learner(policy, settings)
    for update in range(updates):
        actions = policy.sample(FEATURES, MASK, settings.rollouts, generator(seed, update))
        needed, useless = actions[:, 0] != 0, actions[:, 2] != 0
        rewards = needed.double() * (1 - 0.4 * useless.double())
        learner.update(FEATURES, MASK, actions, rewards)
    return learner


def _probability(policy: Policy, first: int, last: int) -> float:
    unchanged = KEEP if isinstance(policy, RemovalPolicy) else 0
    actions = torch.tensor([[first, unchanged, last]])
    return float(policy.evaluate(FEATURES, MASK, actions).log_probs.detach().sum().exp())


@pytest.mark.parametrize(
    "settings",
    [
        {"baseline": "others"},
        {"baseline": "moving"},
        {"baseline": "running"},
        {"baseline": "none"},
        {"baseline": "critic"},
        {"baseline": "others", "entropy": 0.01},
    ],
)
def test_a_bandit_of_two_layers_is_learned(settings: Any) -> None:
    policy = RemovalPolicy(3, hidden=8)
    assert _probability(policy, KEEP, 0) < 0.35
    _bandit(policy, Reinforce(learning_rate=0.05, **settings), 60)
    assert _probability(policy, KEEP, 0) > 0.85


def test_shares_are_learned() -> None:
    policy = ShrinkagePolicy(3, (0.25, 1.0), hidden=8)
    _bandit(policy, Reinforce(learning_rate=0.05), 60)
    assert _probability(policy, 1, 0) > 0.85


def test_the_same_seed_learns_the_same_on_any_number_of_threads() -> None:
    weights, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            policy = RemovalPolicy(3, hidden=8)
            _bandit(policy, Reinforce(), 10)
            weights.append(torch.cat([one.detach().reshape(-1) for one in policy.parameters()]))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*weights, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rollouts": 0}, "rollouts of N2N must be at least 1; got 0"),
        ({"rollouts": 1, "baseline": "others"}, "rollouts of N2N must be at least 2 for the baseline 'others'; got 1"),
        ({"learning_rate": 0.0}, "learning_rate of N2N must be greater than 0; got 0.0"),
        ({"entropy": -1.0}, "entropy of N2N must be at least 0; got -1.0"),
        (
            {"credit": "mean", "baseline": "others"},
            "credit of N2N must be 'own' with the baseline 'others', which would cancel it",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Reinforce(**settings)
