"""A study: several runs and sweeps side by side, with a paper's own figures beside ours."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from attar.deployment.torch_runner import open_torch
from attar.errors import BadInput, must, near
from attar.evidence.compare import spread
from attar.evidence.machine import machine
from attar.evidence.measure import labels_of, predict_all
from attar.network.entry_point import entry_point
from attar.pipeline.trained import Trained
from attar.recipes.compress import compress
from attar.recipes.context import Context
from attar.recipes.document import finite, headline
from attar.recipes.files import check_recipe_file, check_values, parsed, usable
from attar.recipes.plan import Plan, plan
from attar.recipes.read import problem_in, read
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.study import PointSection, RunSection, SeriesSection, Study, SweepSection
from attar.recipes.shipped import studies
from attar.recipes.stages import OfRun, stages_to_students
from attar.recipes.start import open_run
from attar.recipes.students import prepare_teacher, train_students
from attar.recipes.study_tables import at, figure, run_figures, tables_of
from attar.training.progress import Progress, silent
from attar.workspace import write_file

_UNITS = {"rmse": "rmse", "share": "accuracy", "nats": "nats"}
"""How the page writes a figure, by its metric or by what that is counted in; others are plain numbers."""

RULE = "chosen on validation, scored once on test"


@dataclass(frozen=True)
class Studied:
    """A finished study.

    Attributes:
        folder: Where everything is.
        document: What the page shows, as ``study.json`` holds it.
    """

    folder: Path
    document: Mapping[str, Any]

    @property
    def page(self) -> Path:
        """The page to look at."""
        return self.folder / "study.html"


def read_study(path: str | Path) -> Study:
    """Read a study from a file, or a shipped one by its name.

    Raises:
        BadInput: If there is no such file, it is not TOML, or breaks the schema.
    """
    file, ready = usable(path, "STUDY"), studies()
    if not file.is_file() and str(path) in ready:
        file = ready[str(path)]
    elif not file.is_file() and not file.suffix:
        rule = "a TOML file or the name of a shipped study"
        raise must("STUDY", "attar study", rule, str(path), near(str(path), ready))
    else:
        check_recipe_file(file, ready, "attar study")
    document = parsed(file)
    check_values(document, str(path))
    try:
        return Study.model_validate(document)
    except ValidationError as error:
        raise BadInput(problem_in(Study, error.errors()[0], str(path))) from error


def _checked(
    asked: Study, out: Path | str | None, changes: Sequence[str], only: Sequence[str], allow: Sequence[str]
) -> tuple[Path, list[RunSection], dict[str, Recipe]]:
    """Where a study goes, the runs of it that are wanted, and their recipes, all of them read."""
    names = [run.name for run in asked.runs]
    for name in only:
        if name not in names:
            raise must("--only", "attar study", "runs of the study", name, near(name, names))
    runs = [run for run in asked.runs if not only or run.name in only]
    recipes = {run.name: read(run.recipe, [*run.changes, *changes], allow=allow) for run in runs}
    for sweep in asked.sweeps:  # a typing error shows before hours of training
        _points(sweep, changes, allow)
    return Path(out) if out is not None else Path("runs") / asked.name, runs, recipes


@entry_point
def plans(
    asked: Study,
    out: Path | str | None = None,
    *,
    changes: Sequence[str] = (),
    only: Sequence[str] = (),
    allow: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress = silent,
) -> list[Plan]:
    """Check every run of a study down to its data and networks, and say what it would do; nothing is trained.

    What runs have in common, such as a teacher, is made once and is in the plan of each. Sweeps are read, and are in no
    plan.

    Args:
        asked: The study.
        out: The folder that it would go to.
        changes: ``dotted.key=value`` each, as for `study`.
        only: Names of runs; the others are left out. All if empty.
        allow: Packages whose functions its recipes may name.
        device: Where networks would be trained.
        progress: Shown while data are downloaded.

    Raises:
        BadInput: If anything that the study names breaks a rule.
    """
    folder, runs, recipes = _checked(asked, out, changes, only, allow)
    return [plan(recipes[run.name], folder / "runs" / run.name, device=device, progress=progress) for run in runs]


@entry_point
def study(
    asked: Study,
    out: Path | str | None = None,
    *,
    changes: Sequence[str] = (),
    only: Sequence[str] = (),
    allow: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress = silent,
    command: str | None = None,
    workers: int | None = None,
) -> Studied:
    """Do every run and sweep of a study and draw its page; what an earlier attempt finished is found again.

    The page is drawn anew after each part, so that the figures can be looked at while the rest goes on.

    Args:
        asked: The study.
        out: The folder; by default ``runs/NAME``.
        changes: ``dotted.key=value`` each, for every recipe of the study; they go over what the study says.
        only: Names of runs; the others are left out, with the sweeps of their recipes. All if empty.
        allow: Packages whose functions its recipes may name, as for `attar.recipes.compress.compress`.
        device: Where networks are trained.
        progress: Sees every long step.
        command: What the user typed, for the page.
        workers: Processes that train beside each other, as for `attar.recipes.compress.compress`.

    Raises:
        BadInput: If anything that the study names breaks a rule.
    """
    start = time.perf_counter()
    folder, runs, recipes = _checked(asked, out, changes, only, allow)
    changed = [f"Changed for this page: {', '.join(changes)}."] if changes else []
    found: dict[str, Any] = {
        "name": asked.name,
        "title": asked.title,
        "paper": None if asked.paper is None else asked.paper.model_dump(),
        "attar": version("attar"),
        "command": command or f"attar study {asked.name}",
        "machine": machine(),
        "rule": RULE,
        "tables": [],
        "charts": [],
        "runs": [],
        "remarks": [*asked.remarks, *changed],
        "warnings": [],
    }

    def written() -> None:
        found["created"] = datetime.now(UTC).isoformat(timespec="seconds")
        found["seconds"] = time.perf_counter() - start
        write_file(folder / "study.json", json.dumps(finite(found), indent=1))
        from attar.report.study import render_study

        render_study(found, folder / "study.html")

    evidences: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        # A teacher that several runs have is trained once.
        earlier = [folder / "runs" / name for name in evidences]
        out_of_run = folder / "runs" / run.name
        done = compress(
            recipes[run.name],
            out_of_run,
            device=device,
            progress=OfRun(progress, run.name),
            reuse_from=earlier,
            workers=workers,
        )
        evidences[run.name] = done.evidence
        found["runs"].append(
            {
                "name": run.name,
                "title": run.title,
                **run_figures(done.evidence),
                "headline": headline(done.evidence),
                "report": str(done.report.relative_to(folder)),
                "outcome": done.outcome,
            }
        )
        found["warnings"] += [f"{run.title or run.name}: {text}" for text in done.evidence["warnings"]]
        found["tables"] = list(tables_of(asked, [one for one in runs if one.name in evidences], evidences))
        written()
    for sweep in asked.sweeps:
        base = next((run for run in runs if run.recipe == sweep.recipe), None)
        if base is None:
            continue
        found["charts"].append(
            _chart(sweep, changes, allow, folder / "runs" / base.name, evidences[base.name], device, progress, workers)
        )
        written()
    return Studied(folder, found)


def _points(
    sweep: SweepSection, changes: Sequence[str], allow: Sequence[str], evidence: Mapping[str, Any] | None = None
) -> list[tuple[SeriesSection, PointSection, Recipe]]:
    """Every training of a sweep, with its recipe; what is inherited only once there is evidence."""
    found = []
    for series in sweep.series:
        values = {} if evidence is None else {key: at(evidence, path) for key, path in series.inherit.items()}
        inherited = [f"{key}={value}" for key, value in values.items() if value is not None]
        for point in sweep.points:
            all_changes = [*inherited, *sweep.changes, *series.changes, *point.changes, *changes]
            recipe = read(sweep.recipe, all_changes, allow=allow)
            if recipe.teacher.learns:
                rule = "false in a sweep, whose students have a frozen teacher"
                raise must("teacher.learns", f"sweep {sweep.title!r}", rule, True, "Make it a run of the study")
            if recipe.search is not None:
                rule = "left out in a sweep, whose students are named"
                raise must(
                    "search", f"sweep {sweep.title!r}", rule, recipe.search.strategy, "Make it a run of the study"
                )
            found.append((series, point, recipe))
    return found


def _chart(
    sweep: SweepSection,
    changes: Sequence[str],
    allow: Sequence[str],
    folder: Path,
    evidence: Mapping[str, Any],
    device: str,
    progress: Progress,
    workers: int | None,
) -> dict[str, Any]:
    """The sweep's students trained and scored on test."""
    known = {one["name"]: one for one in evidence["task"]["metrics"]}
    metric = known.get(sweep.measure)
    if metric is None:
        rule = f"a metric of the task, which is {evidence['task']['use']}"
        raise must("measure", f"sweep {sweep.title!r}", rule, sweep.measure, near(sweep.measure, known))
    drawn: dict[str, list[dict[str, Any]]] = {series.name: [] for series in sweep.series}
    for series, point, recipe in _points(sweep, changes, allow, evidence):
        seen = OfRun(progress, f"{series.name}, {point.x:g}")
        with open_run(
            recipe, folder, device, seen, write_recipe=False, workers=workers, stages=stages_to_students
        ) as context:
            students = train_students(context, prepare_teacher(context))
            scores = [_score(context, one, sweep.measure) for one in students]
        over = spread(scores)
        drawn[series.name].append({"x": point.x, "y": over.mean, "sd": over.sd, "n": over.seeds})
    levels = {name: figure(at(evidence, path))["mean"] for name, path in sweep.levels.items()}
    return {
        "title": sweep.title,
        "caption": f"{sweep.caption} {RULE[0].upper()}{RULE[1:]}.".strip(),
        "x": {"title": sweep.x_title, "log": sweep.log},
        "y": {"title": metric["title"], "unit": _UNITS.get(metric["name"], _UNITS.get(metric["unit"], ""))},
        "series": [{"name": name, "source": "ours", "points": points} for name, points in drawn.items()],
        "levels": [{"name": name, "y": y} for name, y in levels.items() if y is not None],
    }


def _score(context: Context, student: Trained, measure: str) -> float:
    test = context.dataset.test
    quality = test.task.quality(predict_all(open_torch(student.network), test), labels_of(test))
    return float(getattr(quality, measure))
