"""The tables of a study: figures from the evidence of its runs, the paper's beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from attar.evidence.compare import gap_closed, spread
from attar.recipes.schema.study import ColumnSection, RunSection, Study
from attar.report.panels.common import metrics_of


def tables_of(
    asked: Study, runs: Sequence[RunSection], evidences: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """One row per run; ours with its spread over the seeds, the paper's beside it.

    Args:
        asked: The study.
        runs: Those that are done, of which there are evidences.
        evidences: What was measured, by the name of the run.
    """
    for table in asked.tables:
        rows = []
        for run in runs:
            if table.runs is not None and run.name not in table.runs:
                continue
            cells: dict[str, Any] = {}
            for column in table.columns:
                ours = figure(_cell(run.name, column, evidences))
                cells[column.key] = {**ours, "paper": run.paper.get(column.key), "note": None}
            titled = {} if run.title is None else {"title": run.title}
            rows.append({"name": run.name, **titled, "cells": cells})
        if rows:
            columns = [column.model_dump(include={"key", "title", "unit", "better"}) for column in table.columns]
            yield {"title": table.title, "caption": table.caption, "columns": columns, "rows": rows}


def run_figures(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What a run ships and what it is held against: names, bytes, quality on test, and how many times less it costs.

    Args:
        evidence: Of the run.
    """
    models, titles = {model["name"]: model for model in evidence["models"]}, evidence.get("titles", {})
    ships = models[evidence["winner"]]
    teachers = [model for model in evidence["models"] if model["kind"] == "teacher"]
    teacher = next((one for one in teachers if one["runtime"] == ships["runtime"]), teachers[0])
    metric, ratios = metrics_of(evidence)[0], evidence["ratios"]
    faster = ratios["faster_batch1"]
    keys = ("name", "title", "unit", "higher_is_better")

    def shown(model: Mapping[str, Any]) -> dict[str, Any]:
        quality = {key: model["quality"].get(key) for key in (metric.name, "interval", "examples")}
        name = titles.get(model["name"], model["name"])
        return {"name": name, "size_bytes": model.get("size_bytes"), "quality": quality}

    return {
        "metric": {key: getattr(metric, key) for key in keys},
        "ships": shown(ships),
        "teacher": shown(teacher),
        "smaller": ratios["smaller"],
        "faster": faster["ratio"] if faster else None,
    }


def _cell(run: str, column: ColumnSection, evidences: Mapping[str, Mapping[str, Any]]) -> Any:
    """What a column says of a run; None where something that it needs is absent, or there is no way to go."""
    ours = at(evidences[run], column.path)
    if column.way is None:
        return ours
    start, end = (
        at(evidences.get(other or run, {}), path) for other, _, path in (w.rpartition(":") for w in column.way)
    )
    end = float(np.mean(end)) if isinstance(end, list) and end else end
    if not (isinstance(ours, list) and ours and isinstance(start, list) and start and isinstance(end, float | int)):
        return None
    # Seed goes with seed where the two have as many, as in a run; else every one is held against the mean.
    paired = start if len(start) == len(ours) else [float(np.mean(start))] * len(ours)
    closed = gap_closed(paired, ours, end)
    return None if closed is None else closed.to_json()


def at(evidence: Mapping[str, Any], path: str) -> Any:
    """What stands at a path of the evidence; None where something on the way is absent."""
    value: Any = evidence
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value


def figure(value: Any) -> dict[str, Any]:
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
