"""The search for the student: what was tried, what came of it, and why one of them was taken."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from attar import formatting
from attar.evidence.panel import AnyCell, Axis, Beside, Cell, Chart, Column, Folded, Layer, Legend, Panel, Table, Text
from attar.formatting import plural
from attar.report.panels.common import Figures, Metric, known, sentence
from attar.report.panels.labels import names

_COSTS: Mapping[str, tuple[str, str]] = {
    "bytes": ("bytes on disk", "bytes"),
    "latency": ("latency of one example", "ms"),
    "macs": ("multiply-adds of one example", ""),
    "memory": ("peak memory", "bytes"),
}
"""What a proposal may cost: what runs along the axis, and the unit there."""

_TEXTS = {
    "bytes": formatting.size,
    "latency": formatting.milliseconds,
    "macs": formatting.count,
    "memory": formatting.size,
    "parameters": formatting.count,
}

_STATES = {
    "trained": "trained",
    "over_budget": "beyond the budget, not trained",
    "failed": "failed",
    "skipped": "not reached in time",
}
"""What became of a proposal, in words."""

_SHOWN = 12
"""Trials that are seen before the table is unfolded."""

_FAR = 10.0
"""A limit that is so many times off all trials would leave no room for them."""


_AT: Mapping[str, None] = {"low": None, "high": None}
"""A name is at its point, not at the end of the line that leads there."""


def search(found: Figures, metric: Metric) -> list[Panel]:
    """The panel of a search; none where there was none.

    Args:
        found: ``search`` of the evidence.
        metric: By which its trials were judged, on validation.
    """
    trials: list[Figures] = found.get("trials", [])
    if not trials:
        return []
    counts = [
        (sum(trial["state"] == state for trial in trials), words)
        for state, words in _STATES.items()
        if any(trial["state"] == state for trial in trials)
    ]
    tried = f"{plural(len(trials), 'proposal')}: {', '.join(f'{count} {words}' for count, words in counts)}"
    tried += f", in {formatting.seconds(found['seconds'])}." if "seconds" in found else "."
    limits = found.get("limits", {})
    costs = [cost for cost in _COSTS if sum(_of(trial, cost) is not None for trial in trials if _trained(trial)) > 1]
    costs = [cost for cost in costs if cost in ("bytes", "latency") or cost in limits] or costs[:1]
    charts = [_chart(found, trials, cost, metric) for cost in costs]
    ordered = sorted(trials, key=lambda trial: _place(trial, found))
    more = len(ordered) - _SHOWN
    blocks: list[Any] = [Text(sentence(found.get("why", "")), "say"), Text(f"{found.get('words', '')} {tried}".strip())]
    if charts:
        blocks += [_legend(found, trials, charts), Beside(charts), Text(_how_to_read(found, charts, metric))]
    blocks += [_table(found, ordered[:_SHOWN], metric)]
    if more > 0:
        blocks.append(Folded(f"{plural(more, 'more proposal')}", [_table(found, ordered[_SHOWN:], metric)]))
    blocks.append(
        Text(
            "Scores are those of short trainings on validation data, by which a student was looked for. With so many "
            "tried, the best of them is too good by chance: the quality of what ships is that of its own training, on "
            "test data."
        )
    )
    return [Panel("Search", blocks, name="search")]


def _trained(trial: Figures) -> bool:
    return trial["state"] == "trained" and "quality" in trial


def _of(trial: Figures, cost: str) -> float | None:
    amount = trial.get("figures", {}).get(cost)
    return float(amount) if amount is not None and amount > 0 else None


def _place(trial: Figures, found: Figures) -> tuple[int, float]:
    """The one that was taken first, then those within the budget by their order, then the others."""
    if trial["number"] == found.get("winner"):
        return 0, 0.0
    order = found.get("order", [])
    return 1, float(order.index(trial["number"]) if trial["number"] in order else len(order))


def _name(trial: Figures) -> str:
    return f"#{trial['number']}"


def _choices(trial: Figures) -> str:
    """What was chosen, in one line.

    Example:
        >>> _choices({"choices": {"hidden": [32, 16], "parameters": 1724, "outputs": {"fc1": 0.5}}})
        'hidden 32, 16; parameters 1,724; outputs 0.5x of layer fc1'
    """
    texts = []
    for key, value in trial.get("choices", {}).items():
        if isinstance(value, Mapping):
            shown = ", ".join(_share(name, share) for name, share in value.items()) or "all"
        elif isinstance(value, list):
            shown = ", ".join(map(str, value)) or "none"
            if key == "removed" and value:  # by N2N: names of layers, which may be numbers
                shown = f"layers {shown}"
        else:
            shown = formatting.grouped(value) if type(value) is int else str(value)
        texts.append(f"{key.replace('_', ' ')} {shown}")
    return "; ".join(texts)


def _share(name: str, value: object) -> str:
    """How much of a layer stays, as N2N's shrinkage chooses it; of another table an entry as it is."""
    return f"{value}x of layer {name}" if isinstance(value, float) else f"{name} {value}"


def _table(found: Figures, trials: Sequence[Figures], metric: Metric) -> Table:
    known_costs = [one for one in _TEXTS if any(_of(trial, one) is not None for trial in found["trials"])]
    heads = {"bytes": "Size", "latency": "Latency", "macs": "MACs", "memory": "Memory", "parameters": "Parameters"}
    columns = [
        Column(title="Proposal"),
        Column(title=f"{metric.title[:1].upper()}{metric.title[1:]}", note="on validation"),
        *(Column(title=heads[one]) for one in known_costs),
        Column(title="Outcome", words=True, wraps=True),
    ]
    frontier, winner = found.get("frontier", []), found.get("winner")
    again = {one["number"]: one for one in found.get("finalists", [])}
    rows: list[list[AnyCell]] = []
    for trial in trials:
        number = trial["number"]
        tags = ["taken"] if number == winner else ["finalist"] if number in again else []
        tags += ["frontier"] if number in frontier and not tags else []
        name = Cell(text=_name(trial), note=_choices(trial), tag=" ".join(tags), tag_tone="")
        outcome = trial.get("reason") or _STATES[trial["state"]]
        if trial["state"] == "trained":
            outcome = trial.get("beyond") or "within the budget"
        if number in again:
            outcome = f"{sentence(outcome)} {_trained_again(again[number], metric, found)}"
        rows.append(
            [
                name,
                metric.text(trial.get("quality"), found.get("examples")),
                *(known(_TEXTS[one], _of(trial, one)) for one in known_costs),
                sentence(outcome),
            ]
        )
    places = [place for place, trial in enumerate(trials) if trial["number"] == winner]
    last = [again.get(trial["number"], trial) for trial in trials]
    refused = [
        place for place, trial in enumerate(last) if trial.get("state", "trained") != "trained" or trial.get("beyond")
    ]
    return Table(columns, rows, chosen=places, refused=[one for one in refused if one not in places], dense=True)


def _trained_again(finalist: Figures, metric: Metric, found: Figures) -> str:
    """What came of the longer trainings of a finalist, in a sentence."""
    figures = ", ".join(metric.text(one, found.get("examples")) for one in finalist["quality"])
    last = finalist.get("beyond") or "within the budget"
    return f"Trained again, {plural(finalist['epochs'], 'epoch')}: {figures}: {last}"


def _legend(found: Figures, trials: Sequence[Figures], charts: Sequence[Chart]) -> Legend:
    """The signs that are in the charts."""
    trained = [trial for trial in trials if _trained(trial)]
    finalists = {one["number"]: one for one in found.get("finalists", [])}
    last = [bool(finalists.get(one["number"], one).get("beyond")) for one in trained]
    signs: list[Any] = [] if all(last) else [("dot", "student", "within the budget")]
    signs += [("hollow", "soft", "beyond")] if any(last) else []
    signs += [("ring", "student", "taken")] if any(one["number"] == found.get("winner") for one in trained) else []
    signs += [("diamond", "student", "finalist, trained again")] if finalists else []
    drawn = any(layer.mark == "region" and layer.rows for chart in charts for layer in chart.layers)
    return Legend([*signs, ("broad", "good", "the budget")] if drawn else signs)


def _how_to_read(found: Figures, charts: Sequence[Chart], metric: Metric) -> str:
    """What is drawn, in sentences."""
    up = "up" if metric.higher_is_better else "down"
    text = f"One point per proposal that was trained; {up} and to the left is better."
    if any(layer.mark == "steps" and layer.rows for chart in charts for layer in chart.layers):
        text += " The stepped line joins those that no other beats in both respects."
    if any(layer.name == "longer" and layer.rows for chart in charts for layer in chart.layers):
        first = {trial["number"]: trial.get("epochs", found.get("epochs")) for trial in found["trials"]}
        more = [one["epochs"] > (first.get(one["number"]) or 0) for one in found.get("finalists", [])]
        again = "again, for longer" if more and all(more) else "again"
        text += f" Finalists were trained {again}: a line leads there from their first training."
    for cost in _COSTS:
        limit = found.get("limits", {}).get(cost)
        costs = [amount for trial in found["trials"] if _trained(trial) and (amount := _of(trial, cost)) is not None]
        if limit is None or not costs:
            continue
        if limit > _FAR * max(costs):
            text += f" The limit of {_TEXTS[cost](limit)} lies far to the right of all of them."
        if limit < min(costs) / _FAR:
            text += f" The limit of {_TEXTS[cost](limit)} lies far to the left of all of them."
    return text


def _chart(found: Figures, trials: Sequence[Figures], cost: str, metric: Metric) -> Chart:
    """Quality of the short trainings against what a proposal costs, with the limits of the budget."""
    again = {one["number"]: one for one in found.get("finalists", []) if one.get("quality")}
    drawn = [trial for trial in trials if _trained(trial) and _of(trial, cost) is not None]
    rows = [_point(trial, again.get(trial["number"]), cost, metric, found) for trial in drawn]
    limits = found.get("limits", {})
    best: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda one: (one["x"], -one["y"] if metric.higher_is_better else one["y"])):
        if not best or (row["y"] > best[-1]["y"] if metric.higher_is_better else row["y"] < best[-1]["y"]):
            best.append({"series": "best", "x": row["x"], "y": row["y"], "color": "faint"})
    tooltip = {
        "name": "proposal",
        "quality": f"{metric.title} on validation",
        "cost": _COSTS[cost][0],
        "what": "chosen",
        "outcome": "outcome",
    }
    taken = [row for row in rows if row["taken"]]
    others = [row for row in rows if row["low"] is not None and not row["taken"]]
    budget = _budget(limits.get("quality_loss"), limits.get(cost), [row["x"] for row in rows], metric)
    lines: list[Any] = [row for layer in budget for row in layer.rows]
    edges = [row["x"] for row in lines if "x" in row], [row["y"] for row in lines if "y" in row]
    layers = [
        *budget,
        Layer(name="frontier", mark="steps", rows=best, size=1),
        Layer(name="longer", mark="whiskers", rows=[row for row in rows if row["low"] is not None], size=1),
        Layer(name="taken", mark="rings", rows=taken, size=330),
        *(
            Layer(
                name="beyond" if beyond else "within",
                mark="points",
                rows=[row for row in rows if bool(row["beyond"]) == beyond],
                tooltip=tooltip,
                size=70,
                hollow=beyond,
                opacity=0.9,
            )
            for beyond in (True, False)
        ),
        *names([{**row, **_AT, "text": row["name"]} for row in (*taken, *others)], rows, edges=edges, away=6.0),
    ]
    what, unit = _COSTS[cost]
    return Chart(
        title=f"{metric.title[:1].upper()}{metric.title[1:]} against {what}",
        x=Axis(title=what, unit=unit, log=True),
        y=Axis(title=f"{metric.title} on validation", unit="accuracy" if metric.is_share else ""),
        layers=layers,
        description=_described(rows, cost, limits, metric, found),
    )


def _budget(lowest: float | None, most: float | None, costs: Sequence[float], metric: Metric) -> list[Layer]:
    """The region within the budget, and its edges; one that is far from all trials is not drawn."""
    if most is not None and most < min(costs) / _FAR:
        return []  # nothing that is drawn lies within it
    most = None if most is not None and most > _FAR * max(costs) else most
    region: dict[str, Any] = {"color": "good"}
    region |= {} if most is None else {"x": most}
    region |= {} if lowest is None else {"y": lowest}
    if not metric.higher_is_better:
        region["down"] = 1
    edges = [Layer(name="lowest", mark="levels", rows=[] if lowest is None else [{"y": lowest, "color": "faint"}])]
    edges += [Layer(name="most", mark="levels", rows=[] if most is None else [{"x": most, "color": "faint"}])]
    within = [] if lowest is None and most is None else [region]
    return [Layer(name="budget", mark="region", rows=within, opacity=0.1), *edges]


def _described(
    rows: Sequence[Mapping[str, Any]], cost: str, limits: Mapping[str, float], metric: Metric, found: Figures
) -> str:
    """The chart in words, for those who do not see it."""
    text = f"{plural(len(rows), 'proposal')}: {metric.title} on validation against {_COSTS[cost][0]}."
    within = sum(not row["beyond"] for row in rows)
    text += f" {within} within the budget."
    for row in rows:
        if row["taken"]:
            text += f" Taken: {row['name']}, {row['quality']}, {row['cost']}."
    if (most := limits.get(cost)) is not None:
        text += f" At most {_TEXTS[cost](most)} is allowed."
    if (lowest := limits.get("quality_loss")) is not None:
        least = metric.text(lowest, found.get("examples"))
        text += f" {metric.title[:1].upper()}{metric.title[1:]} has to be {least} or better."
    return text


def _point(trial: Figures, again: Figures | None, cost: str, metric: Metric, found: Figures) -> dict[str, Any]:
    """A proposal with what is known of it last: of a finalist the mean over its seeds, above or below its first one."""
    amount, first = _of(trial, cost), float(trial["quality"])
    assert amount is not None, "asked of those that have it"
    reached = first if again is None else statistics.fmean(again["quality"])
    beyond = (trial if again is None else again).get("beyond") or None
    quality = metric.text(reached, found.get("examples"))
    if again is not None:
        quality += f" after {plural(again['epochs'], 'epoch')}, mean of {plural(len(again['quality']), 'seed')}"
    return {
        "name": _name(trial),
        "color": "soft" if beyond else "student",
        "x": float(amount),
        "y": reached,
        "low": None if again is None else min(first, reached),
        "high": None if again is None else max(first, reached),
        "taken": 1 if trial["number"] == found.get("winner") else None,
        "beyond": beyond,
        "shape": "circle" if again is None else "diamond",
        "quality": quality,
        "cost": _TEXTS[cost](amount),
        "what": _choices(trial),
        "outcome": beyond or "within the budget",
    }
