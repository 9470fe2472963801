"""A student looked for: what a search proposes is tried, and what it finds becomes the student of the recipe."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import tomli_w

from attar import formatting
from attar.data.datasets import Dataset
from attar.errors import AttarError, BadInput, must
from attar.network.scaled_outputs import ScaleOutputs
from attar.pipeline.nodes import FOLDER, RECORD, Node, Nodes
from attar.pipeline.section import training_table
from attar.processes import world_size
from attar.recipes.checks import check_networks, check_steps
from attar.recipes.context import Context
from attar.recipes.folder import writing
from attar.recipes.networks import fitted_to, unfitted
from attar.recipes.parallel import train_at_once
from attar.recipes.read import from_document
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search_figures import search_figures, stages_in_words
from attar.recipes.search_layers import layers_side_by_side
from attar.recipes.search_pool import evaluator_of, pool_for, seconds_each
from attar.recipes.search_space import (
    by_policy,
    epochs_of_finalist,
    middle_of,
    search_key,
    search_of,
    space_for,
    strategy_for,
    trainings_for,
    untried_of,
)
from attar.recipes.search_time import final_settings, in_fewer_views, seconds_before, shortened, time_for_search
from attar.recipes.stages import SEARCH, teacher_stage
from attar.recipes.students import PreparedTeacher, frozen_teacher, prepare_teacher, train_one
from attar.search.evaluate import TEACHER, Evaluator
from attar.search.finalists import Finalist, finalists
from attar.search.goal import Goal
from attar.search.pareto import beside
from attar.search.proposal import Proposal, Trial
from attar.search.search import SearchResult, search
from attar.search.strategies.n2n import N2N
from attar.search.strategy import Strategy
from attar.search.time_limit import TimeLimit
from attar.workspace import write_file

log = logging.getLogger(__name__)

FOUND = "found.toml"
"""The recipe of the same run without a search: it names the student that was found."""

POLICIES = "policies"
"""The folder of the policies that N2N taught: another search may begin with them."""


@dataclass(frozen=True)
class Searched:
    """A search that is over.

    Attributes:
        context: The run, its recipe with the student that was found.
        prepared: The teacher and its targets, which the search has used.
        before: Seconds that these took.
        spent: Seconds with those of the search.
        figures: What there is to know of the search, as plain values.
        pareto: Others of the Pareto set: number of the trial, and the recipe with it as its student.
        known_by: What the search is known by, see `attar.recipes.search_space.search_key`.
        busy: How many times as long things take as they would on cores of their own.
    """

    context: Context
    prepared: PreparedTeacher
    before: float
    spent: float
    figures: Mapping[str, Any]
    pareto: Mapping[int, Recipe]
    known_by: str
    busy: float = 1.0


def found_student(context: Context) -> Searched:
    """Look for the student of a recipe that names none, or find that done.

    Raises:
        BadInput: If the search cannot be done as the recipe wants it.
        AttarError: If not one proposal can be trained.
    """
    if world_size() > 1:
        raise BadInput(
            "A search trains in worker processes of its own, and torchrun started several. Run it without torchrun, "
            "with --workers."
        )
    asked, began = context.recipe, perf_counter()

    def so_far() -> float:
        return seconds_before(context.nodes, perf_counter() - began)

    context.stages.begin(teacher_stage(asked))
    train_at_once(context, ("teacher",), train_one)
    frozen = frozen_teacher(context)
    context = replace(context, teacher_fingerprint=frozen.teacher.fingerprint())
    recipe = in_fewer_views(context, frozen.teacher, frozen.examples.transfer, so_far)
    context = replace(context, recipe=recipe)
    prepared = prepare_teacher(context, frozen)
    context.stages.begin(SEARCH)
    evaluator, space = evaluator_of(context, prepared), space_for(recipe, context.dataset)
    goal, section = evaluator.goal, search_of(recipe)
    typical = found_recipe(recipe, context.dataset, middle_of(recipe, context.dataset, space))
    of_search = time_for_search(context, typical, so_far)
    before = so_far()
    if section.time is not None and before >= section.time:
        took, most = formatting.seconds(before), formatting.seconds(section.time)
        log.warning("teacher and targets took %s, and search.time is %s for all of the run", took, most)
    limit = TimeLimit(of_search.seconds, _time_file(context))
    each = seconds_each(context, typical)
    there = _count(context)
    strategy = strategy_for(recipe, context.dataset, space, goal)
    with pool_for(context, evaluator, typical, of_search.seconds) as pool:
        result = search(
            strategy,
            evaluator,
            goal,
            pool=pool,
            trainings=sum(one.networks for one in trainings_for(recipe)),
            time=limit.without(of_search.finalists),
            seconds_each=each,
            progress=context.progress,
            title="search",
        )
        result = replace(result, seconds=_took(context, limit))
        best = finalists(
            result.trials,
            evaluator,
            goal,
            epochs=epochs_of_finalist(recipe),
            count=section.finalists,
            seeds=section.seeds,
            on_all=evaluator.subset is not None,
            pool=pool,
            time=limit,
            seconds_each=each,
            progress=context.progress,
        )
    spent = Node("search", "", context.nodes.folder, {}, limit.spent, _count(context) == there)
    context.nodes.done.append(spent)
    if result.best is None and result.ended == "time" and space is not None:
        winner = _untried(len(result.trials), untried_of(recipe, context.dataset, space, goal))
        result = replace(result, trials=[*result.trials, winner])
    else:
        winner = _winner(result, best, goal, strategy)
    found = found_recipe(recipe, context.dataset, winner.proposal, result.trials)
    known_by = search_key(context)
    found = final_settings(
        replace(context, recipe=found),
        section.time,
        before + limit.spent,
        known_by,
        pace=_pace(best, winner, evaluator),
        busy=of_search.busy,
    )
    note = shortened(asked, found)
    check_networks(found, context.dataset)
    check_steps(found, context.dataset)
    with writing(context.nodes.folder):
        write_file(context.nodes.folder / FOUND, tomli_w.dumps(found.document()))
    figures = search_figures(
        recipe, evaluator.tools, space, goal, result, best, winner, found.student.training.epochs, note
    )
    figures["layers"] = _layers_of(context, evaluator, winner)
    if by_policy(recipe):
        assert isinstance(strategy, N2N), "named so"
        figures["course"], figures["stages"] = strategy.course(result.trials), strategy.spent(result.trials)
        figures["words"] = f"{figures['words']} {stages_in_words(figures['stages'])}"
        strategy.save(context.nodes.folder / POLICIES, result.trials)
    log.info("%s", figures["why"])
    known = _known(result.trials, best)
    others = beside(known, known[winner.number], goal, section.pareto)
    recipes = {one.number: found_recipe(recipe, context.dataset, one.proposal, result.trials) for one in others}
    context, spent_so_far = replace(context, recipe=found), before + limit.spent
    return Searched(context, prepared, before, spent_so_far, figures, recipes, known_by, of_search.busy)


def _untried(number: int, proposal: Proposal) -> Trial:
    """What is taken of a search whose time was over before anything was trained."""
    return Trial(number=number, proposal=proposal, state="skipped", reason="Not begun: the time was over.")


def _count(context: Context) -> int:
    """How many pieces of work of searches are in the folder of the run."""
    return sum(1 for _ in (context.nodes.folder / FOLDER / "search").rglob(RECORD))


def _took(context: Context, limit: TimeLimit) -> float:
    """Seconds of a search that is over, in all of its attempts: whoever finds it done adds nothing to them."""

    def work(_: Path) -> dict[str, Any]:
        return {"seconds": limit.spent}

    aside = Nodes(context.nodes.folder, context.nodes.reuse_from)  # it is a part of what `search` takes
    return float(aside.node("search/took", {"search": search_key(context)}, work).result["seconds"])


def _pace(best: Sequence[Finalist], winner: Trial, evaluator: Evaluator) -> float:
    """Seconds of an optimizer step of the winner, in its longest trainings; 0 where it was not trained."""
    again = [one for finalist in best if finalist.trial is winner for one in finalist.again] or [winner]
    return median(one.training_seconds / evaluator.size(one.proposal) for one in again)


def _time_file(context: Context) -> Path:
    """Where the time is kept that this search has spent."""
    return context.nodes.folder / "times" / f"search-{search_key(context)}.json"


def found_recipe(recipe: Recipe, dataset: Dataset, proposal: Proposal, trials: Sequence[Trial] = ()) -> Recipe:
    """The same recipe with a proposal as its student, and no search.

    One that came of the teacher's weights begins with what is kept of them, as it did in the search.

    Args:
        recipe: With a search.
        dataset: Its data, which may tell the teacher's network what it takes and gives.
        proposal: The student.
        trials: All of the search, among them those whose weights a proposal begins with.
    """
    document = {key: table for key, table in recipe.document().items() if key != "search"}
    network = NetworkSection.of(proposal.spec.without_edits(ScaleOutputs))
    teacher = recipe.teacher.network
    of_teacher = (
        teacher is not None
        and _root(proposal, trials) == TEACHER
        and network.unedited == fitted_to(teacher, dataset).unedited
    )
    if of_teacher and teacher is not None:
        network = teacher.model_copy(update={"edits": network.edits})  # what the data tell it, they tell both
    else:
        network = unfitted(network, dataset)
    student = {**document["student"], "network": network.model_dump(exclude_none=True)}
    student["training"] = training_table(recipe.student.training)
    if proposal.steps:
        student["steps"] = [{"use": "distill"}, *(dict(step) for step in proposal.steps)]
    if of_teacher:
        student["start"] = "teacher"
    return from_document({**document, "student": student}, "the student that was found", recipe.trust)


def check_search(recipe: Recipe, dataset: Dataset, folder: Path) -> Recipe:
    """See that there is something to look for and a strategy that can, before anything is trained.

    Args:
        recipe: With the search.
        dataset: Its data.
        folder: Of the run.

    Returns:
        The recipe with a student that stands for all of them.

    Raises:
        BadInput: Naming the key of the recipe.
    """
    space = space_for(recipe, dataset)
    strategy_for(recipe, dataset, space, Goal(limits=(), prefer=recipe.budget.prefer, teacher={}))
    policy = search_of(recipe).strategy.get("policy")
    if policy is not None and Path(policy).resolve() == (folder / POLICIES).resolve():
        rule, remedy = "a folder that this run does not write itself", "Copy it elsewhere, or give another --out"
        raise must("search.strategy.policy", "the recipe", rule, policy, remedy)
    return found_recipe(recipe, dataset, middle_of(recipe, dataset, space))


def _root(proposal: Proposal, trials: Sequence[Trial]) -> str | None:
    """With whose weights the first of those began of which a proposal goes on: the teacher's, or new ones."""
    by_key = {trial.proposal.key: trial.proposal for trial in trials}
    seen: set[str] = set()
    while proposal.start in by_key and proposal.start not in seen:
        assert proposal.start is not None, "a key of a trial"
        seen.add(proposal.start)
        proposal = by_key[proposal.start]
    return proposal.start


def _layers_of(context: Context, evaluator: Evaluator, winner: Trial) -> dict[str, Any]:
    """Layers of the teacher and of what was found; none of a network that nobody sees through."""
    teacher = None if evaluator.teacher is None else evaluator.teacher.spec.without_edits(ScaleOutputs)
    try:
        return layers_side_by_side(teacher, winner.proposal.spec.without_edits(ScaleOutputs), context.example)
    except Exception as error:  # a network of the user's may raise anything; that ends no search
        log.info("the layers of the student are not known", exc_info=error)
        return {}


def _nothing_proposed(strategy: Strategy) -> str:
    """Why a strategy proposed nothing, in a sentence."""
    drawn = strategy.course([]) if isinstance(strategy, N2N) else []
    why = next((reason for record in drawn for reason in record["invalid"]), "")
    return f"Nothing that its policies drew is a network. {why}" if why else "The strategy proposed nothing."


def _known(trials: Sequence[Trial], best: Sequence[Finalist]) -> list[Trial]:
    """Trials with what is known of them now: longer trainings tell more of those that were trained again."""
    again = {one.trial.number: one.figures for one in best}
    return [replace(one, figures=again.get(one.number, one.figures)) for one in trials]


def _winner(result: SearchResult, best: Sequence[Finalist], goal: Goal, strategy: Strategy) -> Trial:
    """The trial that was found best: the best finalist, or else the one that is nearest to the budget.

    Raises:
        AttarError: If all have failed.
    """
    if best:
        return best[0].trial
    left = [one for one in result.trials if one.state != "failed"]
    if not left:
        why = result.trials[0].reason if result.trials else _nothing_proposed(strategy)
        another = "search.strategy" if isinstance(strategy, N2N) else "search.space"
        raise AttarError(f"No student could be tried: {why} Give student.network, or another {another}.")
    return min(left, key=lambda one: (one.state == "skipped", goal.worst(one.figures)))
