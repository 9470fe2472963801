"""A study: several runs and sweeps side by side, with a paper's own figures beside ours."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from attar.deployment.torch_runner import open_torch
from attar.errors import BadInput, must, near, shown
from attar.evidence.compare import gap_closed, spread
from attar.evidence.machine import machine
from attar.evidence.measure import labels_of, predict_all
from attar.pipeline.section import Number, Section
from attar.pipeline.trained import Trained
from attar.recipes.compress import compress
from attar.recipes.context import Context
from attar.recipes.document import finite, headline
from attar.recipes.files import check_recipe_file, check_values, parsed, usable
from attar.recipes.read import STUDY, read
from attar.recipes.schema.recipe import Recipe
from attar.recipes.start import open_run
from attar.recipes.students import prepare_teacher, train_students
from attar.training.progress import Progress, silent
from attar.workspace import write_file

RULE = "chosen on validation, scored once on test"


class PaperSection(Section):
    """Where the figures beside ours come from."""

    citation: str
    address: str | None = None
    how_sure: str | None = Field(None, description="how the figures were found, and what to think of them")


class RunSection(Section):
    """One whole run, a row of the table."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    recipe: str
    changes: list[str] = Field(default_factory=list, description="dotted.key=value each")
    paper: dict[str, Number] = Field(default_factory=dict, description="the paper's figures, by the key of the column")


class ColumnSection(Section):
    """One figure of every run."""

    key: str
    title: str
    path: str = Field(
        description="where it stands in the evidence, dots between the keys, a number for a place in a list; "
        "a list is a figure per seed"
    )
    way: Annotated[list[str], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="two more places: the cell is how much of the way from the first to the second the figure has made "
        "(0 none, 1 all); RUN:PLACE is a place in the evidence of another run",
    )
    unit: str = ""
    better: Literal["lower", "higher"] | None = None


class TableSection(Section):
    """Some runs side by side, a row each."""

    title: str
    caption: str = ""
    runs: list[str] | None = Field(None, description="names of runs; all of them if left out")
    columns: Annotated[list[ColumnSection], Field(min_length=1)]


class SeriesSection(Section):
    """One line of a chart."""

    name: str
    changes: list[str] = Field(default_factory=list)
    inherit: dict[str, str] = Field(
        default_factory=dict, description="key of the recipe to the place in the evidence of the run that has its value"
    )


class PointSection(Section):
    """One value on the horizontal axis."""

    x: Number
    changes: list[str]


class SweepSection(Section):
    """Students trained over one setting, or two; drawn as a chart."""

    title: str
    caption: str = ""
    recipe: str = Field(description="the recipe of one of the runs, whose teacher and nodes are used")
    changes: list[str] = Field(default_factory=list)
    measure: Literal["rmse", "accuracy"]
    x_title: str
    log: bool = False
    levels: dict[str, str] = Field(default_factory=dict, description="name to place in the evidence of the run")
    series: Annotated[list[SeriesSection], Field(min_length=1)]
    points: Annotated[list[PointSection], Field(min_length=2)]


class Study(Section):
    """A whole study."""

    name: str
    title: str
    paper: PaperSection
    runs: Annotated[list[RunSection], Field(min_length=1)]
    tables: Annotated[list[TableSection], Field(min_length=1)]
    sweeps: list[SweepSection] = Field(default_factory=list)
    remarks: list[str] = Field(default_factory=list, description="what a reader must know to compare the figures")

    @model_validator(mode="after")
    def _names_fit(self) -> Study:
        names = [run.name for run in self.runs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"runs must have names of their own; {name!r} comes twice")
        for table in self.tables:
            for name in table.runs or ():
                if name not in names:
                    raise ValueError(f"table {table.title!r} must be of runs of the study. {near(name, names)}")
            for column in table.columns:
                for place in column.way or ():
                    run_, _, _ = place.rpartition(":")
                    if run_ and run_ not in names:
                        raise ValueError(
                            f"way of column {column.key!r} must name runs of the study. {near(run_, names)}"
                        )
        keys = {column.key for table in self.tables for column in table.columns}
        for run in self.runs:
            for key in run.paper:
                if key not in keys:
                    raise ValueError(f"paper of run {run.name!r} must have keys of columns. {near(key, keys)}")
        return self


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


def studies() -> dict[str, Path]:
    """The studies that come with Attar: name to file."""
    root = Path(str(resources.files("attar.recipes")))
    return {str(path.parent.relative_to(root)): path for path in sorted(root.rglob(STUDY))}


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
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the study"
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise BadInput(f"{path}: {key}: {message}; got {shown(first['input'])}. Correct that place.") from error


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
    names = [run.name for run in asked.runs]
    for name in only:
        if name not in names:
            raise must("--only", "attar study", "runs of the study", name, near(name, names))
    start = time.perf_counter()
    folder = Path(out) if out is not None else Path("runs") / asked.name
    runs = [run for run in asked.runs if not only or run.name in only]
    recipes = {run.name: read(run.recipe, [*run.changes, *changes], allow=allow) for run in runs}
    for sweep in asked.sweeps:  # a typing error shows before hours of training
        _points(sweep, changes, allow)
    changed = [f"Changed for this page: {', '.join(changes)}."] if changes else []
    found: dict[str, Any] = {
        "name": asked.name,
        "title": asked.title,
        "paper": asked.paper.model_dump(),
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
            recipes[run.name], out_of_run, device=device, progress=progress, reuse_from=earlier, workers=workers
        )
        evidences[run.name] = done.evidence
        found["runs"].append(
            {
                "name": run.name,
                "headline": headline(done.evidence),
                "report": str(done.report.relative_to(folder)),
                "outcome": done.outcome,
            }
        )
        found["warnings"] += [f"{run.name}: {text}" for text in done.evidence["warnings"]]
        found["tables"] = list(_tables(asked, [one for one in runs if one.name in evidences], evidences))
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


def _tables(
    asked: Study, runs: Sequence[RunSection], evidences: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """One row per run; ours with its spread over the seeds, the paper's beside it."""
    for table in asked.tables:
        rows = []
        for run in runs:
            if table.runs is not None and run.name not in table.runs:
                continue
            cells: dict[str, Any] = {}
            for column in table.columns:
                ours = _figure(_cell(run.name, column, evidences))
                cells[column.key] = {**ours, "paper": run.paper.get(column.key), "note": None}
            rows.append({"name": run.name, "cells": cells})
        if rows:
            columns = [column.model_dump(include={"key", "title", "unit", "better"}) for column in table.columns]
            yield {"title": table.title, "caption": table.caption, "columns": columns, "rows": rows}


def _cell(run: str, column: ColumnSection, evidences: Mapping[str, Mapping[str, Any]]) -> Any:
    """What a column says of a run; None where something that it needs is absent, or there is no way to go."""
    ours = _at(evidences[run], column.path)
    if column.way is None:
        return ours
    start, end = (
        _at(evidences.get(other or run, {}), path) for other, _, path in (w.rpartition(":") for w in column.way)
    )
    end = float(np.mean(end)) if isinstance(end, list) and end else end
    if not (isinstance(ours, list) and ours and isinstance(start, list) and start and isinstance(end, float | int)):
        return None
    # Seed goes with seed where the two have as many, as in a run; else every one is held against the mean.
    paired = start if len(start) == len(ours) else [float(np.mean(start))] * len(ours)
    closed = gap_closed(paired, ours, end)
    return None if closed is None else closed.to_json()


def _at(evidence: Mapping[str, Any], path: str) -> Any:
    """What stands at a path of the evidence; None where something on the way is absent."""
    value: Any = evidence
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _figure(value: Any) -> dict[str, Any]:
    """A number, a list of one number per seed, or a spread, as a cell of the table."""
    nothing: dict[str, Any] = {"mean": None, "sd": None, "n": None, "interval": None}
    if isinstance(value, Mapping) and "mean" in value:
        return {
            **nothing,
            "mean": value["mean"],
            "sd": value.get("sd"),
            "n": value.get("seeds"),
            "interval": value.get("interval"),
        }
    if isinstance(value, list) and value:
        over = spread([float(one) for one in value])
        return {"mean": over.mean, "sd": over.sd, "n": over.seeds, "interval": over.interval}
    return {**nothing, "mean": value} if isinstance(value, int | float) else nothing


def _points(
    sweep: SweepSection, changes: Sequence[str], allow: Sequence[str], evidence: Mapping[str, Any] | None = None
) -> list[tuple[SeriesSection, PointSection, Recipe]]:
    """Every training of a sweep, with its recipe; what is inherited only once there is evidence."""
    found = []
    for series in sweep.series:
        values = {} if evidence is None else {key: _at(evidence, path) for key, path in series.inherit.items()}
        inherited = [f"{key}={value}" for key, value in values.items() if value is not None]
        for point in sweep.points:
            all_changes = [*inherited, *sweep.changes, *series.changes, *point.changes, *changes]
            recipe = read(sweep.recipe, all_changes, allow=allow)
            if recipe.teacher.learns:
                rule = "false in a sweep, whose students have a frozen teacher"
                raise must("teacher.learns", f"sweep {sweep.title!r}", rule, True, "Make it a run of the study")
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
    drawn: dict[str, list[dict[str, Any]]] = {series.name: [] for series in sweep.series}
    for series, point, recipe in _points(sweep, changes, allow, evidence):
        with open_run(recipe, folder, device, progress, write_recipe=False, workers=workers) as context:
            students = train_students(context, prepare_teacher(context))
            scores = [_score(context, one, sweep.measure) for one in students]
        over = spread(scores)
        drawn[series.name].append({"x": point.x, "y": over.mean, "sd": over.sd, "n": over.seeds})
    levels = {name: _figure(_at(evidence, path))["mean"] for name, path in sweep.levels.items()}
    return {
        "title": sweep.title,
        "caption": f"{sweep.caption} {RULE[0].upper()}{RULE[1:]}.".strip(),
        "x": {"title": sweep.x_title, "log": sweep.log},
        "y": {"title": "RMSE" if sweep.measure == "rmse" else "accuracy", "unit": sweep.measure},
        "series": [{"name": name, "source": "ours", "points": points} for name, points in drawn.items()],
        "levels": [{"name": name, "y": y} for name, y in levels.items() if y is not None],
    }


def _score(context: Context, student: Trained, measure: str) -> float:
    test = context.dataset.test
    return test.task.metrics[measure].figure(predict_all(open_torch(student.network), test), labels_of(test))
