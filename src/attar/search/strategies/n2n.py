"""N2N: a policy removes layers of the teacher's network, then another one makes those that stay narrower."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from attar.errors import BadInput, must
from attar.network.defaults import with_library_defaults
from attar.network.spec import Spec
from attar.search.goal import Goal
from attar.search.n2n.actions import Actions, Removal, Shrinkage, Shrunk
from attar.search.n2n.describe import describe
from attar.search.n2n.layers import FEATURES, WEIGHTLESS, Layers
from attar.search.n2n.policy import MULTIPLIERS, RemovalPolicy, ShrinkagePolicy, load_policy, save_policy
from attar.search.n2n.reinforce import Baseline, Credit, Reinforce
from attar.search.n2n.shrunk import shrunk_share
from attar.search.n2n.stage import Stage
from attar.search.proposal import Proposal, Trial
from attar.search.reward import CompressionReward, Reward, SizeFigure
from attar.search.strategies.history import check_counts
from attar.workspace import digest_of

StageName = Literal["removal", "shrinkage"]
"""The stages that there are."""

_DEFAULT = "Leave it out for its default"


@dataclass(frozen=True, kw_only=True)
class N2N:
    """Removes layers of a network, then shrinks what stays of it, each by a policy that learns from rewards.

    The policy of the first stage draws which layers stay. The student of its trial with the highest reward is what the
    second stage begins with: its policy draws which share of its outputs each layer keeps. Where the first has no such
    student the second begins with the same network. A network that was drawn before is not tried again: its reward is
    known. Actions that lead to no network have the reward -1.

    Attributes:
        layers: The network to begin with, the teacher's as a rule.
        teacher: What the teacher takes and its score, by name, as a trial's figures; what the reward needs of these.
            Its parameters are those of ``layers`` where they are not there.
        goal: The budget, whose limits are constraints of the reward; None for none. What the first of two stages leaves
            is still to be shrunk: it is trained however large it is, and where the budget has a limit of what may be
            used it is judged by what it would take then, see `attar.search.n2n.shrunk.shrunk_share`. So the second
            begins with what it can bring within the budget.
        reward: What a trial is worth; any function of its figures, the teacher's, and the number of updates so far.
            None for `CompressionReward`.
        size: What counts as the size in that reward.
        quality_power: How much what is kept of the quality counts in it; the paper has 1.
        constrained: Whether the budget is a part of it.
        stages: Which, in order.
        iterations: Updates of a policy in each stage, at most.
        trials: Trainings in all; each stage may have an equal share of those that are left. What is beyond the budget
            takes none. Those that the updates of the last stage leave go to networks that its policy draws after them.
        relative_to: What rewards of the second stage are held against: the ``teacher``, or the ``student`` of the first
            stage, as in the paper's code.
        epochs: Of each training; the paper has 5.
        inherit: Whether students begin with the weights of what they come from, as far as they fit; in the paper they
            are new.
        steps: What is done after the training, as in a recipe.
        removal_rate: Learning rate of the first stage's policy. The paper's 0.003 needs the hundreds of updates that it
            has: where many layers can go the trainings are spent before such a policy has learned anything. Where few
            can, most of what is drawn is known, so that updates are many and it is soon sure of what was good first:
            there 0.005, with an ``entropy`` of 0.02, keeps it trying.
        shrinkage_rate: Learning rate of the second stage's policy; the paper has 0.01.
        rollouts: Networks that are drawn for each update.
        baseline: What is taken from a reward, see `attar.search.n2n.reinforce.Reinforce`.
        credit: Whose reward counts for a rollout, see there.
        entropy: Weight of the entropy bonus, see there.
        step_per_rollout: Whether each rollout is a step of Adam, see there.
        blocks: Whether normalization, activation and dropout are removed with the layer before them, or each by an
            action of its own, as in the paper's code: most of what is then drawn has layers that nothing normalizes.
        sizes: What of a layer gets smaller in the second stage. The ``kernels``, as in the paper, are those of
            convolutions outside of branches.
        multipliers: Shares of a size from which the one that stays is drawn.
        hidden: Units of the policies' LSTMs.
        depth: Layers of the policies' LSTMs.
        bound: Of the policies' logits, see `attar.search.n2n.policy.bounded`; 0 for none, as in the paper. Without one
            a policy is soon sure of what was good at first and draws only that.
        policy: Folder with policies to begin with, which `save` wrote for this network or another one; None for new
            ones. A stage whose policy is not there begins with a new one.
        seed: Another seed, other policies and other draws.

    Raises:
        BadInput: If nothing can be removed or shrunk, the policies do not fit, or a number is out of its range.

    References:
        Ashok, Rhinehart, Beainy, Kitani, *N2N Learning: Network to Network Compression via Policy Gradient
        Reinforcement Learning*, ICLR 2018. arXiv:1709.06030
    """

    layers: Layers
    teacher: Mapping[str, float]
    goal: Goal | None = None
    reward: Reward | None = None
    size: SizeFigure = "parameters"
    quality_power: float = 1.0
    constrained: bool = True
    stages: Sequence[StageName] = ("removal", "shrinkage")
    iterations: int = 100
    trials: int = 200
    relative_to: Literal["teacher", "student"] = "teacher"
    epochs: int = 1
    inherit: bool = True
    steps: Sequence[Mapping[str, Any]] = ()
    removal_rate: float = 0.02
    shrinkage_rate: float = 0.01
    rollouts: int = 5
    baseline: Baseline = "moving"
    credit: Credit = "own"
    entropy: float = 0.0
    step_per_rollout: bool = False
    blocks: bool = True
    sizes: Sequence[Shrunk] = ("outputs",)
    multipliers: Sequence[float] = MULTIPLIERS
    hidden: int = 30
    depth: int = 2
    bound: float = 1.5
    policy: str | None = None
    seed: int = 0
    _reached: list[Stage] = field(default_factory=list, init=False, repr=False, compare=False)
    _shares: dict[str, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        counts = {"trials": self.trials, "epochs": self.epochs, "iterations": self.iterations}
        check_counts("the strategy n2n", **counts, hidden=self.hidden, depth=self.depth)
        if list(self.stages) not in (["removal"], ["shrinkage"], ["removal", "shrinkage"]):
            rule = "'removal', 'shrinkage', or both in this order"
            raise must("stages", "the strategy n2n", rule, list(self.stages), _DEFAULT)
        if not 0 <= self.bound < math.inf:
            raise must("bound", "the strategy n2n", "at least 0 and finite", self.bound, "Use 0 for none")
        if not self.sizes or not set(self.sizes) <= set(get_args(Shrunk)):
            raise must("sizes", "the strategy n2n", "'outputs', 'kernels', or both", list(self.sizes), _DEFAULT)
        self._check()

    @with_library_defaults
    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        """What the policies have drawn and nobody has tried; none when all updates or trainings are over."""
        return self._advance(history)

    def course(self, history: Sequence[Trial]) -> list[dict[str, Any]]:
        """What happened so far, an entry for each update, as plain data.

        Args:
            history: Every trial so far, in order.

        Returns:
            For each update: ``stage``; ``iteration``, in its stage; for each rollout ``rewards`` (None where nobody
            came to it), ``keys`` of its proposal (None for no network) and ``compression`` (how many times fewer
            parameters than the first teacher; None where not known); ``trained``, trainings in its stage so far;
            ``invalid``, why actions led to no network; ``mean`` of the rewards; ``baseline``; and ``entropy``, in nats
            over all layers.
        """
        self._advance(history)
        return [dict(record) for stage in self._reached for record in stage.records]

    def spent(self, history: Sequence[Trial]) -> list[dict[str, Any]]:
        """What each stage came to, an entry for each that was begun, as plain data.

        Args:
            history: Every trial so far, in order.

        Returns:
            For each: ``stage``; ``trainings``, and ``of`` how many that it might spend; ``updates`` of its policy;
            ``ended``, by what, see `attar.search.n2n.stage.Ended`, None of one that could go on.
        """
        self._advance(history)
        known = {trial.proposal.key: trial for trial in history}
        return [
            {
                "stage": stage.policy.kind,
                "trainings": stage.trained(known),
                "of": stage.trials,
                "updates": len(stage.records),
                "ended": stage.ended,
            }
            for stage in self._reached
        ]

    def save(self, folder: Path, history: Sequence[Trial]) -> None:
        """Write the policies as they are after some trials, one file for each stage that was begun.

        Raises:
            OSError: If they cannot be written.
        """
        self._advance(history)
        for stage in self._reached:
            save_policy(stage.policy, _file(folder, stage.policy.kind))

    @with_library_defaults
    def _advance(self, history: Sequence[Trial]) -> list[Proposal]:
        """Go through the trials from where this came to, or from the beginning where they are others now."""
        known = {trial.proposal.key: trial for trial in history}
        if any(stage.contradicted(known) for stage in self._reached):
            self._reached.clear()
        while True:
            if self._reached and (batch := self._reached[-1].advance(known)):
                return batch
            if len(self._reached) == len(self.stages):
                return []
            self._reached.append(self._next(known))

    def _next(self, known: Mapping[str, Trial]) -> Stage:
        """The next stage."""
        kind = self.stages[len(self._reached)]
        layers, start, against = self.layers, "teacher", self._taken()
        parent = self._reached[-1].best(known) if self._reached else None
        described = None if parent is None else _described(parent, layers)
        if parent is not None and described is not None:
            layers, start = described, parent.proposal.key
            if self.relative_to == "student" and parent.score:
                against = parent.figures

        last = len(self._reached) == len(self.stages) - 1

        def propose(spec: Spec, choices: Mapping[str, Any]) -> Proposal:
            return Proposal(
                spec=spec,
                steps=self.steps,
                epochs=self.epochs,
                start=start if self.inherit else None,
                choices={"stage": kind, **choices},
                intermediate=not last,
            )

        policy = self._policy(kind)
        spent = sum(stage.trained(known) for stage in self._reached)
        return Stage(
            policy,
            self._learning(kind),
            actions=self._actions(policy, layers),
            propose=propose,
            reward=self._reward(),
            seen_as=(lambda trial: trial) if last else self._shrunk,
            teacher=against,
            size=self._taken()["parameters"],
            iterations=self.iterations,
            trials=(self.trials - spent) // (len(self.stages) - len(self._reached)),
            spends_all=last,
            seed=self.seed,
        )

    def _policy(self, kind: StageName) -> RemovalPolicy | ShrinkagePolicy:
        """A stage's policy to begin with."""
        shape: dict[str, Any] = {
            "hidden": self.hidden,
            "depth": self.depth,
            "bound": self.bound or None,
            "seed": self.seed,
        }
        policy: RemovalPolicy | ShrinkagePolicy = (
            RemovalPolicy(FEATURES, **shape)
            if kind == "removal"
            else ShrinkagePolicy(FEATURES + 1, self.multipliers, **shape)
        )
        if self.policy is not None and _file(Path(self.policy), kind).exists():
            load_policy(policy, _file(Path(self.policy), kind))
        return policy

    def _learning(self, kind: StageName) -> Reinforce:
        """How a stage's policy learns."""
        return Reinforce(
            rollouts=self.rollouts,
            learning_rate=self.removal_rate if kind == "removal" else self.shrinkage_rate,
            baseline=self.baseline,
            credit=self.credit,
            entropy=self.entropy,
            step_per_rollout=self.step_per_rollout,
        )

    def _actions(self, policy: RemovalPolicy | ShrinkagePolicy, layers: Layers) -> Actions:
        """What a policy's actions mean for a network."""
        if isinstance(policy, RemovalPolicy):
            return Removal(layers, self.blocks)
        return Shrinkage(layers, policy, self.sizes)

    def _taken(self) -> Mapping[str, float]:
        """Figures of the teacher."""
        return {"parameters": float(self.layers.parameters), **self.teacher}

    def _shrunk(self, trial: Trial) -> Trial:
        """A trial of the first stage as it is judged: under a budget by what it would take once shrunk."""
        limits = self.goal.limits if self.goal is not None and self.constrained else ()
        if self.reward is not None or all(limit.what == "quality_loss" for limit in limits):
            return trial
        key = trial.proposal.key
        if key not in self._shares:
            layers = _described(trial, self.layers)
            self._shares[key] = 1.0 if layers is None else shrunk_share(layers, self.multipliers)
        figures = {
            name: value * self._shares[key] if name in get_args(SizeFigure) else value
            for name, value in trial.figures.items()
        }
        return replace(trial, figures=figures)

    def _reward(self) -> Reward:
        """What a trial is worth."""
        if self.reward is not None:
            return self.reward
        shape: dict[str, Any] = {"size": self.size, "quality_power": self.quality_power}
        if self.goal is None or not self.constrained:
            return CompressionReward(**shape)
        return CompressionReward.within(self.goal, **shape)

    def _check(self) -> None:
        """See that all settings are right, the policies that were given are there, and there is something to choose."""
        self._reward()
        if self.reward is None:  # what it needs of the teacher is missed before anything is trained
            CompressionReward(size=self.size)(self._taken(), self._taken(), 0)
        if self.policy is not None and not any(_file(Path(self.policy), stage).exists() for stage in self.stages):
            rule = f"a folder with {' or '.join(_file(Path(), stage).name for stage in self.stages)}"
            raise must("policy", "the strategy n2n", rule, self.policy, "Leave it out for new policies")
        if not any([self._free(stage) for stage in self.stages]):
            raise BadInput(_nothing_free(self.layers, self.stages))

    def _free(self, kind: StageName) -> bool:
        """Whether a stage can change anything of the network to begin with."""
        self._learning(kind)
        policy = self._policy(kind)
        mask, states = self._actions(policy, self.layers).mask, self.layers.states
        if kind == "removal" and self.layers.rules.smaller:  # without what has no weights alone it is no smaller
            mask = mask & torch.tensor([state.kind not in WEIGHTLESS for state in states])
        return bool(mask.any())


def _nothing_free(layers: Layers, stages: Sequence[StageName]) -> str:
    """That nothing is free, and what to do."""
    verbs = {"removal": "removed", "shrinkage": "made narrower"}
    can = f"can be {' or '.join(verbs[stage] for stage in stages)}, so that there is nothing to search."
    if "linear" in (*layers.rules.fixed, *layers.rules.fixed_widths):
        return (
            f"The rules of n2n leave linear layers as they are, and no other layer of the network with weights {can} "
            'Leave rules out, or "linear" out of its fixed and fixed_widths; or use another strategy.'
        )
    least = layers.rules.min_channels
    narrow = any(0 < state.outputs <= least and state.group for state in layers.states)
    fewer = f"let fewer than {least} channels stay (min_channels of its rules), " if narrow else ""
    return (
        f"No layer of the network with weights {can} Use both stages, fix fewer layers, {fewer}or use another strategy."
    )


def _described(trial: Trial, layers: Layers) -> Layers | None:
    """A trial's network as a list of layers, by the same rules; None where nothing of it can be changed."""
    try:
        return describe(trial.proposal.spec, layers.example, layers.rules, some_gone=True)
    except BadInput:
        return None


def policies_of(folder: Path) -> dict[str, str]:
    """What policies are in a folder, by stage: SHA-256 of each file."""
    files = {kind: _file(folder, kind) for kind in get_args(StageName)}
    return {kind: digest_of(file) for kind, file in files.items() if file.is_file()}


def _file(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.safetensors"
