"""What the runs of a study come to: the finding, a chart of bytes against quality, and a row for each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from attar import formatting
from attar.evidence.panel import AnyCell, Block, Cell, Column, Legend, Shape, Stack, Table, Text
from attar.formatting import ABSENT, plural
from attar.report.panels.common import TONES, Figures, Metric
from attar.report.panels.models import against, lifted

Runs = Sequence[Figures]


def title_of(run: Figures) -> str:
    """What people call a run."""
    return str(run.get("title") or run.get("name") or ABSENT)


def finding(runs: Runs) -> str:
    """The smallest and the best of what came out, each against its teacher; empty where no run says what it ships.

    Runs whose budget was not met are counted, and are neither. Runs of different metrics are not compared.
    """
    measured = _measured(runs)
    missed = sum(map(_missed, runs))
    standing = [run for run in measured if not _missed(run)]
    if not standing:
        return ""
    metric = _metric(standing[0])
    smallest, best = _foremost(standing, metric)
    within = " within its budget" if missed else ""
    sentences = [f"Smallest{within}: {_in_words(smallest, metric)}."]
    if best is not smallest:
        superlative = "Highest" if metric.higher_is_better else "Lowest"
        sentences.append(f"{superlative} {metric.title} on test: {_in_words(best, metric)}.")
    elif len(standing) > 1:
        sentences[0] = f"Smallest{within}, and best: {_in_words(smallest, metric)}."
    if missed:
        sentences.append(f"{missed} of {plural(len(runs), 'run')} did not keep within the budget.")
    return " ".join(sentences)


def chart(runs: Runs) -> list[Block]:
    """Bytes against quality, a point for each run beside their teachers; none of fewer than two.

    Those within the budget have their names beside them where there is room, the smallest and the best first.
    """
    measured = _measured(runs)
    if len(measured) < _FEWEST:
        return []
    metric = _metric(measured[0])
    smallest, best = _foremost(measured, metric)
    models: list[dict[str, Any]] = []
    # There is not room for all names on a narrow page: what the finding names comes first.
    for run in sorted(measured, key=lambda run: (_missed(run), run is not smallest, run is not best)):
        teacher = run.get("teacher")
        if teacher and not any(_same(teacher, one) for one in models):
            models.append({**teacher, "name": "teacher", "kind": "teacher"})
        more = {"refused": "the budget was not met"} if _missed(run) else {"short": title_of(run)}
        models.append({**run["ships"], **more, "name": title_of(run), "kind": "candidate"})
    drawn = against(models, "bytes", None, {}, metric)
    if drawn is None:
        return []
    signs: list[tuple[Shape, str, str]] = [("dot", "student", "a run")]
    signs += [("dot", "teacher", "its teacher")] if any(model["kind"] == "teacher" for model in models) else []
    signs += [("hollow", "soft", "budget not met")] if any("refused" in model for model in models) else []
    up = "up" if metric.higher_is_better else "down"
    note = f"What each run ships, on test; {up} and to the left is better. Whiskers are 95% intervals; the line "
    note += "joins what no other beats in both respects."
    note = " ".join([note, *lifted("Runs", [drawn], metric)])
    return [Stack([Legend(signs), drawn, Text(note)])]


def table(runs: Runs) -> Table:
    """What became of each run in columns, and where its report is; a sentence where no figures are known."""
    measured = _measured(runs)
    metric = _metric(measured[0]) if measured else None
    spoken = any(run.get("headline") and not _is_measured(run, metric) for run in runs)
    columns: list[str | Column] = ["Run", *([] if metric is None else _heads(metric))]
    columns += [Column(title="Result", words=True, wraps=True)] if spoken else []
    columns += [Column(title="Outcome", words=True), Column(title="Report", words=True)]
    rows: list[list[AnyCell]] = []
    for run in runs:
        known = _is_measured(run, metric)
        row: list[AnyCell] = [Cell(text=title_of(run), note=str(run.get("name", "")) if run.get("title") else "")]
        if metric is not None:
            row += list(_figures(run, metric)) if known else [None] * len(_heads(metric))
        row += [None if known else run.get("headline")] if spoken else []
        rows.append([*row, _outcome(run), _report(run)])
    return Table(columns, rows, sortable=metric is not None)


_FEWEST = 2
"""Points that a chart compares."""


def _heads(metric: Metric) -> list[str | Column]:
    return [
        Column(title="Ships", words=True),
        Column(title=metric.title[:1].upper() + metric.title[1:], note="on test"),
        Column(title="Teacher"),
        Column(title="Size", note="on disk"),
        Column(title="Smaller", note="than the teacher"),
        Column(title="Faster", note="batch 1"),
    ]


def _figures(run: Figures, metric: Metric) -> Iterator[AnyCell]:
    ships, teacher = run["ships"], run.get("teacher", {})
    yield Cell(text=str(ships.get("name", ABSENT)))
    for quality in (ships.get("quality", {}), teacher.get("quality", {})):
        value, count = quality.get(metric.name), quality.get("examples")
        note = metric.interval(quality.get("interval"), count) if quality is ships.get("quality") else ""
        yield Cell(text=metric.text(value, count), note=note, value=value)
    yield Cell(text=formatting.size(_bytes(run)), value=_bytes(run))
    for key in ("smaller", "faster"):
        ratio = run.get(key)
        yield Cell(text=ABSENT if ratio is None else _times(ratio), value=ratio)


def _outcome(run: Figures) -> Cell:
    outcome = run.get("outcome")
    outcome = outcome if isinstance(outcome, str) else None
    return Cell(text=outcome or ABSENT, tone=TONES.get(outcome, "faint"))


def _report(run: Figures) -> Cell | None:
    report = run.get("report")
    # Quoted, a colon makes no scheme of what stands before it; a slash at the beginning would leave the folder.
    relative = isinstance(report, str) and not report.startswith("/") and "://" not in report
    link = quote(report, errors="replace") if report and relative else ""
    return Cell(text="report" if link else report, link=link) if report else None


def _measured(runs: Runs) -> list[Figures]:
    """Those runs that say what they ship, of the metric of the first."""
    metric = next((_metric(run) for run in runs if _is_measured(run, _metric(run))), None)
    return [run for run in runs if _is_measured(run, metric)]


def _is_measured(run: Figures, metric: Metric | None) -> bool:
    ships = run.get("ships", {})
    known = metric is not None and _metric(run) == metric and ships.get("quality", {}).get(metric.name) is not None
    return bool(known and ships.get("size_bytes"))


def _missed(run: Figures) -> bool:
    return bool(run.get("outcome") == "not met")


def _foremost(runs: Runs, metric: Metric) -> tuple[Figures, Figures]:
    """The smallest and the best of some runs: of those that keep within the budget, where any does."""
    standing = [run for run in runs if not _missed(run)] or runs
    best = (max if metric.higher_is_better else min)(standing, key=lambda run: _quality(run, metric))
    return min(standing, key=_bytes), best


def _metric(run: Figures) -> Metric:
    found: Mapping[str, Any] = run.get("metric", {})
    name = str(found.get("name", ""))
    return Metric(
        name=name,
        title=str(found.get("title", name)),
        unit=str(found.get("unit", "number")),
        higher_is_better=bool(found.get("higher_is_better", True)),
    )


def _bytes(run: Figures) -> int:
    size: int = run["ships"]["size_bytes"]
    return size


def _quality(run: Figures, metric: Metric) -> float:
    quality: float = run["ships"]["quality"][metric.name]
    return quality


def _in_words(run: Figures, metric: Metric) -> str:
    quality, teacher = run["ships"]["quality"], run.get("teacher", {}).get("quality", {})
    words = f"{title_of(run)}, {formatting.size(_bytes(run))}"
    if run.get("smaller") is not None:
        words += f" ({_times(run['smaller'])} smaller than its teacher)"
    words += f", {metric.title} {metric.text(quality[metric.name], quality.get('examples'))}"
    if teacher.get(metric.name) is not None:
        words += f" against {metric.text(teacher[metric.name], teacher.get('examples'))}"
    return words


def _times(ratio: float) -> str:
    return f"{formatting.significant(ratio, 3)}\N{MULTIPLICATION SIGN}"


def _same(teacher: Figures, other: Figures) -> bool:
    return other.get("kind") == "teacher" and all(
        other.get(key) == teacher.get(key) for key in ("size_bytes", "quality")
    )
