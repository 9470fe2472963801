"""What prunes while a network is trained: it watches, and from time to time takes out what is worth least."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from attar.pruning.cost import Cost, Floats, Kept
from attar.pruning.edit import Prune, prune
from attar.pruning.emptied import still_there
from attar.pruning.group import Groups
from attar.pruning.importance.importance import Estimate, Importance
from attar.pruning.select import Selection
from attar.training.callbacks import Callback, TrainState

log = logging.getLogger(__name__)


@runtime_checkable
class Select(Protocol):
    """Chooses what goes next, as `attar.pruning.select.greedy` does."""

    def __call__(
        self, worth: Mapping[str, Tensor], cost: Cost, target: float, *, emptied: Collection[str] = ()
    ) -> Selection:
        """Choose.

        Args:
            worth: Of each group's units.
            cost: Of the network as it is.
            target: The cost to come down to.
            emptied: Groups that may lose all units.
        """
        ...


class Remaining:
    """The cost of a network some of whose units are gone, as a cost of what is left of it."""

    def __init__(self, cost: Cost, kept: Kept) -> None:
        """Of the network that keeps so many units, by the cost of the whole one."""
        self.cost, self.kept, self.noise = cost, kept, cost.noise

    def total(self, kept: Kept) -> float:
        """The cost where groups keep less than they have now."""
        return self.cost.total({**self.kept, **kept})

    def curve(self, group: str, counts: Any, kept: Kept) -> Floats:
        """As `attar.pruning.cost.Cost` says."""
        return self.cost.curve(group, counts, {**self.kept, **kept})

    def neighbors(self, group: str) -> frozenset[str]:
        """As that of the whole network."""
        return self.cost.neighbors(group)


@runtime_checkable
class Costs(Protocol):
    """What a network costs, as far as that is known by now.

    Of several processes the first knows it, and decides by it: each must ask for the same in the same order.
    """

    @property
    def cost(self) -> Cost:
        """Of the network as it was at first, by what its groups keep; for what is `agreed` on."""
        ...

    def total(self, kept: Kept) -> float:
        """What the network costs where its groups keep so many units."""
        ...

    def agreed(self, work: Callable[[], Any]) -> Any:
        """What the first process makes of the cost, in every process.

        Args:
            work: Gives what JSON can hold.
        """
        ...

    def look(self, network: nn.Module, kept: Kept) -> None:
        """Learn from the network as it is now, where there is anything to measure."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it up again."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When units go, and to which cost.

    Attributes:
        steps: After how many steps of the training, in rising order.
        costs: For each of these the cost to come down to at that time; the last is the target.
        again: Steps until more goes, where the network that is left turns out to cost more than was thought.
        times: How often more may go.
    """

    steps: tuple[int, ...]
    costs: tuple[float, ...]
    again: int
    times: int = 3

    @classmethod
    def gradual(cls, full: float, target: float, *, last: int, every: int, end: int | None = None) -> Plan:
        """Much at first, little at last: what is left above the target falls with the third power of time.

        This is the schedule of automated gradual pruning (AGP). Where more has to go after it, that is within the
        first half of the steps that are left, so that there are some to make up for it.

        Args:
            full: The cost of the whole network.
            target: The cost to come down to.
            last: The step of the last removal.
            every: Steps from one removal to the next.
            end: The last step of the training; None if nothing goes after ``last``.

        References:
            Zhu, Gupta, *To prune, or not to prune*, 2017, equation 1. arXiv:1710.01878
        """
        count = max(1, last // every)
        steps = tuple(max(1, last - every * (count - 1 - place)) for place in range(count))
        costs = tuple(target + (full - target) * (1 - (place + 1) / count) ** 3 for place in range(count))
        again = every if end is None else max(1, min(every, (end - last) // (2 * cls.times)))
        return cls(steps=steps, costs=costs, again=again)


_SMALL = 0.05
"""Nats of loss that a correction may always take."""


class Pruner(Callback):
    """Removes units on a schedule, until a cost is reached; what goes is chosen anew each time.

    Where the network that is left turns out to cost more than was thought, more goes; but not more than all that was
    planned is worth: then the cost is one that removals hardly bring down, and the network stays as it is.

    Attributes:
        edits: What was taken out, in order.
        removed: The same by the names of groups, each time numbered as they were before.
        course: One plain entry for each removal.
        worth: Of the units, by the name of their group, when the first of them went.
    """

    def __init__(
        self,
        groups: Groups,
        importance: Importance,
        costs: Costs,
        select: Select,
        plan: Plan,
        *,
        before: Kept | None = None,
        emptied: Collection[str] = (),
        seed: int = 0,
    ) -> None:
        """Begin with nothing removed.

        Args:
            groups: What can be removed from the network that is trained.
            importance: By what units are judged; signals that need data add up over the steps since a removal.
            costs: Of the network, or of the one that it comes from; see ``before``.
            select: What goes next.
            plan: When, and to which cost.
            before: How many units the network keeps of those that ``costs`` knows; None for all.
            emptied: Groups that may lose all their units.
            seed: Of what the signal draws.
        """
        self.importance, self.costs, self.select, self.plan, self.seed = importance, costs, select, plan, seed
        self._first, self._before, self.emptied = groups, dict(before or {}), frozenset(emptied)
        self._begin()

    def _begin(self) -> None:
        self.groups = self._first
        self.edits: list[Prune] = []
        self.course: list[dict[str, Any]] = []
        self.removed: list[dict[str, list[int]]] = []
        self.worth: dict[str, Tensor] = {}
        self._due = [*zip(self.plan.steps, self.plan.costs, strict=True)]
        self._estimate: Estimate | None = None
        self._saved: Mapping[str, Any] | None = None

    @property
    def kept(self) -> dict[str, int]:
        """How many units each group has left, of all that the costs know."""
        left = {group.name: group.units for group in self.groups.groups}
        return {**self._before, **{group.name: left.get(group.name, 0) for group in self._first.groups}}

    @property
    def target(self) -> float:
        """The cost to come down to."""
        return self.plan.costs[-1]

    @property
    def done(self) -> bool:
        """Whether nothing more goes."""
        return len(self.course) == len(self._due)

    def on_start(self, state: TrainState) -> None:
        """Begin to judge, or go on with it."""
        self._judge(state)
        if self._saved is not None and self._estimate is not None:
            self._estimate.load_state_dict(self._saved)

    def before_step(self, state: TrainState) -> None:
        """Take up what the step says of the units."""
        if self._estimate is not None:
            self._estimate.add(state.count)

    def after_step(self, state: TrainState) -> None:
        """Remove units, where it is time."""
        if self._estimate is None or state.step != self._due[len(self.course)][0]:
            return
        goal = self._due[len(self.course)][1]
        worth = self._estimate.per_group()
        self.worth = self.worth or worth
        chosen = self.costs.agreed(lambda: self._chosen(worth, goal))
        self._estimate.remove()
        self._estimate = None
        if chosen["loss_rise"] > self._allowed():
            cost = self.costs.total(self.kept)
            chosen = {"removed": {}, "cost": cost, "share": cost / self.costs.total({}), "loss_rise": 0.0}
        removed: dict[str, list[int]] = chosen["removed"]
        if removed:
            edit = prune(state.model, self.groups, removed)
            self.groups = self.groups.without(removed)
            self.edits.append(edit)
            self.removed.append(removed)
        self.course.append(
            {
                "step": state.step,
                "cost": chosen["cost"],
                "loss_rise": chosen["loss_rise"],
                "units": sum(map(len, removed.values())),
            }
        )
        units = self.course[-1]["units"]
        log.info("step %d: %d units less, %.3gx of the cost is left", state.step, units, chosen["share"])
        if removed:
            state.rebuild(edit.apply)
        else:
            self.after_rebuild(state)

    def after_rebuild(self, state: TrainState) -> None:
        """Judge what is left; see whether it costs what it should."""
        again = len(self._due) - len(self.plan.steps)
        if self.done and state.step and (again == 0 or self.course[-1]["units"]):
            self.costs.look(state.model, self.kept)
            if self.costs.total(self.kept) > self.target and again < self.plan.times:
                self._due.append((state.step + self.plan.again, self.target))
        self._judge(state)

    def rebuild(self, model: nn.Module) -> None:
        """Repeat all removals."""
        for edit in self.edits:
            edit.apply(model)

    def state_dict(self) -> dict[str, Any]:
        """What is gone, what comes, and what is known of the rest."""
        return {
            "removed": [{name: list(units) for name, units in one.items()} for one in self.removed],
            "edits": [edit.to_json() for edit in self.edits],
            "course": [dict(one) for one in self.course],
            "worth": dict(self.worth),
            "due": [list(one) for one in self._due],
            "costs": self.costs.state_dict(),
            "estimate": None if self._estimate is None else self._estimate.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state again."""
        self._begin()
        self.removed = [{name: list(units) for name, units in one.items()} for one in state["removed"]]
        for one in self.removed:
            self.groups = self.groups.without(one)
        self.edits = [Prune.from_json(one) for one in state["edits"]]
        self.course = [dict(one) for one in state["course"]]
        self.worth = dict(state["worth"])
        self._due = [(step, cost) for step, cost in state["due"]]
        self.costs.load_state_dict(state["costs"])
        self._saved = state["estimate"]

    def _allowed(self) -> float:
        """By how much the next removal may raise the loss: without a bound while it is planned."""
        planned = self.course[: len(self.plan.steps)]
        if len(planned) < len(self.plan.steps):
            return math.inf
        return max(_SMALL, sum(float(one["loss_rise"]) for one in planned))

    def _chosen(self, worth: Mapping[str, Tensor], goal: float) -> dict[str, Any]:
        """What goes next, as plain values."""
        emptied = [group.name for group in self.groups.groups if group.name in self.emptied]
        chosen = self.select(worth, Remaining(self.costs.cost, self.kept), goal, emptied=emptied)
        removed = {name: list(units) for name, units in chosen.removed.items() if units}
        share = chosen.cost / self.costs.cost.total({})
        return {"removed": removed, "cost": chosen.cost, "share": share, "loss_rise": chosen.loss_rise}

    def _judge(self, state: TrainState) -> None:
        """Begin to judge the units that are left, where any are to go."""
        if self._estimate is not None:
            self._estimate.remove()
        self._estimate = None
        self.groups = still_there(self.groups, state.model)
        if not self.done and self.groups.groups:
            self._estimate = self.importance.start(state.model, self.groups, seed=self.seed)
