"""How the models learned, and what came of every seed and every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attar import formatting
from attar.evidence.panel import Axis, Beside, Block, Cell, Chart, Column, Layer, Legend, Panel, Table, Text
from attar.report.panels.common import ROLES, Figures, Metric, known, spread

_POINTS_OF_A_CURVE = 300
_EXAMPLES = 10_000
"""Figures of single seeds and means of several have two decimals."""


def curves(found: Mapping[str, Sequence[Figures]], metrics: Sequence[Metric]) -> list[Panel]:
    """What epochs are chosen by, of all runs in one chart, then the loss of each role in its own.

    Losses of different objectives are not on one scale, so they do not share an axis.

    Args:
        found: Per run, named ``role/number``, one record an epoch.
        metrics: Of the task, of which epochs may have been chosen by any.
    """
    rows = [row for name in found for row in _curve(name, found[name], metrics)]
    judged = [_lines(rows, one.name, f"validation {one.title}", one.is_share, 280, of=one) for one in metrics]
    by_role = {role: [row for row in rows if row["color"] == role] for role in ROLES}
    losses = [
        _lines(some, "loss", "training loss", False, 170, f"Loss of the {role}") for role, some in by_role.items()
    ]
    large, small = ([chart for chart in charts if chart is not None] for charts in (judged, losses))
    if not large and not small:
        return []
    roles = [role for role in ROLES if any(name.split("/")[0] == role for name in found)]
    note = (
        "One thin line per seed or member. Losses of different objectives are not on one scale, so each role has its "
        "own axis."
    )
    if any(layer.name == "best" for chart in large for layer in chart.layers):
        note += " A dot is the best epoch of a line."
    if any(chart.y.low is not None for chart in large):
        note += " The chart above begins where the last half of each line does; beginnings that are worse are cut off."
    blocks: list[Block] = [Legend([("dot", role, role) for role in roles]), *large, Beside(small, small=True)]
    return [Panel("Learning", [*blocks, Text(note)])]


def seeds(found: Figures, metric: Metric) -> list[Panel]:
    """Student and baseline seed by seed, and how much of the gap between baseline and teacher was closed.

    Args:
        found: ``baseline`` and ``student`` (accuracies), ``teacher``, ``gap_closed``, ``rmse`` (the same of errors).
        metric: The first one of the task; where it is no share, errors alone are figures that people know.
    """
    baseline, student = found.get("baseline", []), found.get("student", [])
    if not baseline:
        return _students_alone(student, metric)
    if not metric.is_share:
        return [Panel("Seeds", [*_closed({**found, "teacher": None}), *_errors(found.get("rmse"), metric.title)])]
    pairs = [(_at(baseline, index), _at(student, index)) for index in range(max(len(baseline), len(student)))]
    gains = [None if None in pair else pair[1] - pair[0] for pair in pairs]  # type: ignore[operator]
    rows = [
        [
            str(n),
            *(known(formatting.percent, one, _EXAMPLES) for one in pair),
            known(formatting.points, gain, _EXAMPLES),
        ]
        for n, (pair, gain) in enumerate(zip(pairs, gains, strict=True))
    ]
    spreads = [spread(values) for values in (baseline, student, gains)]
    means = [known(formatting.percent, mean, _EXAMPLES) for mean, _ in spreads[:2]]
    foot = [["Mean", *means, known(formatting.points, spreads[2][0], _EXAMPLES)]]
    if len(rows) > 1:
        foot.append([Cell(text="Standard deviation", note="points"), *(_deviation(sd) for _, sd in spreads)])  # type: ignore[list-item]
    columns = [*_heads("Seed"), Column(title="Difference", note="points")]
    return [
        Panel(
            "Seeds",
            [*_closed(found), Table(columns, rows, foot), *_errors(found.get("rmse"), "Error of the probabilities")],
        )
    ]


def _students_alone(scores: Sequence[float], metric: Metric) -> list[Panel]:
    """Students that no baseline was trained beside; none where there is one alone, which other panels show."""
    if len(scores) < 2 or not metric.is_share:
        return []
    mean, sd = spread(scores)
    rows = [[str(n), formatting.percent(one, _EXAMPLES)] for n, one in enumerate(scores)]
    foot = [["Mean", known(formatting.percent, mean, _EXAMPLES)]]
    foot.append([Cell(text="Standard deviation", note="points"), _deviation(sd)])  # type: ignore[list-item]
    return [Panel("Seeds", [Table([Column(title="Seed"), Column(title="Student", dot="student")], rows, foot)])]


def steps(found: Figures, metric: Metric) -> list[Panel]:
    """What each step did to students and baselines: mean of the first metric on test and its spread over the seeds."""
    roles = [role for role in ("baseline", "student") if found.get(role)]
    names = list(dict.fromkeys(name for role in roles for name in found[role]))
    if not names:
        return []
    rows = [
        [name, *(_mean(found[role].get(name, {}).get(metric.name, []), metric) for role in roles)] for name in names
    ]
    columns = [Column(title="After"), *(Column(title=role.capitalize(), dot=role) for role in roles)]
    title = metric.title[:1].upper() + metric.title[1:]
    note = f"{title} on test, mean over the seeds with one standard deviation{' in points' if metric.is_share else ''}."
    return [Panel("Step by step", [Table(columns, rows), Text(note)])]


def _at(values: Sequence[float | None], index: int) -> float | None:
    return values[index] if index < len(values) else None


def _heads(first: str) -> list[Column]:
    return [Column(title=first), Column(title="Baseline", dot="baseline"), Column(title="Student", dot="student")]


def _deviation(sd: float | None) -> str:
    return known(formatting.points, sd, _EXAMPLES).replace("+", "")


def _mean(values: Sequence[float | None], metric: Metric) -> Cell:
    mean, sd = spread(values)
    apart = _deviation(sd) if metric.is_share else metric.text(sd)
    return Cell(text=metric.text(mean, _EXAMPLES), note="" if sd is None else f"±\N{NO-BREAK SPACE}{apart}")


def _share(closed: Figures) -> str:
    """How much of a gap is closed, and whether its interval leaves out none."""
    low, high = ((end or 0.0) for end in closed.get("interval") or (0.0, 0.0))
    share = formatting.percent(closed["mean"])
    if low > 0 or high < 0:
        return f"{share} of the gap between baseline and teacher closed"
    return f"No measurable share of the gap between baseline and teacher closed: {share}"


def _how_sure(closed: Figures) -> str:
    sure = f"95% interval {formatting.percent_interval(closed['interval'])}"
    return f"{sure}, standard deviation {known(formatting.percent, closed.get('sd'))}"


def _closed(found: Figures) -> list[Block]:
    closed, teacher = found.get("gap_closed") or {}, found.get("teacher")
    notes = [] if teacher is None else [f"Teacher: {formatting.percent(teacher, _EXAMPLES)}."]
    if closed.get("mean") is None:
        return [Text(note) for note in notes]
    if not closed.get("interval"):
        closing = "One seed alone does not show how much of the gap between baseline and teacher is closed"
    else:
        closing = _share(closed).replace(".0%", "%")
        notes = [f"{_how_sure(closed)}.", *notes]
    return [Text(f"{closing}.", "say"), *([Text(" ".join(notes))] if notes else [])]


def _errors(found: Figures | None, title: str) -> list[Block]:
    """Errors over the seeds."""
    if not found:
        return []
    what = "probabilities" if "probabilities" in title else "outputs"
    note = f"Root mean squared difference of {what} and labels on test; lower is better."
    closed = found.get("gap_closed") or {}
    if closed.get("mean") is not None and closed.get("interval"):
        note += f" {_share(closed)} ({_how_sure(closed)})."
    note += f" Teacher: {known(formatting.significant, found.get('teacher'), 4)}"
    member = found.get("member")
    note += "." if member is None else f"; its best single model: {formatting.significant(member, 4)}."
    pairs = zip(found["baseline"], found["student"], strict=True)
    rows = [[str(n), *(known(formatting.significant, one, 4) for one in pair)] for n, pair in enumerate(pairs)]
    means = (known(formatting.significant, spread(found[role])[0], 4) for role in ("baseline", "student"))
    return [Text(title, "heading"), Text(note), Table(_heads("Seed"), rows, [["Mean", *means]])]


def _curve(name: str, epochs: Sequence[Figures], metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """The records of one run, thinned to what a screen can show; the last epoch is always among them."""
    if not epochs:
        return []
    who = name.split("/", 1)[0]
    step = math.ceil(len(epochs) / _POINTS_OF_A_CURVE)
    shown = set(range((len(epochs) - 1) % step, len(epochs), step))
    shown |= {best for one in metrics if (best := _best(epochs, f"validation_{one.name}", one)) is not None}
    return [
        {
            "series": name,
            "color": who if who in ROLES else "student",
            "x": epoch.get("epoch"),
            "loss": epoch.get("loss"),
            **{one.name: epoch.get(f"validation_{one.name}") for one in metrics},
            "terms": ", ".join(f"{term} {formatting.small(value)}" for term, value in epoch.get("terms", {}).items()),
            "rate": known(formatting.small, epoch.get("learning_rate")),
        }
        for epoch in (epochs[place] for place in sorted(shown))
    ]


def _best(epochs: Sequence[Mapping[str, Any]], key: str, metric: Metric) -> int | None:
    """The place of the first of the best epochs; None where there is no such figure."""
    known = [place for place, epoch in enumerate(epochs) if epoch.get(key) is not None]
    sign = -1 if metric.higher_is_better else 1
    return min(known, key=lambda place: (sign * epochs[place][key], place), default=None)


def _start(series: Mapping[str, Sequence[float]], metric: Metric) -> float | None:
    """Where an axis begins on which lines can be told apart; None where all of them is drawn.

    From the worst figure of the last half of any line: what comes before is the same rise in all of them.
    """
    if not metric.higher_is_better:
        return None
    lowest = min(min(values) for values in series.values())
    late = min(min(values[len(values) // 2 :]) for values in series.values())
    highest = max(max(values) for values in series.values())
    start = late - 0.05 * (highest - late)
    return start if highest > late and highest - lowest > 1.5 * (highest - start) else None


def _lines(
    rows: Sequence[Mapping[str, Any]],
    field: str,
    title: str,
    is_share: bool,
    height: int,
    heading: str | None = None,
    of: Metric | None = None,
) -> Chart | None:
    """One line a run; None where no run has such a figure. Of a metric the best epoch of each line is marked."""
    points = [
        {
            **{key: row[key] for key in ("series", "color", "x", "terms", "rate")},
            "y": row[field],
            "shown": formatting.percent(row[field], _EXAMPLES) if is_share else f"{row[field]:.4g}",
        }
        for row in rows
        if row[field] is not None and row["x"] is not None
    ]
    if not points:
        return None
    series: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        series.setdefault(point["series"], []).append(point)
    low = None if of is None else _start({name: [one["y"] for one in some] for name, some in series.items()}, of)
    best = (
        [] if of is None else [some[place] for some in series.values() if (place := _best(some, "y", of)) is not None]
    )
    # A run of one epoch has no line: its point must be seen. Elsewhere the points are there for the tooltips.
    seen = 0.9 if min(map(len, series.values())) == 1 else 0.0
    tooltip = {"series": "run", "x": "epoch", "shown": title, "terms": "terms", "rate": "learning rate"}
    return Chart(
        title=heading or title[0].upper() + title[1:],
        x=Axis(title="epoch", integer=True),
        y=Axis(title=title, unit="accuracy" if is_share else "", low=low),
        layers=[
            Layer(
                name="epochs",
                mark="line",
                rows=points,
                tooltip=tooltip,
                size=1.1,
                points=seen,
                opacity=0.8,
                clipped=low is not None,
            ),
            *([Layer(name="best", mark="points", rows=best, tooltip=tooltip, size=34)] if best else []),
        ],
        description=f"{title} by epoch, one line per run.",
        height=height,
    )
