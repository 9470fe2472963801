"""Others of a search's Pareto set, done as what it took is: trained in earnest, deployed, measured, kept as files."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from attar.errors import AttarError
from attar.evidence.evidence import Evidence
from attar.evidence.measure import labels_of, predict_all
from attar.outcome import sentence
from attar.pipeline.nodes import Node, Nodes
from attar.recipes.checks import check_networks, check_steps
from attar.recipes.choose import Choice, judged_on_test
from attar.recipes.contenders import Contender, Logits, deploy_candidates
from attar.recipes.context import Context
from attar.recipes.folder import RECIPE
from attar.recipes.measured import measure
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search_estimate import final_seconds
from attar.recipes.students import PreparedTeacher, Trainings, train_students
from attar.recipes.trackers import Trackers
from attar.recipes.winner import chosen, score_of
from attar.workspace import new_folder, write_file

log = logging.getLogger(__name__)

PARETO = "pareto"
"""The folder of a run that holds the others: each in a folder of its own, with its artifact and its recipe."""


@dataclass(frozen=True, kw_only=True)
class Other:
    """A student of the Pareto set besides the one that was taken.

    Attributes:
        number: Of its trial.
        recipe: The run's recipe with it as its student.
        contender: What of it ships, in the form that suits the budget best; None where there is none.
        choice: By which that form was chosen, on validation.
        validation: Its logits there.
        teacher: What the teacher beside it is called.
        measured: What was measured of these.
        why_not: Why there is nothing of it, as a sentence.
    """

    number: int
    recipe: Recipe
    contender: Contender | None = None
    choice: Choice | None = None
    validation: Logits | None = None
    teacher: str = ""
    measured: Mapping[str, Any] | None = None
    why_not: str = ""

    @property
    def folder(self) -> str:
        """Where it lies in the folder of the run."""
        return f"{PARETO}/student-{self.number}"


def pareto_set(
    context: Context,
    prepared: PreparedTeacher,
    recipes: Mapping[int, Recipe],
    most: float | None,
    memory: Mapping[str, int | None],
    search: str,
    busy: float = 1.0,
) -> list[Other]:
    """Train the others from one seed, without baselines, deploy and measure them, or find that done.

    What is a node of the run is found again. One that raises ends nothing: it is told.

    Args:
        context: The run.
        prepared: The teacher and its targets.
        recipes: By number of the trial.
        most: Seconds of everything; what would not end in time is not begun. None for no limit.
        memory: What was measured beside the winner, by name, of which the teachers' holds for these, too.
        search: What the search is known by, see `attar.recipes.search_space.search_key`.
        busy: How many times as long things take as they would on cores of their own.

    Raises:
        OSError: If files cannot be written.
    """
    found = []
    for number, recipe in recipes.items():
        one = Other(number=number, recipe=recipe)
        aside = replace(
            context,
            recipe=_once(recipe),
            nodes=Nodes(context.nodes.folder, context.nodes.reuse_from, progress=context.progress),
            trackers=Trackers(),
        )
        try:
            if not _in_time(context, aside, most, search, busy):
                found.append(replace(one, why_not="There was no time left for it."))
                continue
            found.append(_done(aside, prepared, one, memory))
        except OSError:
            raise
        except Exception as error:  # a network of the user's may raise anything, and the winner is there
            log.info("student #%d of the Pareto set failed", number, exc_info=error)
            why = str(error) if isinstance(error, AttarError) else f"It raised {type(error).__name__}: {error}"
            found.append(replace(one, why_not=why))
        context.nodes.done.append(_spent(context, aside, number))
    return found


def figures_of(context: Context, other: Other, latency: Mapping[str, Any], teacher: float) -> dict[str, Any]:
    """What is known of one of them, as plain values; reads the test data.

    Args:
        context: The run.
        other: Which.
        latency: Of what was timed beside the winner, by name and batch size, in whose milliseconds its own is told.
        teacher: The teacher's score on test.
    """
    if other.contender is None or other.choice is None or other.measured is None or other.validation is None:
        return {"number": other.number, "why_not": other.why_not}
    one, task, test = other.contender, context.dataset.task, context.dataset.test
    outputs = predict_all(one.runner, test, progress=context.progress)
    choice = judged_on_test(other.choice, teacher - score_of(task, outputs, labels_of(test)))
    entry = Evidence(
        name=f"student #{other.number}",
        kind="student",
        runtime=one.runtime,
        precision=one.precision,
        quality=task.quality(outputs, labels_of(test)),
        validation=task.quality(other.validation, labels_of(context.dataset.validation)),
        size_bytes=one.size_bytes,
        parameters=None if one.cost is None else one.cost.parameters,
        macs=None if one.cost is None else one.cost.macs,
        peak_memory_bytes=other.measured["memory"].get(one.name),
        refused=choice.refused.get(one.name),
    ).to_json()
    return {
        **entry,
        "number": other.number,
        "latency": _in_their_moment(other, one, latency),
        "faster": other.measured["faster"][one.name],
        "outcome": choice.outcome,
        "sentence": sentence(choice.budget, choice.outcome, choice.score),
        "folder": other.folder,
    }


def publish(folder: Path, others: Sequence[Other]) -> None:
    """Put their artifacts and recipes into the folder of a run, in place of those of an earlier one."""
    kept = [one for one in others if one.contender is not None]
    if not kept:
        shutil.rmtree(folder / PARETO, ignore_errors=True)
        return
    with new_folder(folder / PARETO) as copy:
        for one in kept:
            assert one.contender is not None and one.contender.artifact is not None, "candidates are artifacts"
            place = copy / Path(one.folder).name
            shutil.copytree(one.contender.artifact.folder, place / "artifact")
            document = one.recipe.document()
            write_file(place / RECIPE, tomli_w.dumps({**document, "name": f"{one.recipe.name}-{one.number}"}))


def _once(recipe: Recipe) -> Recipe:
    """The same recipe, its student trained from one seed and without a baseline."""
    document = recipe.document()
    student = {**document["student"], "seeds": 1}
    return from_document(
        {**document, "student": student, "baseline": False}, "the student that was found", recipe.trust
    )


def _in_time(context: Context, aside: Context, most: float | None, search: str, busy: float) -> bool:
    """Whether one would be done before the time is over; kept, as another moment would find another time."""
    if most is None:
        return True

    def work(_: Path) -> dict[str, Any]:
        return {"in_time": context.nodes.seconds + final_seconds(aside, aside.recipe, busy) <= most}

    inputs = {"student": aside.recipe.document()["student"], "time": most, "search": search}
    return bool(context.nodes.node("search/time-left", inputs, work).result["in_time"])


def _done(aside: Context, prepared: PreparedTeacher, one: Other, memory: Mapping[str, int | None]) -> Other:
    """One of them, trained, deployed and measured."""
    check_networks(aside.recipe, aside.dataset)
    check_steps(aside.recipe, aside.dataset)
    students = train_students(aside, prepared)
    trainings = Trainings(prepared.teacher, prepared.members, students, [], prepared)
    contenders, logits = deploy_candidates(aside, trainings).first_run(aside)
    known = {name: memory[name] for name, it in contenders.by_name.items() if it.kind == "teacher" and name in memory}
    measured = measure(aside, contenders, logits, known=known)
    choice = chosen(aside, contenders, logits, measured, {})
    winner = contenders.by_name[choice.winner]
    teacher = contenders.teacher_of(winner)
    return replace(
        one,
        contender=winner,
        choice=choice,
        validation=logits[winner.name],
        teacher="" if teacher is None else teacher.name,
        measured=measured,
    )


def _in_their_moment(other: Other, one: Contender, latency: Mapping[str, Any]) -> dict[str, Any]:
    """Its times in milliseconds of the moment in which the winner was timed: from its ratio to the teacher."""
    assert other.measured is not None, "asked of one that was measured"
    times: Mapping[str, Mapping[str, Any]] = other.measured["latency"][one.name]
    found = {}
    for batch, own in times.items():
        then, faster = latency.get(other.teacher, {}).get(batch), other.measured["faster"][one.name].get(batch)
        known = then is not None and faster is not None
        scale = then["median_ms"] / faster["ratio"] / own["median_ms"] if known else 1.0
        found[batch] = {name: value * scale if name.endswith("_ms") else value for name, value in own.items()}
    return found


def _spent(context: Context, aside: Context, number: int) -> Node:
    """All that was done for one of them, as one piece of work."""
    known = {node.key for node in context.nodes.done}
    new = [node for node in aside.nodes.pieces if node.key not in known]
    seconds, reused = sum((node.seconds for node in new), 0.0), all(node.reused for node in new)
    return Node(f"{PARETO}/student-{number}", "", context.nodes.folder, {}, seconds, reused)
