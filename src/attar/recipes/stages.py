"""The stages of a run, as whoever watches it is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from attar.recipes.schema.recipe import Recipe
from attar.training.progress import Progress, Staged

TARGETS = "label the transfer set"
SEARCH = "look for a student"
DEPLOY = "deploy the candidates"
PREDICT = "predict on validation"
MEASURE = "measure time and memory"
PARETO = "train others of the Pareto set"
REPORT = "test what ships, write the report"


def teacher_stage(recipe: Recipe) -> str:
    """What is done about the teacher."""
    section = recipe.teacher
    if section.library is not None:
        return "train a library, select the teacher"
    if not section.trained_here:
        return "open the teacher"
    return "train the teacher" if section.count == 1 else f"train the {section.count} networks of the teacher"


def students_stage(recipe: Recipe) -> str:
    """What is done about students and baselines."""
    seeds = recipe.student.seeds
    who = "the student" if seeds == 1 else f"{seeds} students"
    if recipe.baseline:
        who += " and the baseline" if seeds == 1 else f" and {seeds} baselines"
    return f"train {'teacher, ' if recipe.teacher.learns else ''}{who}"


def stages_to_targets(recipe: Recipe) -> Iterator[str]:
    """The stages of a run until the transfer set is labelled, in order."""
    if not recipe.teacher.learns:
        yield teacher_stage(recipe)
        if recipe.transfer.cached:
            yield TARGETS


def stages_to_students(recipe: Recipe) -> Iterator[str]:
    """The stages of a run until students are trained, in order."""
    yield from stages_to_targets(recipe)
    if recipe.search is not None:
        yield SEARCH
    yield students_stage(recipe)


def stages_of(recipe: Recipe) -> Iterator[str]:
    """The stages of a whole run, in order."""
    yield from stages_to_students(recipe)
    yield from (DEPLOY, PREDICT, MEASURE)
    if recipe.search is not None and recipe.search.pareto:
        yield PARETO
    yield REPORT


class OfRun:
    """A `Progress` of one of several runs, whose stages say of which."""

    def __init__(self, progress: Progress, name: str) -> None:
        """``name`` is the run's."""
        self._progress, self._name = progress, name

    def __call__(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a piece of work of ``total`` steps."""
        return self._progress(title, total)

    def stage(self, title: str, number: int, count: int) -> None:
        """A stage of the run begins."""
        if isinstance(self._progress, Staged):
            self._progress.stage(f"{self._name}: {title}", number, count)
