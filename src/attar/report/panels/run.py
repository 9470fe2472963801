"""All that the report of a run shows, in its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attar.evidence.panel import Panel
from attar.report.panels import mistakes, models, outcome, provenance, targets
from attar.report.panels.classes import classes
from attar.report.panels.common import Figures, first, metrics_of, titled, without_none
from attar.report.panels.layers import layers
from attar.report.panels.learning import curves, seeds, steps
from attar.report.panels.low_bits import low_bits
from attar.report.panels.pareto import measured, pareto_set
from attar.report.panels.search import search
from attar.report.panels.search_course import course
from attar.report.panels.specialists import specialists


def run_panels(evidence: Mapping[str, Any], of_steps: Sequence[Panel] = ()) -> list[Panel]:
    """The panels of a run.

    Args:
        evidence: All that was measured, as plain JSON values; what a run has not is absent or None, and has no panel.
        of_steps: What the steps of the student show of themselves.
    """
    run: Figures = titled(without_none(evidence))
    entries = run.get("models", [])
    winner = next((model for model in entries if model.get("name") == run.get("winner")), None)
    ordered = models.ordered(entries, winner)
    teacher, baseline, student = first(ordered, "teacher"), first(ordered, "baseline"), _student(ordered, winner)
    lines = outcome.lines(run)
    metrics = metrics_of(run)
    found = run.get("search", {})
    split = models.compared_on(ordered, metrics[0], judged="quality_loss" in lines)
    return [
        outcome.head(run, winner, teacher),
        *outcome.answers(run, winner),
        *provenance.use(run.get("how_to_load"), run.get("without_attar")),
        *outcome.budget(run),
        *models.frontier([*ordered, *measured(found)], winner, lines, metrics[0], split),
        *models.table(ordered, winner, student, metrics),
        *models.refusals(ordered),
        *classes(teacher, baseline, student),
        *mistakes.confusion(run.get("confusion", {})),
        *mistakes.mistakes(run.get("mistakes", {})),
        *search(found, metrics[0]),
        *pareto_set(found, winner, metrics[0]),
        *course(found, metrics[0]),
        *layers(found),
        *curves(run.get("curves", {}), metrics),
        *seeds(run.get("seeds", {}), metrics[0]),
        *steps(run.get("steps", {}), metrics[0]),
        *of_steps,
        *low_bits(run.get("precision", [])),
        *specialists(run.get("specialists", {})),
        *targets.bias_correction(run.get("bias_correction", {})),
        *targets.examples(run.get("examples", []), run.get("task", {}), run.get("temperature")),
        *targets.selection(run.get("selection", {}), run.get("against_single", {})),
        *targets.synthesis(run.get("synthesis", {})),
        *targets.stored(run.get("targets", {})),
        *provenance.warnings(run.get("warnings", [])),
        *provenance.stages(run.get("stages", [])),
        *provenance.machine(run.get("machine", {})),
        *provenance.recipe(run.get("recipe", {})),
    ]


def _student(ordered: Sequence[Figures], winner: Figures | None) -> Figures | None:
    """The student's entry: what ships, or, where that is the baseline, the student deployed in the same way."""
    if winner is not None and winner.get("kind") != "baseline":
        return winner
    found = [model for model in ordered if model.get("kind") in ("candidate", "student") and "quality" in model]
    how = None if winner is None else (winner.get("runtime"), winner.get("precision"))
    return min(found, key=lambda model: (model.get("runtime"), model.get("precision")) != how, default=None)
