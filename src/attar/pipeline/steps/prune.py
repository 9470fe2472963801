"""The step that removes channels, units and heads while the network is trained, until it costs what it may."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from attar.data.split import Dataset
from attar.errors import AttarError, BadInput
from attar.evidence.panel import Panel
from attar.models.model import Model
from attar.network.bn_statistics import take_bn_stats_
from attar.network.copying import copied
from attar.network.forward import forward
from attar.network.spec import Spec
from attar.pipeline.costs import TIMES_FILE, Counted, Measured, costs_of
from attar.pipeline.prune_panels import prune_panels, prune_warnings, shown_cost
from attar.pipeline.prune_target import PruneTarget
from attar.pipeline.pruned import ROUNDS_FOLDER, FinishedRounds, Pruned, Round, in_rounds
from attar.pipeline.pruner import Plan, Pruner
from attar.pipeline.scored import Judged, figure_of
from attar.pipeline.section import Fraction, Number
from attar.pipeline.step import ByLoss, Result, Tools
from attar.pipeline.trained import Trained
from attar.pipeline.training_step import CHECKPOINT, TrainingStep, training_facts
from attar.pruning.attention import open_attention_
from attar.pruning.edit import merged
from attar.pruning.emptied import may_be_emptied
from attar.pruning.group import Groups
from attar.pruning.groups import find_groups
from attar.pruning.importance.named import IMPORTANCE
from attar.pruning.read_layers import without_changes_of
from attar.pruning.select import greedy, knapsack
from attar.pruning.sensitivity import SHARES, sensitivity
from attar.pruning.structure import Structure, costs
from attar.pruning.verify import stirred
from attar.quantization.attach import without_formats
from attar.quantization.edit import Quantize
from attar.training.features import ReadsLayers

log = logging.getLogger(__name__)

_LOOKED_AT = 16
"""Examples on which it is seen what the output still depends on."""

_AT_ONCE = 64
"""Examples of a batch whose statistics are taken."""

_ASKED = 1000
"""Validation examples at most on which each masked network of a sensitivity analysis is scored."""


@dataclass(frozen=True, kw_only=True)
class _Before:
    """The network before the step, and what can go from it."""

    network: nn.Module
    groups: Groups
    emptied: frozenset[str]
    costs: Counted | Measured
    full: float

    @property
    def least(self) -> float:
        """What it costs with no more than one unit in each group that must have one."""
        return self.costs.total({one.name: 0 if one.name in self.emptied else 1 for one in self.groups.groups})

    def kept(self, pruned: Pruned) -> dict[str, int]:
        """How many units each group has left."""
        left = {group.name: group.units for group in pruned.left(self.groups).groups}
        return {group.name: left.get(group.name, 0) for group in self.groups.groups}

    def cost(self, pruned: Pruned) -> float:
        """As far as it is known."""
        return self.costs.total(self.kept(pruned))


class Prune(TrainingStep):
    """What is worth least for what it costs is taken out while the network is trained, and training goes on without.

    Number formats of an earlier step are taken off, and the float weights below them are pruned: the points of a format
    suit the units that there were. A step that quantizes follows.
    """

    version: ClassVar[int] = 2
    scratch: ClassVar[tuple[str, ...]] = (CHECKPOINT, TIMES_FILE, ROUNDS_FOLDER)
    use: Literal["prune"] = "prune"
    to: PruneTarget = Field(description="how far")
    importance: Literal[
        "group_fisher", "weight_fisher", "taylor", "magnitude_l1", "magnitude_l2", "bn_scale", "random"
    ] = Field("group_fisher", description="what says what a unit is worth")
    select: Literal["knapsack", "greedy"] = Field(
        "knapsack", description="all groups at once, or the next best removal again and again"
    )
    beta: Annotated[Number, Field(ge=0)] | Literal["auto"] = Field(
        "auto", description="of greedy: what a unit of cost is worth in units of the loss; auto removes by their ratio"
    )
    until: Fraction = Field(0.5, description="share of the training in which units go; the rest makes up for it")
    every: Annotated[int, Field(ge=1)] = Field(20, description="steps from one removal to the next")
    protect: list[str] = Field(
        default_factory=list, description="names or patterns of layers that keep all their outputs: 0, blocks.*"
    )
    bn_batches: Annotated[int, Field(ge=0)] = Field(
        50, description="batches from which statistics of batch normalization are taken anew at the end; 0 for none"
    )
    sensitivity: bool = Field(
        False, description="also score the network before the step without 10%, 20%, ... of each group, for the report"
    )

    @model_validator(mode="after")
    def _beta_is_for_greedy(self) -> Prune:
        if self.beta != "auto" and self.select != "greedy":
            raise ValueError('beta is for select = "greedy"; leave it out, or set select')
        return self

    @property
    def measures(self) -> bool:
        """Whether it comes down to a latency."""
        return self.to.what == "latency"

    @property
    def slims(self) -> bool:
        """Always."""
        return True

    def check(self, spec: Spec, dataset: Dataset) -> Spec:
        """See that there is something to remove, and that what can be counted can come down to its target."""
        spec = spec.without_edits(Quantize)
        network, example = open_attention_(spec.build()), dataset.train.floats(slice(0, 1))
        groups = self._groups(network, dataset)
        self._judged(network, groups, dataset)
        if self.to.quality_loss is None and self.to.what != "latency":
            cost = costs(Structure.of(network, groups, example))[self.to.what]
            # Fresh weights may hide what the output depends on, as those of a normalization that begins with 0 do.
            emptied = may_be_emptied(stirred(network), groups, dataset.train.floats(slice(0, _LOOKED_AT)))
            least = cost.total({group.name: 0 if group.name in emptied else 1 for group in groups.groups})
            self._target(cost.total({}), least, groups)
        return spec

    def run(self, model: Model, tools: Tools) -> Result:
        """Train a copy of the model, which loses units meanwhile."""
        score = tools.score(copied(model.module))
        model = replace(model, module=without_formats(model.module), spec=model.spec.without_edits(Quantize))
        before = self._before(model, tools)
        if self.to.quality_loss is None:
            target = self._target(before.full, before.least, before.groups)
            pruned, rounds = self._trained(before, None, target, tools), list[Round]()
        else:
            pruned, rounds = self._within(before, score, tools)
        spec = model.spec
        for edit in merged(pruned.edits):
            spec = spec.with_edit(edit)
        history = [dict(entry) for entry in pruned.history]
        facts = {
            **pruned.training,
            "score": pruned.score,
            "score_before": score,
            "prune": self._facts(before, pruned, rounds, score, tools),
        }
        left, full = (shown_cost(self.to.what, facts["prune"][name]) for name in ("cost", "full"))
        log.info("%s: %s of %s left", tools.title, left, full)
        as_it_was = self.to.quality_loss is not None and not pruned.edits
        module = copied(model.module) if as_it_was else pruned.network
        return Result(replace(model, module=module, spec=spec, history=[*model.history, *history]), facts, history)

    def panels(self, before: Trained | None, after: Trained) -> list[Panel]:
        """What each layer has left, what it cost on the way, and whether the machine agrees with the prediction."""
        return prune_panels(after.facts["prune"])

    def warnings(self, after: Trained) -> list[str]:
        """A target that was not reached: what comes nearest to it is what is left."""
        return prune_warnings(after.facts["prune"])

    # -- the network before, and what can go ---------------------------------------------------------------------------

    def _before(self, model: Model, tools: Tools) -> _Before:
        network = open_attention_(copied(model.module))
        groups = self._groups(network, tools.dataset)
        structure = Structure.of(network, groups, tools.example)
        found = costs_of(self.to.what, structure, network, tools.example, tools.turns, tools.folder)
        emptied = may_be_emptied(network, groups, tools.dataset.train.floats(slice(0, _LOOKED_AT)))
        return _Before(network=network, groups=groups, emptied=emptied, costs=found, full=found.total({}))

    def _groups(self, network: nn.Module, dataset: Dataset) -> Groups:
        """What can be removed.

        Raises:
            BadInput: If there is nothing.
        """
        examples = dataset.train.floats(slice(0, _LOOKED_AT))
        # A term compares what it reads with what the teacher has there, of the width that it had at first.
        read = {
            layer: f"the term {name!r} of the objective"
            for name, term in self.terms.terms.items()
            if isinstance(term.loss, ReadsLayers) and (layer := term.loss.student_layer) is not None
        }
        groups = without_changes_of(find_groups(network, examples, self.protect), network, examples, read)
        if not groups.groups:
            reasons = "; ".join(f"{layer}: {reason}" for layer, reason in groups.untouched.items())
            remedy = "Protect less, or leave the step out" if self.protect else "Leave the step out"
            raise BadInput(f"The network has nothing that can be pruned ({reasons or 'it has no layers'}). {remedy}.")
        return groups

    def _judged(self, network: nn.Module, groups: Groups, dataset: Dataset) -> None:
        """See that the signal can judge the network, as it is called.

        Raises:
            BadInput: If it cannot.
        """
        examples, network = dataset.train.floats(slice(0, _LOOKED_AT)), copied(network).train()
        estimate = IMPORTANCE[self.importance].start(network, groups)
        with torch.random.fork_rng(devices=[]):
            try:
                forward(network, examples).square().sum().backward()  # type: ignore[no-untyped-call]  # any loss
                estimate.add(len(examples))
            except AttarError:
                raise
            except Exception as error:  # what only so few examples or this loss make is no fault of the network
                log.info("%s was not tried before: %s", self.importance, error)
            finally:
                estimate.remove()

    def _target(self, full: float, least: float, groups: Groups) -> float:
        """The cost to come down to.

        Args:
            full: Of the network before the step.
            least: Of what is left with as few units as can be.
            groups: What can be removed.

        Raises:
            BadInput: If it cannot be reached.
        """
        target = self.to.limit.at(full)
        assert target is not None, "the cost is known"
        if least > target:
            what = self.to.what
            if least >= full:
                raise BadInput(
                    f"to of the step prune must be what can be reached; got {what} = {str(self.to.limit)!r}, and with "
                    f"one unit left in each of its {len(groups.groups)} groups the network takes no less than the "
                    f"{shown_cost(what, full)} that it takes now. Leave the step out, or ask for parameters or bytes."
                )
            raise BadInput(
                f"to of the step prune must be what can be reached; got {what} = {str(self.to.limit)!r}, and with no "
                f"more than one unit left in each of its {len(groups.groups)} groups the network still takes "
                f"{shown_cost(what, least)} of {shown_cost(what, full)}. Ask for {self.to.nearest(full, least)}"
                f"{', or protect less' if self.protect else ', which is as near as it comes'}."
            )
        return target

    # -- training ------------------------------------------------------------------------------------------------------

    def _trained(self, before: _Before, at_first: Pruned | None, target: float, tools: Tools) -> Pruned:
        """One training with removals.

        Args:
            before: The network before the step.
            at_first: The network that is trained, if it is another one.
            target: The cost to come down to.
            tools: With the folder for a checkpoint.
        """
        network, groups, kept = before.network, before.groups, dict[str, int]()
        if at_first is not None:
            network, groups, kept = at_first.network, at_first.left(groups), before.kept(at_first)
        end = self.steps_per_epoch(tools) * self.settings.epochs
        last = max(1, int(self.until * end))
        pruner = Pruner(
            groups,
            IMPORTANCE[self.importance],
            before.costs,
            knapsack if self.select == "knapsack" else partial(greedy, beta=self.beta),
            Plan.gradual(before.costs.total(kept), target, last=last, every=self.every, end=end),
            before=kept,
            emptied=before.emptied,
            seed=tools.run_seed,
        )
        fitted = self.fitted(network, tools, callbacks=[pruner])
        module = self._with_statistics(fitted.model, tools)
        return Pruned(
            network=module,
            edits=pruner.edits,
            removed=pruner.removed,
            score=tools.score(module),
            training=training_facts(fitted),
            history=[entry.to_json() for entry in fitted.history],
            course=pruner.course,
            costs=before.costs.state_dict(),
            worth={name: its.tolist() for name, its in pruner.worth.items()},
        )

    def _within(self, before: _Before, score: float, tools: Tools) -> tuple[Pruned, list[Round]]:
        """As much removed as the quality allows."""
        judged = Judged.by(tools)
        assert self.to.quality_loss is not None
        limit, figure = self.to.quality_loss.of(judged.score), figure_of(tools, score)

        def train(at_first: Pruned, goal: float, place: Path | None) -> Pruned:
            return self._trained(before, at_first, goal, replace(tools, folder=place))

        # Without the formats that the network may have had, it scores differently.
        start = Pruned(network=before.network, score=tools.score(before.network), costs=before.costs.state_dict())
        return in_rounds(
            start,
            train,
            within=lambda reached: limit.keeps(judged.lost(figure, figure_of(tools, reached)), figure),
            cost=before.cost,
            recall=lambda done: before.costs.load_state_dict(done.costs),
            least=lambda: before.least,
            finished=FinishedRounds(tools.folder),
            most=self.to.most_rounds,
        )

    def _with_statistics(self, network: nn.Module, tools: Tools) -> nn.Module:
        """The network, its batch normalization taken anew where that is better on validation."""
        if not self.bn_batches:
            return network
        source = tools.transfer_set()
        count = min(len(source) // _AT_ONCE, self.bn_batches) * _AT_ONCE

        def batches() -> Iterator[Tensor]:
            order = torch.randperm(len(source), generator=torch.Generator().manual_seed(tools.run_seed))[:count]
            for rows in torch.split(order, _AT_ONCE):
                yield source.batch(rows, 0).inputs

        anew = copied(network)
        if count == 0 or not take_bn_stats_(anew, batches()):
            return network
        return anew if tools.score(anew) > tools.score(network) else network

    # -- what is remembered --------------------------------------------------------------------------------------------

    def _facts(
        self, before: _Before, pruned: Pruned, rounds: list[Round], score: float, tools: Tools
    ) -> dict[str, Any]:
        kept, judged = before.kept(pruned), Judged.by(tools)
        per_epoch = self.steps_per_epoch(tools)
        facts: dict[str, Any] = {
            "what": self.to.what,
            "full": before.full,
            "target": None if self.to.quality_loss is not None else self.to.limit.at(before.full),
            "cost": before.costs.total(kept),
            "groups": [
                {"group": one.name, "kind": one.kind, "units": one.units, "kept": kept[one.name]}
                for one in before.groups.groups
            ],
            "untouched": dict(before.groups.untouched),
            "course": [dict(one) for one in pruned.course],
            "judged": judged.to_json(),
            "figure": figure_of(tools, pruned.score),
            "figure_before": figure_of(tools, score),
            "epochs": [
                {"step": (place + 1) * per_epoch, "figure": figure_of(tools, entry["score"])}
                for place, entry in enumerate(pruned.history)
            ],
        }
        if self.to.quality_loss is not None:
            limit = self.to.quality_loss.of(judged.score)
            most = limit.at(facts["figure_before"])
            assert most is not None, "the figure before is known"
            facts["asked"] = f"at most {limit.shown(most, judged.score)} {limit.after(judged.score)}"
            facts["rounds"] = [{**asdict(one), "figure": figure_of(tools, one.score)} for one in rounds]
        if isinstance(before.costs, Measured):
            looks = before.costs.looks
            facts["measured"] = [{key: one[key] for key in ("predicted_ms", "measured_ms")} for one in looks]
        if self.sensitivity and pruned.worth:
            facts["sensitivity"] = self._sensitivity(before, pruned, tools)
        return facts

    def _sensitivity(self, before: _Before, pruned: Pruned, tools: Tools) -> dict[str, Any]:
        """What the network before the step scores without some of each group."""
        validation, asked = tools.dataset.validation, tools
        if len(validation) > _ASKED and not isinstance(tools.choose_by, ByLoss):  # whose targets go by the row
            drawn = torch.randperm(len(validation), generator=torch.Generator().manual_seed(tools.run_seed))
            some = validation.rows(drawn[:_ASKED].sort().values)
            asked = replace(tools, dataset=replace(tools.dataset, validation=some))
        worth = {name: torch.tensor(its, dtype=torch.float64) for name, its in pruned.worth.items()}
        scores = sensitivity(before.network, before.groups, worth, asked.score)
        return {
            "examples": len(asked.validation),
            "figure": figure_of(tools, asked.score(before.network)),
            "shares": list(SHARES),
            "groups": [
                {"group": name, "figures": [figure_of(tools, one) for one in its]} for name, its in scores.items()
            ],
        }
