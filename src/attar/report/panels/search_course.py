"""How a search went: the best so far, proposal by proposal, and what the policies of N2N learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attar import formatting
from attar.evidence.panel import Axis, Beside, Block, Chart, Layer, Legend, Panel, Text
from attar.report.panels.common import Figures, Metric

_PREFERRED: Mapping[str, tuple[str, str, Callable[[Any], str]]] = {
    "bytes": ("bytes on disk", "bytes", formatting.size),
    "latency": ("latency of one example", "ms", formatting.milliseconds),
}
"""What may decide among those within the budget, besides quality: in words, its unit, and how it is written."""

_WINDOW = 20
"""Rollouts over which a running mean goes."""

_POINTS, _OF_A_LINE = 1000, 300
"""Of a chart so many are drawn; of more, one in some."""


def course(found: Figures, metric: Metric) -> list[Panel]:
    """The panel of how a search went; none where there was none, or one proposal alone.

    Args:
        found: ``search`` of the evidence.
        metric: By which its trials were judged, on validation.
    """
    trials: list[Figures] = found.get("trials", [])
    charts = [_best_quality(trials, metric, found.get("examples")), _best_preferred(trials, found.get("prefer", ""))]
    blocks: list[Block] = []
    if drawn := [chart for chart in charts if chart is not None]:
        beyond = [bool(trial.get("beyond")) for trial in trials if trial["state"] == "trained"]
        signs: list[Any] = [] if all(beyond) else [("line", "student", "best within the budget so far")]
        signs += [] if all(beyond) else [("dot", "student", "within the budget")]
        signs += [("hollow", "soft", "beyond")] if any(beyond) else []
        blocks += [Legend(signs), Beside(drawn)]
        gap = "" if len(beyond) == len(trials) else "; a gap is one that was not"
        blocks.append(Text(f"One point per proposal that was trained, in their order{gap}."))
    blocks += _policies(found.get("course", []))
    return [Panel("Course of the search", blocks, name="course")] if blocks else []


def _best_quality(trials: Sequence[Figures], metric: Metric, examples: int | None) -> Chart | None:
    """Quality of each proposal that was trained, and the best so far of those within the budget."""
    rows = [
        _row(trial, trial["quality"], metric.text(trial["quality"], examples))
        for trial in trials
        if trial["state"] == "trained" and "quality" in trial
    ]
    better = max if metric.higher_is_better else min
    what = f"{metric.title} on validation"
    return _best(rows, len(trials), better, what, Axis(title=what, unit="accuracy" if metric.is_share else ""))


def _best_preferred(trials: Sequence[Figures], prefer: str) -> Chart | None:
    """What decides among those within the budget, where it is not their quality."""
    if prefer not in _PREFERRED:
        return None
    what, unit, text = _PREFERRED[prefer]
    rows = [
        _row(trial, amount, text(amount))
        for trial in trials
        if trial["state"] == "trained" and (amount := trial.get("figures", {}).get(prefer))
    ]
    return _best(rows, len(trials), min, what, Axis(title=what, unit=unit, log=True))


def _row(trial: Figures, figure: float, text: str) -> dict[str, Any]:
    beyond = trial.get("beyond") or ""
    return {
        "name": f"#{trial['number']}",
        "x": trial["number"] + 1,
        "y": float(figure),
        "figure": text,
        "outcome": beyond or "within the budget",
        "beyond": 1 if beyond else None,
        "color": "soft" if beyond else "student",
    }


def _best(
    rows: Sequence[dict[str, Any]], proposals: int, better: Callable[[float, float], float], what: str, y: Axis
) -> Chart | None:
    if len(rows) < 2:
        return None
    best: list[dict[str, Any]] = []
    for row in rows:
        if not row["beyond"] and (not best or better(row["y"], best[-1]["y"]) != best[-1]["y"]):
            best.append({**row, "series": "best"})
    text = "No proposal was within the budget."
    if best:
        text = f"The first within the budget is {best[0]['name']} with {best[0]['figure']}, the best "
        text += f"{best[-1]['name']} with {best[-1]['figure']}."
        best.append({**best[-1], "x": proposals})  # to the end of the search
    tooltip = {"name": "proposal", "figure": what, "outcome": "outcome"}
    title = f"{what[:1].upper()}{what[1:]}, proposal by proposal"
    layers = [
        Layer(name="best", mark="steps", rows=best, size=2),
        *(
            Layer(
                name="beyond" if beyond else "within",
                mark="points",
                rows=[row for row in _thinned(rows, _POINTS) if bool(row["beyond"]) == beyond],
                tooltip=tooltip,
                size=45,
                hollow=beyond,
                opacity=0.8,
            )
            for beyond in (True, False)
        ),
    ]
    return Chart(
        title=title,
        x=Axis(title="proposals", integer=True),
        y=y,
        layers=layers,
        description=f"{title}: {len(rows)} that were trained. {text}",
        height=240,
    )


def _policies(records: Sequence[Figures]) -> list[Block]:
    """Reward and compression of each rollout, stage after stage."""
    rollouts = _rollouts(records)
    if not rollouts:
        return []
    stages = list(dict.fromkeys(row["stage"] for row in rollouts))
    colors = {stage: f"series-{place}" for place, stage in enumerate(stages)}
    reward = _over_rollouts(rollouts, "reward", "Reward", Axis(title="reward"), colors)
    smaller = Axis(title="times fewer parameters", unit="x", log=True)
    compression = _over_rollouts(rollouts, "compression", "Compression", smaller, colors)
    updates = {stage: sum(record["stage"] == stage for record in records) for stage in stages}
    counts = [
        f"{stage}: {formatting.grouped(sum(row['stage'] == stage for row in rollouts))} rollouts in "
        f"{formatting.plural(count, 'update')}"
        for stage, count in updates.items()
    ]
    invalid = sum(len(record.get("invalid", [])) for record in records)
    none = "1 rollout led to no network, and has" if invalid == 1 else f"{invalid} rollouts led to no network, and have"
    text = f"{'; '.join(counts)[:1].upper()}{'; '.join(counts)[1:]}."
    text += f" {none} the reward \N{MINUS SIGN}1." if invalid else ""
    text += f" Points are rollouts, lines running means over {_WINDOW} of them within a stage."
    charts = [chart for chart in (reward, compression) if chart is not None]
    signs: list[Any] = [("line", colors[stage], stage) for stage in stages]
    return [Text("What the policies learned", "heading"), Legend(signs), Beside(charts), Text(text)]


def _rollouts(records: Sequence[Figures]) -> list[dict[str, Any]]:
    """All rollouts of all stages, in order; those that nobody came to are left out."""
    found: list[dict[str, Any]] = []
    for record in records:
        rewards, sizes = record.get("rewards", []), record.get("compression", [])
        for place, reward in enumerate(rewards):
            if reward is not None:
                compression = sizes[place] if place < len(sizes) else None
                about = {"stage": record["stage"], "iteration": record["iteration"] + 1}
                found.append({**about, "x": len(found) + 1, "reward": float(reward), "compression": compression})
    return found


def _over_rollouts(
    rollouts: Sequence[Mapping[str, Any]], key: str, title: str, y: Axis, colors: Mapping[str, str]
) -> Chart | None:
    rows = [
        {
            "x": row["x"],
            "y": float(row[key]),
            "color": colors[row["stage"]],
            "series": row["stage"],
            "name": f"{row['stage']}, update {row['iteration']}",
            "reward": formatting.significant(row["reward"]),
            "compression": "not known" if row["compression"] is None else formatting.times(row["compression"]),
        }
        for row in rollouts
        if row[key] is not None
    ]
    if not rows:
        return None
    means: list[dict[str, Any]] = []
    spoken = []
    for stage in colors:
        own = [row for row in rows if row["series"] == stage]
        line = [{**row, "y": mean} for row, mean in zip(own, _running([row["y"] for row in own]), strict=True)]
        means += _thinned(line, _OF_A_LINE)
        if line:
            ends = [formatting.significant(line[place]["y"]) for place in (min(_WINDOW, len(line)) - 1, -1)]
            spoken.append(f"{stage}, running mean from {ends[0]} to {ends[1]}")
    tooltip = {"name": "rollout", "reward": "reward", "compression": "fewer parameters"}
    return Chart(
        title=f"{title}, rollout by rollout",
        x=Axis(title="rollouts", integer=True),
        y=y,
        layers=[
            Layer(name="rollouts", mark="points", rows=_thinned(rows, _POINTS), tooltip=tooltip, size=18, opacity=0.35),
            Layer(name="means", mark="line", rows=means, size=2),
        ],
        description=f"{title} of {len(rows)} rollouts: {'; '.join(spoken)}.",
        height=240,
    )


def _running(values: Sequence[float]) -> list[float]:
    """Mean of each value and those before it, of `_WINDOW` at most.

    Example:
        >>> _running([1.0, 3.0, 2.0])
        [1.0, 2.0, 2.0]
    """
    means, total = [], 0.0
    for place, value in enumerate(values):
        total += value - (values[place - _WINDOW] if place >= _WINDOW else 0.0)
        means.append(total / min(place + 1, _WINDOW))
    return means


def _thinned(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """One in so many that few enough are left, the last one among them."""
    every = -(-len(rows) // most)
    return [row for place, row in enumerate(rows) if (len(rows) - 1 - place) % max(every, 1) == 0]
