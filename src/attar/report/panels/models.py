"""All models that were measured: quality against what it costs, the table of all figures, and who was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from attar import formatting
from attar.evidence.panel import AnyCell, Axis, Beside, Cell, Chart, Column, Facts, Layer, Legend, Panel, Table, Text
from attar.report.panels.common import (
    ACCURACY,
    ROLES,
    Figures,
    Metric,
    Split,
    examples,
    figure,
    known,
    quality_cell,
    role,
    sentence,
)
from attar.report.panels.labels import names

_SHORT: Mapping[str, tuple[Column, str]] = {
    "calibration error": (
        Column(title="ECE", note="15 bins"),
        "ECE is the expected calibration error.",
    ),
    "RMSE of probabilities": (
        Column(title="RMSE", note="probabilities"),
        "RMSE is the root of the mean squared difference of probabilities and labels.",
    ),
}
"""Metrics whose titles are too long for the head of a column: a short one, and what it means."""

_KINDS = ("teacher", "member", "baseline", "student", "candidate")


def ordered(models: Iterable[Figures], winner: Figures | None) -> list[Figures]:
    """Teachers, baselines, student, candidates; of the first two kinds first the one that runs as the winner does."""
    runtime, precision = (winner.get("runtime"), winner.get("precision")) if winner else (None, None)
    places = {kind: place for place, kind in enumerate(_KINDS)}

    def place(model: Figures) -> tuple[int, bool, bool]:
        kind = model.get("kind", "")
        beside = kind in ("teacher", "baseline")
        elsewhere = beside and model.get("runtime") != runtime
        return places.get(kind, len(places)), elsewhere, kind == "baseline" and model.get("precision") != precision

    return sorted(models, key=place)


def compared_on(models: Sequence[Figures], metric: Metric, *, judged: bool) -> Split:
    """On what the models are compared: where a limit decided, on validation; else where more of them were seen.

    Args:
        models: Those of the evidence; a candidate that was not chosen need not have seen the test examples.
        metric: What they are compared by.
        judged: Whether there was a limit on their quality.
    """
    test, validation = (sum(figure(model, metric, split) is not None for model in models) for split in _SPLITS)
    return "validation" if validation > test or (judged and validation) else "test"


_SPLITS: tuple[Split, Split] = ("test", "validation")


Cost = Literal["latency", "bytes", "memory", "macs"]

_COSTS: Mapping[Cost, tuple[str, str, str]] = {
    "latency": ("latency", "median latency of one example", "ms"),
    "bytes": ("size", "bytes on disk", "bytes"),
    "memory": ("memory", "peak memory", "bytes"),
    "macs": ("arithmetic", "multiply-adds of one example", ""),
}
"""What a model may cost: its name in a title, what runs along the axis, and the unit there."""

_FAR = 10.0
"""A limit that is so many times off all models would leave no room for them."""


def frontier(
    models: Sequence[Figures],
    winner: Figures | None,
    lines: Mapping[str, Sequence[float]],
    metric: Metric,
    split: Split,
) -> list[Panel]:
    """Charts of quality against latency and size, and against what else was limited.

    Args:
        models: In order.
        winner: The one to ring.
        lines: Where limits lie on their axes, by what they limit.
        metric: What runs up.
        split: On which examples it is.
    """
    name = winner.get("name") if winner else None
    costs = [cost for cost in _COSTS if cost in ("latency", "bytes") or cost in lines]
    charts = [chart for cost in costs if (chart := against(models, cost, name, lines, metric, split)) is not None]
    if not charts:
        return []
    roles = {role(model) for model in models if figure(model, metric, split) is not None}
    signs: list[Any] = [("dot", one, one) for one in ROLES if one in roles]
    if winner is not None:
        signs.append(("ring", role(winner), "nearest" if "refused" in winner else "winner"))
    if any("refused" in model for model in models):
        signs.append(("hollow", "soft", "refused"))
    where = ", where the choice was made" if split == "validation" else ""
    up = "up" if metric.higher_is_better else "down"
    note = (
        f"{_capital(metric.title)} on {split}{where}; {up} and to the left is better. Whiskers are 95% intervals; the "
        "stepped line joins the accepted models that no other beats in both respects"
    )
    limited = any(layer.rows for chart in charts for layer in chart.layers if layer.mark == "levels")
    note += "; dotted lines are the limits of the budget." if limited else "."
    note = " ".join([note, *lifted("Models", charts, metric)])
    return [Panel("Frontier", [Legend(signs), Beside(charts), Text(note)])]


def lifted(names: str, charts: Sequence[Chart], metric: Metric) -> list[str]:
    """A sentence about those that are drawn as triangles; none where none is."""
    if not any("triangle" in str(row.get("shape")) for chart in charts for layer in chart.layers for row in layer.rows):
        return []
    far, edge = ("below", "lower") if metric.higher_is_better else ("above", "upper")
    return [f"{names} far {far} all others are drawn as triangles at the {edge} edge."]


def against(
    models: Sequence[Figures],
    cost: Cost,
    winner: str | None,
    lines: Mapping[str, Sequence[float]],
    metric: Metric = ACCURACY,
    split: Split = "test",
) -> Chart | None:
    """Quality against what it costs, one point a model; None if no model has both figures.

    Args:
        models: Those of the evidence.
        cost: What runs along x.
        winner: Name of the model to ring.
        lines: Where limits lie on their axes, by what they limit.
        metric: What runs up.
        split: On which examples it is.
    """
    rows = [row for model in models if (row := _point(model, cost, winner, metric, split)) is not None]
    if not rows:
        return None
    lowest = max(lines["quality_loss"]) if "quality_loss" in lines and metric.higher_is_better else None
    _lift(rows, lowest, metric)
    near, far = min(row["x"] for row in rows) / _FAR, max(row["x"] for row in rows) * _FAR
    levels: list[dict[str, Any]] = [] if lowest is None else [{"y": lowest, "color": "faint"}]
    bounds: list[dict[str, Any]] = [
        {"x": limit, "color": "faint"} for limit in lines.get(cost, ()) if near <= limit <= far
    ]
    titles = {"quality": f"{metric.title} on {split}", "latency": "latency, batch 1", "bytes": "size"}
    tooltip = {"name": "model", **titles, "outcome": "outcome"}
    layers = [
        Layer(name="lowest", mark="levels", rows=levels),
        Layer(name="most", mark="levels", rows=bounds),
        Layer(name="best", mark="steps", rows=_best_so_far(rows, metric), size=1),
        Layer(name="intervals", mark="whiskers", rows=[row for row in rows if row["high"] is not None]),
        Layer(name="winner", mark="rings", rows=[row for row in rows if row["winner"]], size=330),
    ]
    for name, size in (("refused", 75.0), ("accepted", 80.0)):
        some = [row for row in rows if (row["refused"] is not None) == (name == "refused")]
        layers.append(
            Layer(
                name=name, mark="points", rows=some, tooltip=tooltip, size=size, hollow=name == "refused", opacity=0.92
            )
        )
    layers += names(_named(rows), rows, edges=([row["x"] for row in bounds], [row["y"] for row in levels]))
    called, what, unit = _COSTS[cost]
    title = f"{_capital(metric.title)} against {called}"
    return Chart(
        title=title,
        x=Axis(title=what, unit=unit, log=True),
        y=Axis(title=f"{metric.title} on {split}", unit="accuracy" if metric.is_share else ""),
        layers=layers,
        description=f"{title}, one point per model.",
    )


def table(
    models: Sequence[Figures], winner: Figures | None, student: Figures | None, metrics: Sequence[Metric]
) -> list[Panel]:
    """All figures of all models.

    Args:
        models: In order.
        winner: What ships.
        student: The entry of the student, which says on how many examples it was tested.
        metrics: Of the task; the first one has an interval.
    """
    if not models:
        return []
    timed = [latency for model in models for latency in model.get("latency", {}).values()]
    batches = sorted({int(batch) for model in models for batch in model.get("latency", {})})
    threads = {latency["threads"] for latency in timed if "threads" in latency}
    same = threads.pop() if len(threads) == 1 else None
    main = metrics[0]
    agreeing = any(model.get("agreement_with_teacher") is not None for model in models) or main == ACCURACY
    # What is counted in nats is in the evidence; here it would take the room of what people read.
    others = [metric for metric in metrics[1:] if metric.unit != "nats"]
    validated = any(figure(model, main, "validation") is not None for model in models)
    columns = [
        Column(title="Model"),
        *([Column(title=_capital(main.title), note="on validation")] if validated else []),
        Column(title=_capital(main.title), note="on test"),
        Column(title="Size", note="on disk"),
        *(Column(title=f"Latency, batch {batch}", note="median, p90", detail=batch > 1) for batch in batches),
        Column(title="Parameters", detail=True),
        Column(title="MACs", note="per example", detail=True),
        Column(title="Memory", note="peak", detail=True),
        *([Column(title="Agreement", note="with teacher", detail=True)] if agreeing else []),
        *(replace(_short(metric), detail=True) for metric in others),
        Column(title="Parity", note="largest, top 1" if agreeing else "largest", detail=True),
    ]
    rows = [_row(model, winner, main, others, batches, validated, same is None, agreeing) for model in models]
    chosen = [number for number, model in enumerate(models) if model is winner]
    refused = [number for number, model in enumerate(models) if "refused" in model]
    note = f"{_capital(main.title)} has its 95% interval below"
    count = examples(student) or next(filter(None, map(examples, models)), None)
    note += "." if count is None else f"; the test has {formatting.grouped(count)} examples."
    note += " Every choice was made on validation." if validated else ""
    if same is not None:
        threads_used = f"{same} thread{'s' if same != 1 else ''}"
        note += f" Times with {threads_used}, all models in turns in one process; compare ratios, not machines."
    note += (
        " Peak memory is the growth of the process while it loads and runs the model. Parity is the largest difference "
        "of an output from the network as it was trained"
    )
    note += ", and the share of examples on which both name the same class." if agreeing else "."
    note += "".join(f" {_SHORT[metric.title][1]}" for metric in others if metric.title in _SHORT)
    figures = Table(columns, rows, chosen=chosen, refused=refused, dense=True, sortable=True)
    return [Panel("All models", [figures, Text(note)])]


def refusals(models: Iterable[Figures]) -> list[Panel]:
    """Who was refused and why; those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for model in models:
        if "refused" in model:
            reasons.setdefault(str(model["refused"]), []).append(str(model.get("name", formatting.ABSENT)))
    pairs = [
        (("; " if any("," in name for name in names) else ", ").join(names), sentence(reason))
        for reason, names in reasons.items()
    ]
    return [Panel("Refused", [Facts(pairs, "reasons")])] if pairs else []


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _row(
    model: Figures,
    winner: Figures | None,
    main: Metric,
    others: Sequence[Metric],
    batches: Sequence[int],
    validated: bool,
    own_threads: bool,
    agreeing: bool,
) -> list[AnyCell]:
    refused, won, count = "refused" in model, model is winner, examples(model)
    name = str(model.get("name", formatting.ABSENT))
    how = " ".join(str(model[key]) for key in ("runtime", "precision") if key in model and str(model[key]) not in name)
    how, kind = str(model.get("key", how)), str(model.get("kind", ""))  # as the command line has it
    tag = " ".join([*(["nearest" if refused else "winner"] if won else []), *(["refused"] if refused else [])])
    named = Cell(
        text=name,
        note=", ".join(filter(None, ("" if how.startswith(kind) else kind, how))),
        dot=role(model),
        hollow=refused,
        tag=tag,
        tag_tone="bad" if refused else "",  # whether it is good enough is for the budget to say
    )
    quality, parity = model.get("quality", {}), model.get("parity", {})
    same = parity.get("top1_agreement")
    return [
        named,
        *([quality_cell(model.get("validation", {}), main)] if validated else []),
        quality_cell(quality, main),
        _number(formatting.size, model.get("size_bytes")),
        *(_latency(model.get("latency", {}).get(str(batch), {}), own_threads) for batch in batches),
        _number(formatting.count, model.get("parameters")),
        _number(formatting.count, model.get("macs")),
        _number(formatting.size, model.get("peak_memory_bytes")),
        *([_number(formatting.percent, model.get("agreement_with_teacher"), count)] if agreeing else []),
        *(_other(quality.get(metric.name), metric, count) for metric in others),
        Cell(
            text=known(formatting.small, parity.get("max_difference")),
            note="" if same is None else f"{formatting.percent(same, 10_000)} same",
            value=parity.get("max_difference"),
        ),
    ]


def _number(function: Callable[..., str], value: float | int | None, *arguments: Any) -> Cell:
    return Cell(text=known(function, value, *arguments), value=value)


def _other(value: float | None, metric: Metric, count: int | None) -> Cell:
    usual = metric.is_share or metric.unit == "target"
    return Cell(text=metric.text(value, count) if usual else known(formatting.small, value), value=value)


def _short(metric: Metric) -> Column:
    return _SHORT.get(metric.title, (Column(title=_capital(metric.title)), ""))[0]


def _latency(latency: Figures, own_threads: bool) -> Cell:
    note = known(formatting.milliseconds, latency.get("p90_ms")) if "p90_ms" in latency else ""
    if note and own_threads and "threads" in latency:
        note += f", {latency['threads']} thr."
    median = latency.get("median_ms")
    return Cell(text=known(formatting.milliseconds, median), note=note, value=median)


def _point(model: Figures, cost: Cost, winner: str | None, metric: Metric, split: Split) -> dict[str, Any] | None:
    quality = model.get("quality" if split == "test" else "validation") or {}
    reached = quality.get(metric.name)
    ms, num_bytes = model.get("latency", {}).get("1", {}).get("median_ms"), model.get("size_bytes")
    memory, macs = model.get("peak_memory_bytes"), model.get("macs")
    x = {"latency": ms, "bytes": num_bytes, "memory": memory, "macs": macs}[cost]
    if reached is None or not x or x <= 0:
        return None
    count, interval, refused = quality.get("examples"), quality.get("interval"), model.get("refused")
    low, high = interval or (None, None)
    spread = metric.interval(interval, count)
    won = winner is not None and model.get("name") == winner
    return {
        "name": str(model.get("name")),
        "color": role(model),
        "kind": model.get("kind"),
        "short": model.get("short", None if "number" not in model else f"#{model['number']}"),
        "x": float(x),
        "y": float(reached),
        "low": low,
        "high": high,
        "winner": 1 if won else None,
        "refused": refused,
        "shape": "circle",
        "quality": metric.text(reached, count) + (f" ({spread})" if spread else ""),
        "latency": "not measured" if ms is None else formatting.milliseconds(ms),
        "bytes": "not known" if num_bytes is None else formatting.size(num_bytes),
        "outcome": f"refused: {refused}" if refused else "winner" if won else "accepted",
    }


def _lift(rows: list[dict[str, Any]], limit: float | None, metric: Metric) -> None:
    """Move those far worse than all others to the edge, in place: they would flatten the chart."""
    better = 1 if metric.higher_is_better else -1
    good = [row for row in rows if not row["refused"] or row["winner"]] or rows
    seen = [better * value for row in good for value in (row["y"], row["low"], row["high"]) if value is not None]
    seen += [] if limit is None else [better * limit]
    edge = min(seen) - 0.1 * max(max(seen) - min(seen), 0.01)
    far = [row for row in rows if better * row["y"] < edge - (max(seen) - edge)]
    others = [row for row in rows if not any(row is one for one in far)]
    seen = [better * value for row in others for value in (row["y"], row["low"], row["high"]) if value is not None]
    edge = min([edge, *seen])  # of what is refused but not far off, too
    for row in far:
        row.update(y=better * edge, low=None, high=None, shape=f"triangle-{'down' if better > 0 else 'up'}")


def _named(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The points that matter, with what they are called; each name once, that of what ships first."""
    named: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: not row["winner"]):
        kind = row["kind"] if row["kind"] in ("teacher", "baseline") else row["short"]
        text = ("nearest" if row["refused"] else "winner") if row["winner"] else kind
        if text is not None:
            named.setdefault(text, {**row, "text": text})
    return list(named.values())


def _best_so_far(rows: Iterable[Mapping[str, Any]], metric: Metric) -> list[dict[str, Any]]:
    """The accepted models that no other beats in both respects, from cheap to dear."""
    best: list[dict[str, Any]] = []
    sign = 1 if metric.higher_is_better else -1
    for row in sorted((row for row in rows if not row["refused"]), key=lambda row: (row["x"], -sign * row["y"])):
        if not best or sign * row["y"] > sign * best[-1]["y"]:
            best.append({"x": row["x"], "y": row["y"], "series": "best", "color": "faint"})
    return best
