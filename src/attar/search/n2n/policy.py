"""Policies over the layers of a network: which ones stay, and how much narrower each becomes.

Shapes: ``rollouts`` sequences of ``actions`` actions each are drawn at once. A layer has one action, or several in a
row where several of its sizes are chosen, and each action a row of features. A mask says which actions are free; the
others change nothing, and are no part of a probability. Policies count in float64: what a search decides must not hang
on the last bit of a sum, which depends on threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from attar.errors import CorruptFile, must
from attar.network.weights import must_fit, read_tensors, write_tensors

KEEP = 1
"""The action of `RemovalPolicy` by which a layer stays; 0 removes it."""

MULTIPLIERS = (0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares that a layer may keep of its outputs; 0.5 stands there five times, and is drawn most often at first."""

_LARGEST = 1e6
"""Weights of a policy that was taught are a thousand times smaller at least; with much larger ones it cannot draw."""


Features = Float64[Tensor, "actions features"]
"""What a policy sees, a row for each action."""

Mask = Bool[Tensor, " actions"]
"""Which actions are free."""

Rollouts = Int64[Tensor, "rollouts actions"]
"""Actions that were drawn."""

PerAction = Float64[Tensor, "rollouts actions"]
"""A number for each of them."""


@dataclass(frozen=True)
class Evaluated:
    """What a policy thinks of actions.

    Attributes:
        log_probs: Of each action, given those before it; 0 where the mask is off.
        entropies: Of what each action was drawn from, in nats; 0 where the mask is off.
        values: The reward that the critic expects when it comes to each action, without knowing that action.
    """

    log_probs: PerAction
    entropies: PerAction
    values: PerAction


@runtime_checkable
class Policy(Protocol):
    """Draws actions, and says how probable actions were."""

    def sample(self, features: Features, mask: Mask, rollouts: int, generator: torch.Generator) -> Rollouts:
        """Draw actions; where the mask is off, the one that changes nothing."""
        ...

    def evaluate(self, features: Features, mask: Mask, actions: Rollouts) -> Evaluated:
        """What the policy thinks of actions; gradients flow into it."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is learned."""
        ...


class RemovalPolicy(nn.Module):
    """Keeps or removes each layer: a bidirectional LSTM reads all of them, and all actions are drawn at once.

    Args:
        features: Numbers by which a layer is described.
        hidden: Units of the LSTM in each direction.
        depth: Its layers.
        bound: Between minus and plus which all logits are, see `bounded`; None for no bound.
        seed: Of its first weights.

    References:
        Ashok, Rhinehart, Beainy, Kitani, *N2N Learning*, ICLR 2018, section 3.2.
    """

    kind = "removal"

    def __init__(
        self, features: int, *, hidden: int = 30, depth: int = 2, bound: float | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.bound = bound
        with _weights_of(self.kind, seed):
            self.lstm = nn.LSTM(features, hidden, depth, bidirectional=True, dtype=torch.float64)
            self.actor = nn.Linear(2 * hidden, 2, dtype=torch.float64)
            self.critic = nn.Linear(2 * hidden, 1, dtype=torch.float64)

    def sample(self, features: Features, mask: Mask, rollouts: int, generator: torch.Generator) -> Rollouts:
        """Draw actions, `KEEP` where the mask is off; see `Policy.sample`."""
        with torch.no_grad():
            probabilities = bounded(self.actor(self.lstm(features)[0]), self.bound).softmax(-1)
        drawn = torch.multinomial(probabilities, rollouts, replacement=True, generator=generator)
        return drawn.T.where(mask, KEEP)

    def evaluate(self, features: Features, mask: Mask, actions: Rollouts) -> Evaluated:
        """What the policy thinks of actions; see `Policy.evaluate`."""
        read, _ = self.lstm(features)
        logits, values = bounded(self.actor(read), self.bound), self.critic(read).squeeze(-1)
        return _evaluated(logits.expand(len(actions), -1, -1), values.expand(len(actions), -1), mask, actions)


class ShrinkagePolicy(nn.Module):
    """Draws which share of a size each layer keeps, one after the other, knowing the share before.

    Args:
        features: Numbers by which a layer and its size are described.
        multipliers: The shares to draw from; actions are places in it.
        hidden: Units of the LSTM.
        depth: Its layers.
        bound: Between minus and plus which all logits are, see `bounded`; None for no bound.
        seed: Of its first weights.

    Raises:
        BadInput: If shares are not above 0 and at most 1.

    References:
        Ashok, Rhinehart, Beainy, Kitani, *N2N Learning*, ICLR 2018, section 3.2. The paper shrinks kernels, strides and
        paddings as well, by an action for each.
    """

    kind = "shrinkage"
    multipliers: Tensor

    def __init__(
        self,
        features: int,
        multipliers: Sequence[float] = MULTIPLIERS,
        *,
        hidden: int = 30,
        depth: int = 2,
        bound: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_multipliers(multipliers)
        self.bound = bound
        with _weights_of(self.kind, seed):
            self.lstm = nn.LSTM(features + 1, hidden, depth, batch_first=True, dtype=torch.float64)
            self.actor = nn.Linear(hidden, len(multipliers), dtype=torch.float64)
            self.critic = nn.Linear(hidden, 1, dtype=torch.float64)
        self.register_buffer("multipliers", torch.tensor(list(multipliers), dtype=torch.float64))

    def shares(self, mask: Mask, actions: Rollouts) -> PerAction:
        """The share that stays by each action: all of it where the mask is off."""
        return self.multipliers[actions].where(mask, 1.0)

    def sample(self, features: Features, mask: Mask, rollouts: int, generator: torch.Generator) -> Rollouts:
        """Draw actions, 0 where the mask is off; see `Policy.sample`."""
        drawn, before, state = [], torch.ones(rollouts, 1, dtype=torch.float64), None
        with torch.no_grad():
            for described, free in zip(features, mask, strict=True):
                inputs = torch.cat([described.expand(rollouts, -1), before], -1)
                read, state = self.lstm(inputs[:, None], state)
                probabilities = bounded(self.actor(read[:, 0]), self.bound).softmax(-1)
                action = torch.multinomial(probabilities, 1, generator=generator).where(free, 0)
                drawn.append(action)
                before = self.shares(free[None], action)
        return torch.cat(drawn, -1)

    def evaluate(self, features: Features, mask: Mask, actions: Rollouts) -> Evaluated:
        """What the policy thinks of actions; see `Policy.evaluate`."""
        shares = self.shares(mask, actions)
        before = torch.cat([torch.ones_like(shares[:, :1]), shares[:, :-1]], -1)
        inputs = torch.cat([features.expand(len(actions), -1, -1), before[..., None]], -1)
        read, _ = self.lstm(inputs)
        logits, values = bounded(self.actor(read), self.bound), self.critic(read).squeeze(-1)
        return _evaluated(logits, values, mask, actions)


def bounded(logits: Float64[Tensor, "*shape"], bound: float | None) -> Float64[Tensor, "*shape"]:
    r"""Logits :math:`c \tanh(z / c)`: none is beyond the bound c, so that no action is ever sure, or out of reach.

    Args:
        logits: As the network gives them.
        bound: Above 0; None leaves them as they are.

    References:
        Bello, Pham, Le, Norouzi, Bengio, *Neural Combinatorial Optimization with Reinforcement Learning*, 2016,
        appendix A.2. arXiv:1611.09940
    """
    return logits if bound is None else bound * torch.tanh(logits / bound)


def _evaluated(
    logits: Float64[Tensor, "rollouts actions choices"], values: PerAction, mask: Mask, actions: Rollouts
) -> Evaluated:
    log_probs = logits.log_softmax(-1)
    chosen = log_probs.gather(-1, actions[..., None]).squeeze(-1)
    entropies = -(log_probs.exp() * log_probs).sum(-1)
    return Evaluated(chosen.where(mask, 0.0), entropies.where(mask, 0.0), values)


def check_multipliers(multipliers: Sequence[float]) -> None:
    """See that multipliers are shares.

    Raises:
        BadInput: If they are not.
    """
    if not multipliers or not all(0 < share <= 1 for share in multipliers):
        rule = "numbers greater than 0 and at most 1, one of them at least"
        raise must("multipliers", "N2N", rule, list(multipliers), "Give the shares that a layer may keep")


def generator(*names: object) -> torch.Generator:
    """Random numbers that follow from names alone, such as a seed and the number of an iteration."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


@contextmanager
def _weights_of(kind: str, seed: int) -> Iterator[None]:
    """First weights follow from a seed, and the random numbers of others stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator(kind, seed).initial_seed())
        yield


def save_policy(policy: RemovalPolicy | ShrinkagePolicy, path: Path) -> None:
    """Write a policy as safetensors, whole or not at all."""
    write_tensors(policy.state_dict(), path, {"policy": policy.kind})


def load_policy(policy: RemovalPolicy | ShrinkagePolicy, path: Path) -> None:
    """Fill a policy with what one learned, perhaps on another network with another number of layers.

    Args:
        policy: Made with the settings of the one that was saved; changed in place.
        path: What `save_policy` wrote.

    Raises:
        BadInput: If it is no policy of this kind, or has other settings.
        CorruptFile: If it is damaged.
    """
    remedy = "Leave it out to begin with a new policy."
    tensors, about = read_tensors(path, remedy)
    if about.get("policy") != policy.kind:
        rule = f"that of the stage of {policy.kind}"
        raise must("policy", str(path), rule, about.get("policy"), "Give that stage's file, or leave it out")
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float64 or not bool((tensor.abs() <= _LARGEST).all()):
            raise CorruptFile(f"{name} in {path} has numbers that no policy has. {remedy}")
    shares = getattr(policy, "multipliers", None)
    saved = tensors.get("multipliers")
    if shares is not None and saved is not None and not torch.equal(shares, saved):
        raise must("multipliers", str(path), f"those of the search, {shares.tolist()}", saved.tolist(), "Give the same")
    must_fit(policy.state_dict(), tensors, path, "Give the hidden units and the depth of the policy that was saved")
    policy.load_state_dict(tensors)
