"""What a report shows of pruning: what is left of each layer, cost and quality on the way, prediction and machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attar import formatting
from attar.evidence.long_table import long_table
from attar.evidence.panel import (
    Axis,
    Beside,
    Block,
    Cell,
    Chart,
    Column,
    Facts,
    Folded,
    Layer,
    Legend,
    Panel,
    Shape,
    Table,
    Text,
)
from attar.pipeline.costs import What
from attar.pipeline.scored import Judged

_TITLES: Mapping[What, str] = {
    "latency": "latency at batch 1",
    "macs": "multiply-adds",
    "bytes": "bytes of float32 weights",
    "parameters": "parameters",
    "activations": "bytes of activations",
}
_SHOWN: Mapping[What, Callable[[float], str]] = {
    "latency": formatting.milliseconds,
    "macs": formatting.count,
    "bytes": formatting.size,
    "parameters": formatting.count,
    "activations": formatting.size,
}
_AXES: Mapping[What, str] = {"latency": "ms", "macs": "", "bytes": "bytes", "parameters": "", "activations": "bytes"}

_COLORS = 8
"""Colors of series that the page has."""


_NOISE: Mapping[What, float] = {"latency": 0.02}
"""By which share of itself a cost that is measured may be above what was asked for; those that are counted may not."""

_ROUNDING = 1e-9
"""A counted cost may be off by so much of itself."""

_SIGNS = Legend(
    [
        ("diamond", "faint", "before the step"),
        ("dot", "student", "after an epoch"),
        ("diamond", "student", "at the end"),
    ]
)


def shown_cost(what: What, amount: float | int) -> str:
    """An amount of a cost for people.

    Example:
        >>> shown_cost("macs", 1_234_567).replace(chr(160), " "), shown_cost("latency", 0.25).replace(chr(160), " ")
        ('1.23 M multiply-adds', '250 µs')
    """
    noun = f" {_TITLES[what]}" if what in ("macs", "parameters") else ""
    return f"{_SHOWN[what](amount)}{noun}"


def prune_panels(facts: Mapping[str, Any]) -> list[Panel]:
    """The panels of one step.

    Args:
        facts: What the step remembered under ``prune``.
    """
    judged = Judged.from_json(facts["judged"])
    blocks: list[Block] = [Text(sentence, "say") for sentence in prune_warnings(facts)]
    blocks.append(Facts(list(_in_words(facts, judged))))
    blocks += _of_groups(facts)
    if charts := [one for one in (_course(facts), _quality(facts, judged)) if one is not None]:
        blocks.append(Beside(charts) if len(charts) > 1 else charts[0])
        blocks.append(_SIGNS)
    if facts.get("rounds"):
        blocks.append(_rounds(facts, judged))
    if len(facts.get("measured", ())) > 1:
        blocks += _measured(facts["measured"])
    panels = [Panel("Pruning", blocks)]
    return [*panels, _sensitivity(facts["sensitivity"], judged)] if "sensitivity" in facts else panels


def prune_warnings(facts: Mapping[str, Any]) -> list[str]:
    """What was asked for and not reached, as sentences.

    Args:
        facts: What the step remembered under ``prune``.
    """
    found = []
    if facts.get("rounds") is not None and not facts["course"]:
        found.append(f"Nothing could go: {_why_nothing(facts)}. The network is as it was.")
    if facts["target"] is not None and facts["full"] <= facts["target"]:
        shown = _SHOWN[facts["what"]]
        before, asked = shown(facts["full"]), shown(facts["target"])
        found.append(f"Nothing had to go: the network had {before} before the step, and {asked} were asked for.")
    margin = _NOISE.get(facts["what"], _ROUNDING)
    if facts["target"] is not None and facts["cost"] > (1 + margin) * facts["target"]:
        found.append(_missed(facts))
    return found


def _missed(facts: Mapping[str, Any]) -> str:
    shown = _SHOWN[facts["what"]]
    over = formatting.percent(facts["cost"] / facts["target"] - 1).replace(".0%", "%")
    missed = f"The target was not reached: {shown(facts['cost'])}, {over} over the {shown(facts['target'])} asked for."
    if facts["course"] and not facts["course"][-1]["units"]:
        missed += " What is left hardly depends on its channels, so that more of them would have gone for little."
    return missed


def _why_nothing(facts: Mapping[str, Any]) -> str:
    if not facts["rounds"]:
        return "with one unit left in each group it would cost nearly as much"
    return f"after each training with removals it lost more than the {facts['asked'].removeprefix('at most ')}"


def _in_words(facts: Mapping[str, Any], judged: Judged) -> Iterator[tuple[str, str]]:
    what: What = facts["what"]
    shown, share = _SHOWN[what], facts["cost"] / facts["full"]
    yield _TITLES[what], f"{shown(facts['full'])} before, {shown(facts['cost'])} now ({formatting.times(share)})"
    yield "asked for", facts["asked"] if facts["target"] is None else f"at most {shown(facts['target'])}"
    before, after = judged.text(facts["figure_before"]), judged.text(facts["figure"])
    yield f"{judged.title} on validation", f"{before} before, {after} now"
    if len(facts.get("measured", ())) > 1:
        last = facts["measured"][-1]
        yield "measured last", f"{formatting.milliseconds(last['measured_ms'])}, {_off(last)}"


def _difference(look: Mapping[str, float]) -> str:
    text = f"{100 * (look['predicted_ms'] / look['measured_ms'] - 1):+.0f}%"
    return text.replace("-", "\N{MINUS SIGN}")


def _off(look: Mapping[str, float]) -> str:
    off = look["predicted_ms"] / look["measured_ms"] - 1
    text = f"{100 * abs(off):.0f}%"
    direction = "above" if off > 0 else "below"
    return "as predicted" if text == "0%" else f"the prediction was {text} {direction}"


def _of_groups(facts: Mapping[str, Any]) -> Iterator[Block]:
    heads: list[str | Column] = [
        "Layer",
        Column(title="What goes", words=True),
        "Before",
        "Kept",
        Column(ends=("none", "all")),
    ]
    rows = [
        (
            one["group"],
            one["kind"],
            formatting.grouped(one["units"]),
            formatting.grouped(one["kept"]),
            Cell(bar=one["kept"] / one["units"]),
        )
        for one in facts["groups"]
    ]
    yield from long_table(heads, rows, "layer", "layers")
    if untouched := facts["untouched"]:
        reasons = list(untouched.items())
        who = "1 layer keeps all of its" if len(reasons) == 1 else f"{len(reasons)} layers keep all of their"
        yield Folded(f"{who} outputs", [Facts(reasons, "reasons")])


def _course(facts: Mapping[str, Any]) -> Chart | None:
    """The cost after each removal."""
    if not facts["course"]:
        return None
    what: What = facts["what"]
    points = [{"x": 0, "y": facts["full"]}, *({"x": one["step"], "y": one["cost"]} for one in facts["course"])]
    if facts["epochs"] and facts["epochs"][-1]["step"] > points[-1]["x"]:
        points.append({"x": facts["epochs"][-1]["step"], "y": points[-1]["y"]})
    rows = [{**one, "series": "cost", "color": "student", "text": _SHOWN[what](one["y"])} for one in points]
    layers = [Layer(name="removals", mark="steps", rows=rows, tooltip={"x": "step", "text": _TITLES[what]})]
    if facts["target"] is not None:
        layers.append(Layer(name="target", mark="levels", rows=[{"y": facts["target"], "color": "faint"}]))
    return Chart(
        title="Cost on the way",
        x=Axis(title="step", integer=True),
        y=Axis(title=_TITLES[what], unit=_AXES[what], zero=True),
        layers=layers,
        description=f"{_TITLES[what]} after each removal.",
    )


def _quality(facts: Mapping[str, Any], judged: Judged) -> Chart | None:
    """The figure after each epoch against the cost at that time."""
    if not facts["epochs"]:
        return None
    what: What = facts["what"]
    points = [("before", facts["full"], facts["figure_before"])]
    for place, epoch in enumerate(facts["epochs"], start=1):
        gone = [one["cost"] for one in facts["course"] if one["step"] <= epoch["step"]]
        points.append((f"after epoch {place}", gone[-1] if gone else facts["full"], epoch["figure"]))
    points.append(("at the end", facts["cost"], facts["figure"]))
    rows = [
        {
            "x": cost,
            "y": figure,
            "when": when,
            "cost": _SHOWN[what](cost),
            "figure": judged.text(figure),
            "color": "faint" if when == "before" else "student",
            "shape": "diamond" if when in ("before", "at the end") else "circle",
        }
        for when, cost, figure in points
    ]
    return Chart(
        title="Quality and cost",
        x=Axis(title=_TITLES[what], unit=_AXES[what]),
        y=judged.axis(),
        layers=[
            Layer(
                name="epochs",
                mark="points",
                rows=rows,
                size=70,
                tooltip={"when": "", "cost": _TITLES[what], "figure": judged.title},
            )
        ],
        description=f"{judged.title} on validation after each epoch against {_TITLES[what]}; diamonds are the network "
        "before the step and at the end.",
    )


def _rounds(facts: Mapping[str, Any], judged: Judged) -> Table:
    shown = _SHOWN[facts["what"]]
    rows = [
        (
            str(place),
            shown(one["goal"]),
            shown(one["cost"]),
            judged.text(one["figure"]),
            Cell(text="taken" if one["accepted"] else "dropped", tone="good" if one["accepted"] else "faint"),
        )
        for place, one in enumerate(facts["rounds"], start=1)
    ]
    title = judged.title[:1].upper() + judged.title[1:]
    heads = ("Round", "Down to", "Reached", Column(title=title, note="on validation"), Column(words=True))
    return Table(heads, rows)


def _measured(looks: Sequence[Mapping[str, float]]) -> Iterator[Block]:
    rows = [
        (
            "before the step" if place == 0 else f"look {place}",
            formatting.milliseconds(one["predicted_ms"]),
            formatting.milliseconds(one["measured_ms"]),
            formatting.ABSENT if place == 0 else _difference(one),
        )
        for place, one in enumerate(looks)
    ]
    heads = ("Latency", "Predicted", "Measured", Column(title="Off by", note="prediction against measurement"))
    yield Table(heads, rows)
    yield Text(
        "The first measurement says what a layer of the table of layers counts for, and each further one corrects "
        "that; what was predicted is what was known before it."
    )


def _sensitivity(found: Mapping[str, Any], judged: Judged) -> Panel:
    """The figures of each group by what is masked of it."""
    heads = ["Layer", *(formatting.percent(share).replace(".0%", "%") for share in found["shares"])]
    rows = [[one["group"], *map(judged.text, one["figures"])] for one in found["groups"]]
    lines = [
        {
            "x": share,
            "y": figure,
            "series": one["group"],
            "color": f"series-{place % _COLORS}",
            "group": one["group"],
            "share": formatting.percent(share),
            "figure": judged.text(figure),
        }
        for place, one in enumerate(found["groups"])
        for share, figure in zip([0.0, *found["shares"]], [found["figure"], *one["figures"]], strict=True)
    ]
    chart = Chart(
        title="",
        x=Axis(title="masked", unit="%"),
        y=judged.axis(),
        layers=[
            Layer(
                name="groups",
                mark="line",
                rows=lines,
                points=0.6,
                tooltip={"group": "layer", "share": "masked", "figure": judged.title},
            )
        ],
        description=f"{judged.title} on validation by the share of units that is masked, a line for each layer.",
    )
    note = (
        f"What the network before the step scores on {formatting.grouped(found['examples'])} examples of validation "
        f"({judged.text(found['figure'])} as it is) without the least worthy units of one layer, nothing trained again."
    )
    tables = long_table(heads, rows, "layer", "layers", dense=True)
    names: list[tuple[Shape, str, str]] = [
        ("dot", f"series-{place % _COLORS}", str(one["group"])) for place, one in enumerate(found["groups"][:_COLORS])
    ]
    legend: list[Block] = [Legend(names)] if len(found["groups"]) <= _COLORS else []
    return Panel("Sensitivity by layer", [*legend, chart, *tables, Text(note)])
