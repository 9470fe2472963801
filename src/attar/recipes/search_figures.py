"""What there is to know of a search, as plain values for the evidence and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from attar import formatting
from attar.budget import PREFERRED
from attar.pipeline.step import Tools
from attar.recipes.schema.recipe import Recipe
from attar.recipes.search_space import epochs_of, search_of, strategy_words, trainings_for, words_of
from attar.search.finalists import Finalist
from attar.search.goal import Goal
from attar.search.proposal import Trial
from attar.search.search import SearchResult
from attar.search.space import Space


def search_figures(
    recipe: Recipe,
    tools: Tools,
    space: Space | None,
    goal: Goal,
    result: SearchResult,
    best: Sequence[Finalist],
    winner: Trial,
    final_epochs: int,
    note: str = "",
) -> dict[str, Any]:
    """All trials with their figures, states and reasons, which of them nobody beats, and why one was taken.

    Args:
        recipe: With the search.
        tools: By which trials were scored.
        space: What was chosen from.
        goal: What was looked for.
        result: What came of it.
        best: Those that were trained again.
        winner: What was taken.
        final_epochs: For how long it is trained next.
        note: What else has to be known.
    """
    section = search_of(recipe)
    ranked = sorted(
        (one for one in result.trials if one.score is not None), key=lambda one: (*goal.rank(one), one.number)
    )
    finalist = next((one for one in best if one.trial is winner), None)
    decided = winner if finalist is None else replace(winner, proposal=finalist.proposal, figures=finalist.figures)
    why = _why(goal, result, sum(bool(one.again) for one in best), decided, final_epochs)
    return {
        "strategy": dict(section.strategy),
        "space": words_of(space),
        "epochs": epochs_of(recipe),
        "examples_each": section.examples,
        "proposals": section.proposals,
        "time": section.time,
        "seconds": result.seconds,
        "ended": result.ended,
        "examples": len(tools.validation),
        "teacher": dict(goal.teacher),
        "prefer": goal.prefer,
        "limits": _limits(goal),
        "trials": [_trial(one, goal) for one in result.trials],
        "order": [one.number for one in ranked],
        "frontier": [one.number for one in result.pareto],
        "finalists": [
            {
                "number": one.trial.number,
                "epochs": one.proposal.epochs,
                "quality": [goal.score.figure(other.figures["score"]) for other in one.again],
                "beyond": excess(one.figures, goal),
            }
            for one in best
            if one.again
        ],
        "winner": winner.number,
        "fewer_parameters": _fewer(goal, decided),
        "within": not goal.beyond(decided.figures) and decided.score is not None,
        "words": _words(recipe, space, result),
        "why": f"{why} {note}".strip(),
    }


def _fewer(goal: Goal, winner: Trial) -> float | None:
    """How many times fewer parameters what was taken has than the teacher; None where one of them is not known."""
    of, its = goal.teacher.get("parameters"), winner.figures.get("parameters")
    return of / its if of and its else None


def _limits(goal: Goal) -> dict[str, float]:
    """Where limits lie: the figure of quality that is the lowest, and the most of each other thing."""
    found = {}
    for limit in goal.limits:
        at, teacher = limit.at(goal.teacher.get(limit.what)), goal.teacher.get("quality_loss")
        if at is None:
            continue
        if limit.what != "quality_loss":
            found[str(limit.what)] = at
        elif teacher is not None:
            found["quality_loss"] = goal.score.figure(teacher - at)
    return found


def _trial(one: Trial, goal: Goal) -> dict[str, Any]:
    return {
        "number": one.number,
        "choices": dict(one.proposal.choices),
        "epochs": one.proposal.epochs,
        "start": one.proposal.start,
        "state": one.state,
        "quality": None if one.score is None else goal.score.figure(one.score),
        "figures": dict(one.figures),
        "reason": one.reason,
        "seconds": one.seconds,
        "beyond": "" if one.score is None else excess(one.figures, goal),
    }


def excess(figures: Mapping[str, float], goal: Goal) -> str:
    """By how much figures are beyond the budget, the limit that is broken most first."""
    broken = goal.beyond(figures)
    return "; ".join(
        limit.excess(figures.get(limit.what), goal.teacher.get(limit.what), goal.score) for limit in broken
    )


def _words(recipe: Recipe, space: Space | None, result: SearchResult) -> str:
    """What was searched, in a sentence."""
    first, *above = trainings_for(recipe)
    epochs, examples = first.total, search_of(recipe).examples
    some = "" if examples is None else f" on {formatting.grouped(examples)} of the examples"
    each = f"{formatting.plural(epochs, 'epoch')} each{some}"
    if above:  # networks that go on
        each = f"{epochs} to {formatting.plural(above[-1].total, 'epoch')} each{some}"
    by = strategy_words(search_of(recipe))
    return f"Looked for by the strategy {by}, {each}, in: {words_of(space)}.{_end(result)}"


def _end(result: SearchResult) -> str:
    """What a search ended by that was not done, in a sentence."""
    if result.ended == "strategy":
        return ""
    tried = any(one.state != "skipped" for one in result.trials)
    return f" The time was over before {'all of them were' if tried else 'any of them was'} tried."


def stages_in_words(stages: Sequence[Mapping[str, Any]]) -> str:
    """What the stages of N2N spent and by what they ended, in a sentence each.

    Args:
        stages: As `attar.search.strategies.n2n.N2N.spent` has them.

    Example:
        >>> stages_in_words([{"stage": "removal", "trainings": 9, "of": 25, "updates": 100, "ended": "updates"}])
        'Of 25 trainings the stage removal took 9, until its 100 updates were over and its policy drew nothing new.'
    """
    ends = {
        "nothing": ", as there was nothing to choose",
        "trainings": "",
        "updates": ", until its {updates} were over{new}",
        None: ", until the time was over",
    }
    found = []
    for one in stages:
        left = one["trainings"] < one["of"]
        new = " and its policy drew nothing new" if left and one is stages[-1] else ""
        end = ends[one["ended"]].format(updates=formatting.plural(one["updates"], "update"), new=new)
        took = formatting.grouped(one["trainings"]) if left else "all"
        found.append(f"Of {formatting.plural(one['of'], 'training')} the stage {one['stage']} took {took}{end}.")
    return " ".join(found)


def _why(goal: Goal, result: SearchResult, again: int, winner: Trial, final_epochs: int) -> str:
    """Why it was taken."""
    # Of what was taken the longer training counts, as in the sentence about it.
    of_all = [winner if one.number == winner.number else one for one in result.trials]
    tried = [one for one in of_all if one.state in ("trained", "over_budget")]
    within = [one for one in tried if one.score is not None and not goal.beyond(one.figures)]
    name = f"Student #{winner.number}"
    if winner.state == "skipped":
        return f"{name} was taken untried: the time was over before one was trained."
    if winner.score is None:
        reason = winner.reason.removeprefix("Not trained: ").rstrip(".")
        nearest = f"it comes nearest: {reason}" if reason else "it was the first"
        text = f"{name} was taken untried, as none could be trained; {nearest}."
        return f"{text} {binding(goal, tried)}".strip()
    if goal.beyond(winner.figures):
        beyond = excess(winner.figures, goal)
        text = f"No student that was tried is within the budget; #{winner.number} comes nearest: {beyond}."
        return f"{text} {binding(goal, tried)} {_to_come(goal, winner, final_epochs)}".strip()
    what = PREFERRED[goal.prefer]
    others = f", trained again with {again - 1} other{'' if again == 2 else 's'} of the best" if again > 1 else ""
    if not within:
        return f"{name} is within the budget{others}."
    if len(within) == 1:
        return f"{name} is the only one that was found within the budget{others}."
    return f"{name} is {what} of {formatting.grouped(len(within))} that were found within the budget{others}."


def _to_come(goal: Goal, winner: Trial, final_epochs: int) -> str:
    """That what was taken may yet lose less, where only its short training keeps it out of the budget."""
    tried = winner.proposal.epochs
    if tried >= final_epochs or any(limit.what != "quality_loss" for limit in goal.beyond(winner.figures)):
        return ""
    return (
        f"This is after {formatting.plural(tried, 'epoch')} of training; it is now trained for "
        f"{formatting.grouped(final_epochs)}, which may bring it within."
    )


def binding(goal: Goal, tried: Sequence[Trial]) -> str:
    """Which limit the smallest share of what was tried keeps, and what comes nearest to it, in a sentence.

    What is beyond one limit untrained is not known of another: of each limit those count whose figure is known.
    """
    known = {limit: [one.figures[limit.what] for one in tried if limit.what in one.figures] for limit in goal.limits}
    kept = {
        limit: sum(limit.keeps(figure, goal.teacher.get(limit.what)) for figure in figures)
        for limit, figures in known.items()
        if figures
    }
    if not kept:
        return ""
    tightest = min(kept, key=lambda limit: kept[limit] / len(known[limit]))
    asked = tightest.asked(goal.score, goal.teacher.get(tightest.what))
    some = f"{kept[tightest]} of {len(known[tightest])} keep{'s' if kept[tightest] == 1 else ''}"
    least = tightest.shown(min(known[tightest]), goal.score)
    nearest = f"; the least that was found is {least}" if not kept[tightest] else ""
    return f"The tightest limit is that of {asked}: {some} it{nearest}."
