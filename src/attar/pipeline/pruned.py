"""A network on its way down: trained while units go, once or in rounds, as long as its quality allows."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from attar.errors import CorruptFile
from attar.network.copying import copied
from attar.network.weights import load_weights, save_weights
from attar.processes import barrier, broadcast, rank
from attar.pruning.edit import Prune
from attar.pruning.emptied import still_there
from attar.pruning.group import Groups
from attar.records import read_record, to_text
from attar.workspace import write_file

log = logging.getLogger(__name__)

ROUNDS_FOLDER = "rounds"
"""Where finished rounds are kept until all of them are."""

FIRST_CUT = 0.8
"""To which share of its cost a network comes down in the first round."""

LEAST_CUT = 0.04
"""A round that would save less of the cost is not worth its training."""


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A network that lost units in a training.

    Attributes:
        network: The network.
        edits: What was taken out, in order.
        removed: The same by the names of groups, each time numbered as they were before.
        score: On validation, higher is better.
        training: What is remembered of the training.
        history: One entry for each of its epochs.
        course: One entry for each removal.
        costs: What is known of costs by now, as plain values.
        worth: Of the units, by the name of their group, when the first of them went.
    """

    network: nn.Module
    edits: Sequence[Prune] = ()
    removed: Sequence[Mapping[str, Sequence[int]]] = ()
    score: float
    training: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    course: Sequence[Mapping[str, Any]] = ()
    costs: Mapping[str, Any] = field(default_factory=dict)
    worth: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def left(self, groups: Groups) -> Groups:
        """The groups of the network, from those that it had before."""
        for one in self.removed:
            groups = groups.without(one)
        return still_there(groups, self.network)

    def followed_by(self, later: Pruned) -> Pruned:
        """Both, one after the other: epochs and steps are counted on."""
        epochs, steps = len(self.history), self.training.get("steps", 0)
        return replace(
            later,
            edits=(*self.edits, *later.edits),
            removed=(*self.removed, *later.removed),
            history=(*self.history, *({**one, "epoch": one["epoch"] + epochs} for one in later.history)),
            course=(*self.course, *({**one, "step": one["step"] + steps} for one in later.course)),
            training={
                **later.training,
                "steps": later.training["steps"] + steps,
                "best_epoch": later.training["best_epoch"] + epochs,
            },
            worth=self.worth or later.worth,
        )


@dataclass(frozen=True, kw_only=True)
class Round:
    """One training of several, and what became of it.

    Attributes:
        goal: The cost to come down to.
        cost: What was reached.
        score: On validation.
        accepted: Whether the loss of quality was within the limit, and the cost below that before.
    """

    goal: float
    cost: float
    score: float
    accepted: bool


class FinishedRounds:
    """Finished rounds in a folder, by which a step that was killed goes on."""

    def __init__(self, folder: Path | None) -> None:
        """Look nowhere yet.

        Args:
            folder: Of the step; None keeps nothing.
        """
        self.folder = None if folder is None else folder / ROUNDS_FOLDER

    def place(self, number: int) -> Path | None:
        """The folder of a round, there to be written to."""
        if self.folder is None:
            return None
        place = self.folder / f"{number:03}"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def once(self, number: int, before: nn.Module, work: Callable[[Path | None], Pruned]) -> Pruned:
        """A round as it was finished before, or now.

        Args:
            number: Which.
            before: The network that it begins with; not changed.
            work: Does it; its folder may have a checkpoint.
        """
        place = self.place(number)
        if place is None:
            return work(None)
        record = broadcast(_read(place / _RECORD) if rank() == 0 else None)
        if record is None:
            done = work(place)
            if rank() == 0:
                _write(place, done)
            barrier()
            return done
        names = {one.name for one in fields(Pruned)} - {"network"}
        if record.keys() != names:
            raise CorruptFile(f"{place / _RECORD} is not the record of a round. Delete the folder {place}.")
        edits = [Prune.from_json(one) for one in record.pop("edits")]
        network = copied(before)
        for edit in edits:
            network = edit.apply(network)
        return Pruned(network=load_weights(network, place / _WEIGHTS).eval(), edits=edits, **record)


_RECORD, _WEIGHTS = "round.json", "weights.safetensors"


def _write(place: Path, done: Pruned) -> None:
    """The weights, and then the record, by which they count."""
    save_weights(done.network, place / _WEIGHTS)
    document = {name: value for name, value in vars(done).items() if name != "network"}
    write_file(place / _RECORD, to_text({**document, "edits": [edit.to_json() for edit in done.edits]}))


def _read(path: Path) -> dict[str, Any] | None:
    return read_record(path, f"Delete the folder {path.parent}.", finite=False) if path.is_file() else None


def in_rounds(
    start: Pruned,
    train: Callable[[Pruned, float, Path | None], Pruned],
    within: Callable[[float], bool],
    cost: Callable[[Pruned], float],
    recall: Callable[[Pruned], None],
    least: Callable[[], float],
    finished: FinishedRounds,
    most: int,
) -> tuple[Pruned, list[Round]]:
    """As much removed as the quality allows.

    A round comes down to 0.8 of the cost that there is. Where that loses too much, the network stays as it was and
    smaller cuts are tried, until they save next to nothing.

    Args:
        start: The network as it is.
        train: A training with removals: from what, to which cost, and where its checkpoint may be.
        within: Whether a score loses no more than may be lost.
        cost: Of a network, as far as that is known when it is asked.
        recall: Takes up what a training learned of costs.
        least: The lowest cost that can be reached.
        finished: Rounds that need not be done again.
        most: Rounds at most.

    Returns:
        What was accepted at last, the start where nothing was; and all rounds.
    """
    accepted, rounds, factor = start, list[Round](), FIRST_CUT
    while len(rounds) < most:
        now = cost(accepted)
        goal = max(factor * now, least())
        if goal > (1 - LEAST_CUT) * now:
            break
        at_first = accepted

        def work(place: Path | None, at_first: Pruned = at_first, goal: float = goal) -> Pruned:
            return train(at_first, goal, place)

        done = finished.once(len(rounds) + 1, at_first.network, work)
        recall(done)
        tried = at_first.followed_by(done)
        reached = cost(tried)
        accept = bool(broadcast(bool(done.edits) and reached < now and within(tried.score)))
        rounds.append(Round(goal=goal, cost=reached, score=tried.score, accepted=accept))
        log.info("round %d: cost %.6g of %.6g, %s", len(rounds), reached, now, rounds[-1])
        if rounds[-1].accepted:
            accepted = tried
        else:
            factor = math.sqrt(factor)
    return accepted, rounds
