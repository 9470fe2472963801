"""The step that removes channels, units and heads while the network is trained, until it costs what it may."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import Field, PlainSerializer, PlainValidator, model_validator
from torch import Tensor, nn

from attar.budget import Limit
from attar.data.split import Dataset
from attar.errors import BadInput
from attar.evidence.panel import Axis, Chart, Facts, Layer, Panel, Table, Text
from attar.models.model import Model
from attar.network.bn_statistics import take_bn_stats_
from attar.network.copying import copied
from attar.network.spec import Spec
from attar.pipeline.costs import Counted, Measured, What, costs_of
from attar.pipeline.pruner import Plan, Pruner, Select
from attar.pipeline.section import Fraction, Number, Section
from attar.pipeline.step import Result, Tools
from attar.pipeline.trained import Trained
from attar.pipeline.training_step import TrainingStep, training_facts
from attar.pruning.attention import open_attention_
from attar.pruning.emptied import may_be_emptied
from attar.pruning.group import Groups
from attar.pruning.groups import find_groups
from attar.pruning.importance.named import IMPORTANCE
from attar.pruning.select import greedy, knapsack
from attar.pruning.structure import Structure
from attar.quantization.attach import is_quantized

log = logging.getLogger(__name__)

_LOOKED_AT = 16
"""Examples on which it is seen what the output still depends on."""

_AT_ONCE = 64
"""Examples of a batch whose statistics are taken."""


def _limit(what: Any) -> Any:
    return Annotated[Limit, PlainValidator(partial(Limit.read, what)), PlainSerializer(str)]


class PruneTarget(Section):
    """How far a network is pruned: one of these, absolute or, as "0.5x", relative to the network before the step."""

    latency: _limit("latency") | None = Field(  # type: ignore[valid-type]
        None, description="of one example in ONNX Runtime with one thread, measured on this machine: 0.5x, 2 ms"
    )
    macs: _limit("macs") | None = Field(None, description="multiply-adds: 0.1x, 3 M")  # type: ignore[valid-type]
    bytes: _limit("bytes") | None = Field(None, description="of float32 weights: 0.2x, 50 kB")  # type: ignore[valid-type]
    parameters: _limit("macs") | None = Field(None, description="how many: 0.2x, 10 k")  # type: ignore[valid-type]
    activations: _limit("bytes") | None = Field(  # type: ignore[valid-type]
        None, description="bytes of what layers give for one example: 0.5x"
    )

    @model_validator(mode="after")
    def _one(self) -> PruneTarget:
        given = [name for name in get_args(What) if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"must name one of {', '.join(get_args(What))}; got {' and '.join(given) or 'none'}. "
                'Write for example to = { latency = "0.5x" }'
            )
        return self

    @property
    def what(self) -> What:
        """What is to be brought down."""
        found: What = next(name for name in get_args(What) if getattr(self, name) is not None)
        return found

    @property
    def limit(self) -> Limit:
        """To how much."""
        found: Limit = getattr(self, self.what)
        return found


class Prune(TrainingStep):
    """What is worth least for what it costs is taken out while the network is trained, and training goes on without."""

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

    @model_validator(mode="after")
    def _beta_is_for_greedy(self) -> Prune:
        if self.beta != "auto" and self.select != "greedy":
            raise ValueError('beta is for select = "greedy"; leave it out, or set select')
        return self

    @property
    def measures(self) -> bool:
        """Whether it comes down to a latency."""
        return self.to.what == "latency"

    def check(self, spec: Spec, dataset: Dataset) -> Spec:
        """See that there is something to remove."""
        network = open_attention_(spec.build())
        _refuse_formats(network)
        self._groups(network, dataset.train.floats(slice(0, 1)))
        return spec

    def run(self, model: Model, tools: Tools) -> Result:
        """Train a copy of the model, which loses units meanwhile."""
        _refuse_formats(model.module)
        before = tools.score(copied(model.module))
        first = open_attention_(copy.deepcopy(model.module))
        groups = self._groups(first, tools.example)
        structure = Structure.of(first, groups, tools.example)
        costs = costs_of(self.to.what, structure, first, tools.example, tools.turns)
        full = costs.cost.total({})
        target = self.to.limit.at(full)
        assert target is not None, "the cost is known"
        emptied = may_be_emptied(first, groups, tools.dataset.train.floats(slice(0, _LOOKED_AT)))
        least = costs.cost.total({group.name: 0 if group.name in emptied else 1 for group in groups.groups})
        if least > target:
            unit = _UNITS[self.to.what]
            raise BadInput(
                f"to of the step prune must be what can be reached; got {self.to.what} = {str(self.to.limit)!r}, and "
                f"with no more than one unit left in each of its {len(groups.groups)} groups the network still takes "
                f"{least:.3g} of {full:.3g} {unit}. Give at least {math.ceil(100 * least / full) / 100:g}x, or protect "
                "less."
            )
        steps = self.settings.epochs * math.ceil(len(tools.transfer_set()) / self.settings.batch_size)
        pruner = Pruner(
            groups,
            IMPORTANCE[self.importance],
            costs,
            self._select(),
            Plan.gradual(full, target, last=max(1, int(self.until * steps)), every=self.every),
            emptied=emptied,
            seed=tools.run_seed,
        )
        fitted = self.fitted(first, tools, callbacks=[pruner])
        spec = model.spec
        for edit in pruner.edits:
            spec = spec.with_edit(edit)
        module = self._with_statistics(fitted.model, tools)
        history = [entry.to_json() for entry in fitted.history]
        facts = {
            **training_facts(fitted),
            "score": tools.score(module),
            "score_before": before,
            "prune": self._facts(groups, pruner, costs, full, target),
        }
        log.info("%s: %s of %s left", tools.title, facts["prune"]["cost"], full)
        return Result(replace(model, module=module, spec=spec, history=[*model.history, *history]), facts, history)

    def panels(self, before: Trained | None, after: Trained) -> list[Panel]:
        """What each layer has left, what it cost on the way, and whether the machine agrees with the prediction."""
        facts = after.facts["prune"]
        rows = [(one["group"], one["kind"], one["units"], one["kept"]) for one in facts["groups"]]
        blocks: list[Any] = [
            Facts([(name, text) for name, text in _in_words(facts)]),
            Table(("Group", "What goes", "Before", "Kept"), rows),
        ]
        if len(facts["course"]) > 1:
            points = [{"x": one["step"], "y": one["cost"]} for one in facts["course"]]
            chart = Chart(
                title=f"{facts['what']} on the way",
                x=Axis(title="step", integer=True),
                y=Axis(title=_UNITS[facts["what"]], zero=True),
                layers=[Layer(name="removals", mark="steps", rows=[{**one, "series": "cost"} for one in points])],
                description=f"{facts['what']} after each removal.",
            )
            blocks.append(chart)
        for layer, reason in facts["untouched"].items():
            blocks.append(Text(f"{layer} stays as it is: {reason}."))
        return [Panel("Pruning", blocks)]

    def _groups(self, network: nn.Module, example: Tensor) -> Groups:
        """What can be removed.

        Raises:
            BadInput: If there is nothing.
        """
        groups = find_groups(network, example, self.protect)
        if not groups.groups:
            reasons = "; ".join(f"{layer}: {reason}" for layer, reason in groups.untouched.items())
            raise BadInput(
                f"The network has nothing that can be pruned ({reasons or 'it has no layers'}). Leave it out."
            )
        return groups

    def _select(self) -> Select:
        if self.select == "knapsack":
            return knapsack
        return partial(greedy, beta=self.beta)

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

    def _facts(
        self, groups: Groups, pruner: Pruner, costs: Counted | Measured, full: float, target: float
    ) -> dict[str, Any]:
        kept = pruner.kept
        facts: dict[str, Any] = {
            "what": self.to.what,
            "full": full,
            "target": target,
            "cost": costs.cost.total(kept),
            "groups": [
                {"group": one.name, "kind": one.kind, "units": one.units, "kept": kept[one.name]}
                for one in groups.groups
            ],
            "untouched": dict(groups.untouched),
            "course": pruner.course,
        }
        if isinstance(costs, Measured):
            facts["measured"] = [{key: one[key] for key in ("predicted_ms", "measured_ms")} for one in costs.looks]
        return facts


_UNITS: Mapping[What, str] = {
    "latency": "milliseconds",
    "macs": "multiply-adds",
    "bytes": "bytes",
    "parameters": "parameters",
    "activations": "bytes",
}


def _in_words(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    unit = _UNITS[facts["what"]]
    yield "before", f"{facts['full']:.4g} {unit}"
    yield "target", f"{facts['target']:.4g} {unit}"
    yield "reached", f"{facts['cost']:.4g} {unit} ({facts['cost'] / facts['full']:.2f}x)"
    if len(facts.get("measured", ())) > 1:
        last = facts["measured"][-1]
        off = last["predicted_ms"] / last["measured_ms"] - 1
        yield "predicted", f"{last['predicted_ms']:.4g} ms before it was measured, {100 * off:+.0f}%"


def _refuse_formats(network: nn.Module) -> None:
    if is_quantized(network):
        raise BadInput("A network in low-bit formats cannot be pruned. Put the step prune before the step quantize.")
