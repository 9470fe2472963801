"""One proposal, from its network to its figures: measured untrained, trained if it may fit the budget, and scored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from attar.errors import AttarError, BadInput, CorruptFile
from attar.models.fresh import fresh
from attar.models.model import Model, load_model
from attar.network.copying import copied
from attar.network.references import folders_of, located, own_code, place_of, summary
from attar.network.scaled_outputs import ScaledOutputs, ScaleOutputs, center_and_scale
from attar.network.weights import digest
from attar.pipeline.nodes import Node, Nodes, NotFinished
from attar.pipeline.objective import known_labels
from attar.pipeline.runner import fields_of, run_steps
from attar.pipeline.step import Step, Tools
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.quantize import Quantize
from attar.pipeline.trained import Trained
from attar.pipeline.training_step import TrainingStep
from attar.pipeline.turns import Turns
from attar.pruning.attention import open_attention_
from attar.pruning.groups import find_groups
from attar.search.goal import Goal
from attar.search.meter import TAKES, Meter
from attar.search.proposal import Outcome, Proposal
from attar.search.proposed_step import step_of
from attar.search.warm_start import warm_start
from attar.tasks.target import has_units
from attar.tasks.task import first_metric
from attar.training.objective import Objective
from attar.training.progress import Progress, silent
from attar.training.settings import Training
from attar.training.threads import using_threads

log = logging.getLogger(__name__)

_ASKED = 4
"""Examples on which a network is tried that another begins with."""

FOLDER = "search"
"""Of all nodes of a search."""

TEACHER = "teacher"
"""What ``start`` of a proposal says for the teacher's weights."""


@runtime_checkable
class Evaluate(Protocol):
    """Evaluates proposals, each once: what came of one is found again."""

    def __call__(self, proposal: Proposal, progress: Progress) -> Outcome:
        """Evaluate a proposal, or find it evaluated. What it raises is an outcome."""
        ...

    def found(self, proposal: Proposal) -> Outcome | None:
        """What came of a proposal; None of one that was not evaluated."""
        ...

    def give_up(self, proposal: Proposal, reason: str) -> Outcome:
        """Keep of a proposal that nothing can come of it, with the reason as a sentence."""
        ...

    def size(self, proposal: Proposal) -> int:
        """How long its training is, in optimizer steps."""
        ...


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Evaluates proposals of a run; what came of each, its figures and its trainings are nodes of it.

    Every training has one thread, so that results do not depend on how many take place at once.

    Attributes:
        tools: What trainings use: data, the teacher's targets, views, the seed.
        objective: What students minimize.
        training: How they are trained; for how long, a proposal says.
        goal: The budget, and what the teacher takes.
        meter: Measures what students take.
        nodes: Where everything is kept.
        teacher: A model whose weights students may begin with; None where there is none.
        subset: The tools with a part of the examples, for trainings that need not see all; None for all of them.
        allow: Packages whose functions may build networks.
    """

    tools: Tools
    objective: Objective
    training: Training
    goal: Goal
    meter: Meter
    nodes: Nodes
    teacher: Model | None = None
    subset: Tools | None = None
    allow: Collection[str] = ("attar",)

    def __call__(self, proposal: Proposal, progress: Progress = silent) -> Outcome:
        """Evaluate a proposal, or find it evaluated.

        Raises:
            OSError: If files of the run cannot be written; whatever else is raised meanwhile is the outcome.
        """
        outcome = self._evaluated(proposal, progress, train=True)
        assert outcome is not None, "what is trained has an outcome"
        return outcome

    def untrained(self, proposal: Proposal) -> Outcome | None:
        """What comes of a proposal without a training of it here, as far as something does.

        Nothing does as long as it has to be trained: it was measured then, and may be within the budget. Once its
        trainings are in the folder of the run, wherever they took place, this gives what came of it.

        Raises:
            OSError: If files cannot be written.
        """
        return self._evaluated(proposal, silent, train=False)

    def _evaluated(self, proposal: Proposal, progress: Progress, *, train: bool) -> Outcome | None:
        known = self.found(proposal)
        if known is not None:
            return known
        try:
            with using_threads(1):
                outcome, model = self._tried(proposal, progress, train)
        except NotFinished:
            return None
        except CorruptFile:
            raise
        except (Exception, SystemExit) as error:  # a network of the user's may raise anything, and the search goes on
            if isinstance(error, OSError) and place_of(error, folders_of([proposal.spec.reference])) is None:
                raise  # of the folder of the run, by no fault of the proposal
            log.info("%s of the search failed", proposal.key, exc_info=error)
            why = str(error) if isinstance(error, AttarError) else f"It raised {summary(error)}{located(error)}."
            outcome, model = Outcome(state="failed", reason=why), None
        return self._kept(proposal, outcome, model)

    def found(self, proposal: Proposal) -> Outcome | None:
        """What came of a proposal; None of one that was not evaluated."""
        node = self._found(proposal.key, self._exempt(proposal))
        return None if node is None else _outcome(node.result)

    def give_up(self, proposal: Proposal, reason: str) -> Outcome:
        """Keep of a proposal that nothing can come of it.

        Args:
            proposal: Which.
            reason: In a sentence.
        """
        return self._kept(proposal, Outcome(state="failed", reason=reason), None)

    def size(self, proposal: Proposal) -> int:
        """How long its training is, in optimizer steps; one of a proposal whose steps are wrong."""
        try:
            trained = [step for step in self._steps(proposal) if isinstance(step, TrainingStep)]
        except BadInput:
            return 1
        tools = self._tools_of(proposal, silent)
        return max(1, sum(step.steps_per_epoch(tools) * step.settings.epochs for step in trained))

    def _tools_of(self, proposal: Proposal, progress: Progress) -> Tools:
        return tools_of(proposal, self.tools, self.subset, progress, self.meter.turns)

    def _tried(self, proposal: Proposal, progress: Progress, train: bool) -> tuple[Outcome, Node | None]:
        """What came of a proposal, and the node of its network; raises NotFinished for a training it must not do."""
        tools, steps = self._tools_of(proposal, progress), self._steps(proposal)
        with self.meter.turns.working():
            first = self.first(proposal)
            spec = first.spec
            for step in steps:
                spec = step.check(spec, tools.dataset)
            untrained = None if any(step.slims for step in steps) else self._untrained(first, steps, tools)
        exempt = self._exempt(proposal)
        figures, seconds = self._taken(untrained, exempt, train)
        reason = "" if exempt else self._beyond(figures)
        if reason:
            return Outcome(state="over_budget", figures=figures, reason=reason, seconds=seconds), None
        aside = Nodes(self.nodes.folder, self.nodes.reuse_from)
        if not train and not any(step.measures for step in steps):  # times are those of this machine alone
            aside = aside.finished_only()
            aside.from_workers.add(f"{FOLDER}/{proposal.key}")
        trained = run_steps(steps, first, tools, aside, name=f"{FOLDER}/{proposal.key}", allow=self.allow)
        training = sum(node.seconds for node in aside.done)
        seconds += training
        if len(steps) > 1:
            # All of them: by how much it is beyond the budget is not known of what was not measured.
            after = self.meter.figures(trained.model, trained=True, complete=True)
            figures, seconds = after.result["figures"], seconds + after.seconds
        with self.meter.turns.working():
            scored = {**figures, "score": _judged(trained, tools)}
        teacher = self.goal.teacher.get("quality_loss")
        if teacher is not None:
            scored["quality_loss"] = teacher - scored["score"]
        outcome = Outcome(state="trained", figures=scored, seconds=seconds, training_seconds=training)
        return outcome, aside.done[-1]

    def _exempt(self, proposal: Proposal) -> bool:
        """Whether limits on what may be used let it pass, which would have kept it from being trained."""
        return proposal.intermediate and any(limit.what in TAKES for limit in self.goal.limits)

    def _taken(self, untrained: Model | None, complete: bool, train: bool) -> tuple[Mapping[str, float], float]:
        """What is known of it before its training, and after how many seconds."""
        if untrained is None:
            return {}, 0.0
        node = self.meter.figures(untrained, trained=False, complete=complete)
        return node.result["figures"], 0.0 if node.reused and train else node.seconds

    def _beyond(self, figures: Mapping[str, float]) -> str:
        """Why it is not trained, in a sentence; empty for one that may be within the budget."""
        for limit in self.goal.beyond(figures, so_far=True):  # the one that is broken most
            excess = limit.excess(figures[limit.what], self.goal.teacher.get(limit.what), self.goal.score)
            return f"Not trained: {excess}."
        return ""

    def _steps(self, proposal: Proposal) -> list[Step]:
        """What is done to it, completed by what the search says for all."""
        return steps_of(proposal, self.objective, self.training)

    def first(self, proposal: Proposal) -> Model:
        """The model that a proposal begins with; raises BadInput where there is none."""
        first = self._fresh(proposal)
        if proposal.start is not None:
            start, example = self._start(proposal.start), self.tools.dataset.train.floats(slice(0, _ASKED))
            begin_with_(first.module, start.module, example)
        return first

    def _start(self, start: str) -> Model:
        """The trained model that another begins with."""
        if start == TEACHER:
            if self.teacher is None:
                raise BadInput(
                    "It is to begin with the teacher's weights, and the teacher is no network that has some."
                )
            return self.teacher
        nodes = [self._found(start, exempt) for exempt in (False, True)]
        model = next((node.result["model"] for node in nodes if node is not None and node.result["model"]), None)
        if model is None:
            raise BadInput(f"It is to begin with the weights of proposal {start}, which was not trained.")
        return load_model(self.nodes.folder / model, self.allow, seed=self.tools.seed)

    def _fresh(self, proposal: Proposal) -> Model:
        """An untrained model; one of values gives them in their units."""
        seed, spec = self.tools.seed + proposal.seed, proposal.spec
        if not has_units(self.tools.dataset.task.target):
            return fresh(spec, seed)
        values = known_labels(self.tools.dataset)
        if not any(isinstance(edit, ScaleOutputs) for edit in spec.edits):
            return fresh(spec, seed, values)
        model = fresh(spec, seed)
        for layer in model.module.modules():
            if isinstance(layer, ScaledOutputs):
                center, scale = center_and_scale(values)
                layer.center.copy_(center)
                layer.scale.copy_(scale)
        return model

    def _untrained(self, first: Model, steps: Sequence[Step], tools: Tools) -> Model:
        """The model in the form in which it would ship, without what a training would change."""
        model = first
        for step in steps:
            if isinstance(step, Quantize):
                model = step.run(model, tools).model
        return model

    # -- what is kept ------------------------------------------------------------------------------------------------

    @cached_property
    def _about(self) -> dict[str, Any]:
        """All that an outcome depends on besides the proposal."""
        goal = self.goal
        distill = Distill().completed(self.objective, self.training)
        return {
            "tools": self.tools.key,
            "subset": None if self.subset is None else self.subset.key,
            "distill": fields_of(distill),
            "goal": {
                "limits": [[limit.what, limit.amount, limit.relative] for limit in goal.limits],
                "prefer": goal.prefer,
                "teacher": dict(goal.teacher),
            },
            "meter": self.meter.settings,
            "teacher": None if self.teacher is None else digest(self.teacher.module),
        }

    @cached_property
    def _code(self) -> Mapping[str, str]:
        """The user's own code as it is now, by which networks are built: corrected, it may raise no more."""
        return own_code(self.allow)

    def _node(
        self, nodes: Nodes, key: str, exempt: bool, failed: bool, work: Callable[[Path], Mapping[str, Any]]
    ) -> Node:
        inputs = {"proposal": key, **({"exempt": True} if exempt else {}), **self._about}
        inputs |= {"failed": True, "code": dict(self._code)} if failed else {}
        return nodes.node(f"{FOLDER}/{key}/outcome", inputs, work, version=2)

    def _found(self, key: str, exempt: bool) -> Node | None:
        for failed in (False, True):
            with suppress(NotFinished):
                return self._node(self.nodes.finished_only(), key, exempt, failed, _never)
        return None

    def _kept(self, proposal: Proposal, outcome: Outcome, model: Node | None) -> Outcome:
        def work(_: Path) -> dict[str, Any]:
            return {
                **vars(outcome),
                "figures": dict(outcome.figures),
                "model": None if model is None else model.folder.relative_to(self.nodes.folder).as_posix(),
                "proposal": proposal.to_json(),
            }

        failed = outcome.state == "failed"
        return _outcome(self._node(self.nodes, proposal.key, self._exempt(proposal), failed, work).result)


def steps_of(proposal: Proposal, objective: Objective, training: Training) -> list[Step]:
    """What is done to the model of a proposal, completed by what a search says for all.

    Raises:
        BadInput: If a step of it is none.
    """
    given = [step_of(table) for table in proposal.steps]
    return [step.completed(objective, lasting(training, proposal.epochs)) for step in (Distill(), *given)]


def tools_of(proposal: Proposal, tools: Tools, subset: Tools | None, progress: Progress, turns: Turns | None) -> Tools:
    """What the steps of one proposal may use.

    Args:
        proposal: Which.
        tools: Of the search, with all examples.
        subset: With a part of them, for what need not see all; None for all of them.
        progress: Sees its trainings.
        turns: By which they let others measure.
    """
    seen = tools if proposal.on_all or subset is None else subset
    return replace(seen, seed=tools.seed + proposal.seed, progress=progress, threads=None, turns=turns)


def begin_with_(network: nn.Module, start: nn.Module, example: Tensor) -> nn.Module:
    """Give a fresh network the weights of another one, in place, as far as they fit.

    Args:
        network: With first weights of its own.
        start: A trained network.
        example: ``[rows, ...]`` inputs, by which it is seen which channels of it belong together.
    """
    given, groups = start.state_dict(), None
    if any(name not in given or given[name].shape != one.shape for name, one in network.state_dict().items()):
        try:
            groups = find_groups(open_attention_(copied(start)), example)
        except BadInput as error:  # of a network that nobody sees through, first positions are taken
            log.info("which channels of the network that another begins with belong together is not known: %s", error)
    warm_start(network, start, groups)
    return network


def lasting(training: Training, epochs: int) -> Training:
    """Settings of a training for another number of epochs: what it says of epochs is stretched with it."""
    share = epochs / training.epochs
    milestones = sorted({max(1, round(one * share)) for one in training.milestones})
    return replace(training, epochs=epochs, warmup_epochs=training.warmup_epochs * share, milestones=tuple(milestones))


def _judged(trained: Trained, tools: Tools) -> float:
    """The score that evidence has, and of which a budget says how much may be lost: by the task's first metric."""
    metric, mean = first_metric(tools.dataset.task), trained.score
    if tools.key["choose_by"] != metric.name:
        mean = replace(tools, choose_by=None).score(trained.network)
    return metric.score(np.array([mean]))


def _outcome(result: Mapping[str, Any]) -> Outcome:
    figures = {str(name): float(value) for name, value in result["figures"].items()}
    seconds, training = float(result["seconds"]), float(result["training_seconds"])
    reason = str(result["reason"])
    return Outcome(state=result["state"], figures=figures, reason=reason, seconds=seconds, training_seconds=training)


def _never(_: Path) -> NoReturn:
    raise AssertionError("who asks for finished nodes alone does no work")
