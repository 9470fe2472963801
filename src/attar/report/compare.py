"""Runs side by side: one table, a row a run, for the terminal and for a page of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from attar import formatting
from attar.errors import BadInput, shown
from attar.evidence.panel import AnyCell, Axis, Block, Cell, Chart, Column, Items, Layer, Panel, Table, Text, Tone
from attar.formatting import plural
from attar.outcome import Outcome
from attar.report.panels.common import TONES, known, listed, sentence

_COLORS = 8


class _Metric(BaseModel):
    name: str
    title: str
    unit: str = ""


class _Task(BaseModel):
    use: str | None = None
    data: str | None = None
    test: int | None = None
    classes: list[str] | None = None
    metrics: list[_Metric] = Field(default_factory=list)


class _Latency(BaseModel):
    median_ms: float | None = None


class _Model(BaseModel):
    name: str
    quality: dict[str, Any] | None = None
    size_bytes: float | None = None
    latency: dict[str, _Latency] | None = None
    refused: str | None = None


class _Verdict(BaseModel):
    sentence: str
    difference: float | None = None
    interval: tuple[float, float] | None = None
    examples: int | None = None


class _Ratio(BaseModel):
    ratio: float | None = None


class _Ratios(BaseModel):
    smaller: float | None = None
    faster_batch1: _Ratio | None = None


class _Budget(BaseModel):
    outcome: Outcome | None = None


class _Machine(BaseModel):
    cpu: str | None = None


class _Run(BaseModel):
    """What is read of the evidence; all else that it holds does not matter here."""

    name: str = ""
    task: _Task = Field(default_factory=_Task)
    models: list[_Model]
    winner: str
    verdict: _Verdict | None = None
    ratios: _Ratios = Field(default_factory=_Ratios)
    machine: _Machine | None = None
    budget: _Budget = Field(default_factory=_Budget)

    @property
    def ships(self) -> _Model:
        return next((model for model in self.models if model.name == self.winner), _Model(name=self.winner))

    @property
    def metric(self) -> _Metric:
        """The first one of the task, by which people know it."""
        return (self.task.metrics or [_Metric(name="accuracy", title="accuracy", unit="share")])[0]


class Comparison:
    """Some runs side by side.

    Attributes:
        table: A row for each.
        warnings: Why some of its figures cannot be held against each other; empty where they can.
        panels: The same as a page, with a chart.
    """

    def __init__(self, evidence: Mapping[str, Mapping[str, Any]]) -> None:
        """Compare runs.

        Args:
            evidence: Of each run, under the name that its row has.

        Raises:
            BadInput: If something that is compared is of another form.
        """
        runs = {name: _read(name, document) for name, document in evidence.items()}
        self.table = _table(runs)
        self.warnings = _warnings(runs)
        title = f"{plural(len(runs), 'run')} side by side"
        blocks: list[Block] = [Items(self.warnings, alerts=True)] if self.warnings else []
        note = (
            "Qualities are on test and have their 95% intervals below. The gain is the student's over the baseline, "
            "the same network trained on the labels alone. Sizes are what a runtime needs on disk; shares are of the "
            "teacher in the same runtime."
        )
        self.panels = [Panel(title, blocks, place="head"), Panel("Runs", [self.table, Text(note)]), *_drawn(runs)]


def _read(name: str, document: Mapping[str, Any]) -> _Run:
    try:
        return _Run.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the evidence"
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise BadInput(
            f"{place} in the evidence of {shown(name)} cannot be compared; {message}; got {shown(first['input'])}. "
            "Run attar compress again: it writes the evidence anew."
        ) from error


def _table(runs: Mapping[str, _Run]) -> Table:
    titles = {run.metric.title for run in runs.values()}
    quality = titles.pop() if len(titles) == 1 else "quality"
    columns = [
        Column(title="Run", note="of recipe"),
        Column(title="Ships", words=True),
        Column(title=quality[:1].upper() + quality[1:], note="95% interval"),
        Column(title="Gain", note="points"),
        Column(title="Size", note="of teacher"),
        Column(title="Batch 1", note="of teacher"),
        Column(title="Budget", words=True),
    ]
    rows = [_row(name, run, quality) for name, run in runs.items()]
    return Table(columns, rows)


def _row(name: str, run: _Run, title: str) -> list[AnyCell]:
    ships, ratios = run.ships, run.ratios
    figure, interval = _quality(run)
    batch1 = (ships.latency or {}).get("1")
    faster = None if ratios.faster_batch1 is None else ratios.faster_batch1.ratio
    own = "" if title == run.metric.title else f"{run.metric.title}, "
    return [
        Cell(text=name, note="" if run.name == name else run.name),
        Cell(text=ships.name, note="nearest, refused" if ships.refused else "", tone="bad" if ships.refused else ""),
        Cell(text=figure, note=f"{own}{interval}".removesuffix(", ")),
        _helped(run.verdict, run.metric),
        Cell(text=known(formatting.size, ships.size_bytes), note=_share(ratios.smaller)),
        Cell(text=known(formatting.milliseconds, batch1.median_ms if batch1 else None), note=_share(faster)),
        _outcome(run),
    ]


def _quality(run: _Run) -> tuple[str, str]:
    """The figure of what ships and its interval, as texts."""
    quality, metric = run.ships.quality or {}, run.metric
    figure, interval, examples = quality.get(metric.name), quality.get("interval"), quality.get("examples")
    if not isinstance(figure, int | float):
        return formatting.ABSENT, ""
    ends = interval if isinstance(interval, list) and len(interval) == 2 else []
    known_ends = [end for end in ends if isinstance(end, int | float)]
    many = examples if isinstance(examples, int) else None
    if metric.unit == "share":
        shown_interval = formatting.percent_interval(known_ends, many) if len(known_ends) == 2 else ""
        return formatting.percent(figure, many), shown_interval
    return formatting.significant(figure, 4), " to ".join(formatting.significant(end, 4) for end in known_ends)


def _helped(verdict: _Verdict | None, metric: _Metric) -> Cell:
    """What the teacher added: colored where the interval leaves out nothing at all."""
    if verdict is None or verdict.difference is None:
        return Cell(text=formatting.ABSENT, note="no baseline" if verdict is None else "")
    if metric.unit != "share":
        # Scores of other tasks are no figures that people know, and differ in scale.
        return Cell(text=verdict.sentence)
    points = formatting.points(verdict.difference, verdict.examples)
    if verdict.interval is None:
        return Cell(text=points)
    low, high = verdict.interval
    tone: Tone = "good" if low > 0 else "bad" if high < 0 else ""
    ends = (formatting.points(end, verdict.examples) for end in (low, high))
    return Cell(text=points, note=" to ".join(ends).replace(" ", "\N{NO-BREAK SPACE}"), tone=tone)


def _share(ratio: float | None) -> str:
    """A teacher that is 20 times as large, as the share of it that is left."""
    return "" if not ratio or ratio <= 0 else f"{formatting.trimmed(1 / ratio)}\N{MULTIPLICATION SIGN}"


def _outcome(run: _Run) -> Cell:
    outcome = run.budget.outcome
    return Cell(text=outcome or "no real limit", tone=TONES.get(outcome, "faint"))


def _warnings(runs: Mapping[str, _Run]) -> list[str]:
    """Which figures cannot be held against each other."""
    warnings = []
    if len(tasks := _grouped({name: run.metric.title for name, run in runs.items()})) > 1:
        warnings.append(
            f"The runs are judged by different figures: {_listed(tasks)}. Their qualities cannot be compared."
        )
    elif len(data := _grouped({name: _data(run.task) for name, run in runs.items()})) > 1:
        warnings.append(f"The runs are of different data: {_listed(data)}. Their qualities cannot be compared.")
    machines = {name: run.machine.cpu for name, run in runs.items() if run.machine is not None and run.machine.cpu}
    if len(_grouped(machines)) > 1:
        warnings.append("The runs were measured on different machines: compare their ratios, not their times.")
    return warnings


def _data(task: _Task) -> str:
    what = [task.data or "unnamed data"]
    what += [] if task.classes is None else [f"{len(task.classes)} classes"]
    what += [] if task.test is None else [f"{formatting.grouped(task.test)} test examples"]
    return " with ".join([what[0], *([", ".join(what[1:])] if what[1:] else [])])


def _grouped(values: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    return groups


def _listed(groups: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(
        f"{listed(names, 4)} {'have' if len(names) > 1 else 'has'} {value}" for value, names in groups.items()
    )


def _drawn(runs: Mapping[str, _Run]) -> list[Panel]:
    """What ships, quality against size; nothing where the qualities are not of one kind."""
    metrics = {run.metric.name for run in runs.values()}
    rows: list[dict[str, Any]] = []
    for number, (name, run) in enumerate(runs.items()):
        quality = (run.ships.quality or {}).get(run.metric.name)
        if isinstance(quality, int | float) and run.ships.size_bytes:
            figure, interval = _quality(run)
            spread = (run.ships.quality or {}).get("interval")
            low, high = spread if isinstance(spread, list) and len(spread) == 2 else (None, None)
            rows.append(
                {
                    "x": run.ships.size_bytes,
                    "y": quality,
                    "low": low,
                    "high": high,
                    "color": f"series-{number % _COLORS}",
                    "run": name,
                    "model": run.ships.name,
                    "quality": f"{figure} ({interval})" if interval else figure,
                    "size": formatting.size(run.ships.size_bytes),
                }
            )
    if len(metrics) > 1 or len(rows) < 2:
        return []
    metric = next(iter(runs.values())).metric
    tooltip = {"run": "run", "model": "model", "quality": metric.title, "size": "size"}
    # Runs with the same figures have one name at their place, of all of them.
    places: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
    for row in rows:
        places.setdefault((row["x"], row["y"] if row["high"] is None else row["high"]), []).append(row)
    labels = [
        {"x": x, "y": y, "text": ", ".join(row["run"] for row in there), "color": there[0]["color"]}
        for (x, y), there in places.items()
    ]
    chart = Chart(
        title="",
        x=Axis(title="bytes on disk", unit="bytes", log=True),
        y=Axis(title=f"{metric.title} on test", unit="accuracy" if metric.unit == "share" else ""),
        layers=[
            Layer(name="intervals", mark="whiskers", rows=[row for row in rows if row["high"] is not None]),
            Layer(name="runs", mark="points", rows=rows, tooltip=tooltip, size=80),
            Layer(name="names", mark="labels", rows=labels),
        ],
        description=f"{sentence(metric.title)} What ships of each run, against its size.",
    )
    return [Panel(f"{sentence(metric.title).rstrip('.')} against size", [chart])]
