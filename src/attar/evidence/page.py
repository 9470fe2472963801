"""What the page of a run shows: each sentence, table and image, worked out from the evidence and ready to print."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import tomli_w

from attar import formatting
from attar.evidence import charts, png
from attar.evidence.page_common import ABSENT, Charts, fact_lines, shown_date, without_none
from attar.evidence.precision import precision
from attar.evidence.specialists import specialists

_CLASSES_SHOWN = 20
_BARS_SHOWN = 12
_KINDS = ("teacher", "member", "baseline", "student", "candidate")


def page(document: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the template prints, each under its name; None or empty where the document has nothing.

    Args:
        document: The evidence document, read from JSON.
    """
    document = without_none(document)
    entries = document.get("models", [])
    winner = next((model for model in entries if model.get("name") == document.get("winner")), None)
    models = _ordered(entries, winner)
    teacher = _first(models, "teacher")
    baseline = _first(models, "baseline")
    student = _student(models, winner)
    asked = document.get("asked", {})
    split = _split(models)
    wanted = _wanted(teacher, asked, split)
    curves = document.get("curves", {})
    drawn = Charts()
    return {
        "name": document.get("name", "Distillation"),
        "created": shown_date(document.get("created")),
        "attar": document.get("attar"),
        "command": document.get("command"),
        "task": _task(document.get("task", {})),
        **_headlines(document, winner, teacher),
        "columns": list((document.get("task", {}).get("columns") or {}).items())[:_COLUMNS],
        "asked": _asked(asked),
        "met": document.get("met"),
        "why": _sentence(_reason(document)),
        "winner": winner.get("name") if winner else None,
        "nearest": winner is not None and "refused" in winner,
        "verdict": _verdict(document.get("verdict")),
        "has_baseline": document.get("baseline", baseline is not None),
        "budget": [_budget(row) for row in document.get("budget", [])],
        "frontier": drawn.add(_frontier(models, winner, wanted, split)),
        "floor_drawn": wanted is not None,
        "legend_of": _legend(models, split),
        "models": _models(models, winner),
        "examples_of_quality": _examples(student) or _examples(teacher),
        "split": split,
        "refusals": _refusals(models),
        "classes": _classes(teacher, baseline, student),
        "curves": drawn.add(charts.learning(curves)),
        "curve_roles": [role for role in charts.ROLES if any(name.split("/")[0] == role for name in curves)],
        "seeds": _seeds(document.get("seeds")),
        "examples": [_example(example, document.get("task", {})) for example in document.get("examples", [])],
        "temperature": document.get("temperature"),
        "selection": _selection(document.get("selection")),
        "synthesis": _synthesis(document.get("synthesis")),
        "against_single": _against_single(document.get("against_single")),
        "specialists": specialists(document.get("specialists")),
        "bias_correction": _bias_correction(document.get("bias_correction")),
        "steps": _steps(document.get("steps")),
        "panels": _panels(document.get("panels")),
        "precision": precision(document.get("precision"), drawn),
        "targets": _targets(document.get("targets", {})),
        "warnings": document.get("warnings", []),
        "how_to_load": document.get("how_to_load"),
        "artifact": document.get("artifact"),
        "stages": _stages(document.get("stages", [])),
        "machine": fact_lines(document.get("machine", {})),
        "recipe": tomli_w.dumps(document["recipe"]) if document.get("recipe") else None,
        "charts": drawn.specs,
    }


def _ordered(models: Iterable[Mapping[str, Any]], winner: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Teachers, baselines, student, candidates; of the first two kinds first the one that runs as the winner does."""
    runtime, precision = (winner.get("runtime"), winner.get("precision")) if winner else (None, None)
    places = {kind: place for place, kind in enumerate(_KINDS)}

    def place(model: Mapping[str, Any]) -> tuple[int, bool, bool]:
        kind = model.get("kind", "")
        beside = kind in ("teacher", "baseline")
        elsewhere = beside and model.get("runtime") != runtime
        return places.get(kind, len(places)), elsewhere, kind == "baseline" and model.get("precision") != precision

    return sorted(models, key=place)


def _student(models: Sequence[Mapping[str, Any]], winner: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The student's entry: what ships, or, where that is the baseline, the student deployed in the same way."""
    if winner is not None and winner.get("kind") != "baseline":
        return winner
    found = [model for model in models if model.get("kind") in ("candidate", "student") and "quality" in model]
    how = None if winner is None else (winner.get("runtime"), winner.get("precision"))
    return min(found, key=lambda model: (model.get("runtime"), model.get("precision")) != how, default=None)


def _reason(document: Mapping[str, Any]) -> str:
    """Why the winner was chosen, without the sentences that stand above."""
    return str(document.get("why", "")).removeprefix(" ".join(document.get("alerts", []))).strip()


def _headlines(
    document: Mapping[str, Any], winner: Mapping[str, Any] | None, teacher: Mapping[str, Any] | None
) -> dict[str, str | None]:
    """The heading, and what follows below it: figures come after whatever must be known to read them."""
    figures = _headline(document, winner, teacher)
    sentences: list[str] = [*document.get("alerts", []), figures]
    return {"headline": sentences[0], "below": " ".join(sentences[1:]) or None}


def _headline(document: Mapping[str, Any], winner: Mapping[str, Any] | None, teacher: Mapping[str, Any] | None) -> str:
    if winner is None:
        return "No model met what was asked." if document.get("models") else "Nothing was measured."
    ratios = document.get("ratios", {})
    phrases = []
    if (smaller := ratios.get("smaller")) is not None:
        phrases.append(_compared(smaller, "smaller", "larger"))
    if (faster := ratios.get("faster_batch1", {}).get("ratio")) is not None:
        phrases.append(f"{_compared(faster, 'faster', 'slower')} at batch\N{NO-BREAK SPACE}1")
    if (accuracy := _accuracy(winner)) is not None:
        reached = f"accuracy {formatting.percent(accuracy, _examples(winner))}"
        best = _accuracy(teacher)
        phrases.append(reached if best is None else f"{reached} against {formatting.percent(best, _examples(teacher))}")
    sentence = ", ".join(phrases) or str(winner.get("name"))
    if "refused" in winner:
        sentence = f"nearest, {winner.get('name')}: {sentence}"
    return sentence[0].upper() + sentence[1:] + "."


def _compared(ratio: float, more: str, less: str) -> str:
    return f"{formatting.times(ratio)} {more}" if ratio >= 1 or ratio <= 0 else f"{formatting.times(1 / ratio)} {less}"


def _asked(asked: Mapping[str, Any]) -> str | None:
    phrases = []
    if (loss := asked.get("accuracy_loss")) is not None:
        phrases.append(f"at most {formatting.trimmed(100 * loss)} point{'s' if loss != 0.01 else ''} of accuracy lost")
    phrases += [
        f"at least {formatting.times(asked[what])} {what}"
        for what in ("smaller", "faster")
        if asked.get(what) is not None
    ]
    if not phrases:
        return None
    preferred = {"latency": "the fastest", "size": "the smallest"}.get(asked.get("prefer", ""))
    return ", ".join(phrases) + (f"; of those that fit, {preferred}" if preferred else "") + "."


def _verdict(verdict: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not verdict:
        return None
    sentence = str(verdict.get("sentence", ""))
    difference, interval, examples = (verdict.get(key) for key in ("difference", "interval", "examples"))
    return {
        "sentence": sentence[:1].upper() + sentence[1:].rstrip("."),
        "difference": formatting.points(difference, examples) if difference is not None else None,
        "interval": [formatting.points(bound, examples) for bound in interval] if interval else None,
        "p_value": verdict.get("p_value"),
        "examples": examples,
        "seeds": verdict.get("seeds", 1),
        "plot": _interval_plot(difference, interval) if difference is not None and interval else None,
    }


def _interval_plot(difference: float, interval: Sequence[float]) -> dict[str, float]:
    """Where a difference, its interval and zero lie on a line from 0 to 100."""
    reach = 1.15 * max(abs(interval[0]), abs(interval[1]), 1e-6)
    low, middle, high = (round(50 + 50 * value / reach, 2) for value in (interval[0], difference, interval[1]))
    return {"low": low, "middle": middle, "high": high}


def _budget(row: Mapping[str, Any]) -> dict[str, Any]:
    what = str(row.get("what", ABSENT))
    return {
        "what": what[:1].upper() + what[1:],
        "asked": _figure_text(row.get("asked")),
        "reached": _figure_text(row.get("reached")),
        "met": row.get("met"),
    }


def _figure_text(value: formatting.Number | str | None) -> str:
    """A figure of the budget, whose unit is in the words beside it; text stands as it is."""
    if value is None or isinstance(value, str):
        return ABSENT if value is None else value
    return formatting.grouped(value) if isinstance(value, int) else formatting.trimmed(value, 4)


def _split(models: Sequence[Mapping[str, Any]]) -> Literal["test", "validation"]:
    """Where more models can be compared: a candidate that was not chosen need not have seen the test examples."""
    known = [[model for model in models if _accuracy(model, split) is not None] for split in ("test", "validation")]
    return "test" if len(known[0]) >= len(known[1]) else "validation"


def _wanted(teacher: Mapping[str, Any] | None, asked: Mapping[str, Any], split: str) -> float | None:
    """The lowest accuracy that was asked for."""
    best, loss = _accuracy(teacher, split), asked.get("accuracy_loss")
    return best - loss if best is not None and loss is not None else None


def _frontier(
    models: Sequence[Mapping[str, Any]],
    winner: Mapping[str, Any] | None,
    wanted: float | None,
    split: Literal["test", "validation"],
) -> list[charts.Chart]:
    name = winner.get("name") if winner else None
    costs: tuple[Literal["latency", "bytes"], ...] = ("latency", "bytes")
    both = (charts.frontier(models, cost, winner=name, asked=wanted, split=split) for cost in costs)
    return [chart for chart in both if chart is not None]


def _legend(models: Sequence[Mapping[str, Any]], split: str) -> dict[str, Any]:
    present = {charts.role(model) for model in models if _accuracy(model, split) is not None}
    return {
        "roles": [role for role in charts.ROLES if role in present],
        "refused": any(model.get("refused") for model in models),
    }


def _models(models: Sequence[Mapping[str, Any]], winner: Mapping[str, Any] | None) -> dict[str, Any]:
    """The table of all models: its batch sizes, and one row a model."""
    timed = [latency for model in models for latency in model.get("latency", {}).values()]
    batches = sorted({int(batch) for model in models for batch in model.get("latency", {})})
    threads = {latency["threads"] for latency in timed if "threads" in latency}
    rows = [
        {
            "name": model.get("name", ABSENT),
            "kind": model.get("kind"),
            "role": charts.role(model),
            "how": " ".join(
                str(model[key])
                for key in ("runtime", "precision")
                if key in model and str(model[key]) not in str(model.get("name"))
            ),
            "winner": model is winner,
            "refused": "refused" in model,
            "quality": _take(model.get("quality", {}), "accuracy", "examples", "interval", "calibration_error", "rmse"),
            "validation": _take(model.get("validation", {}), "accuracy", "examples", "interval"),
            "size_bytes": model.get("size_bytes"),
            "parameters": model.get("parameters"),
            "macs": model.get("macs"),
            "peak_memory_bytes": model.get("peak_memory_bytes"),
            "latency": [
                _take(model.get("latency", {}).get(str(batch), {}), "median_ms", "p90_ms", "threads")
                for batch in batches
            ],
            "agreement": model.get("agreement_with_teacher"),
            "parity": _take(model.get("parity", {}), "max_difference", "top1_agreement"),
        }
        for model in models
    ]
    validated = any(row["validation"]["accuracy"] is not None for row in rows)
    return {
        "rows": rows,
        "validated": validated,
        "batches": batches,
        "threads": threads.pop() if len(threads) == 1 else None,
    }


def _refusals(models: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Who was refused and why; those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for model in models:
        if "refused" in model:
            reasons.setdefault(str(model["refused"]), []).append(str(model.get("name", ABSENT)))
    return [(", ".join(names), _sentence(reason)) for reason, names in reasons.items()]


def _sentence(text: str) -> str:
    """The text with a capital at its beginning and a period at its end."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else text


def _classes(
    teacher: Mapping[str, Any] | None, baseline: Mapping[str, Any] | None, student: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Accuracy per class, the class that lost most first.

    The change is the student's against the teacher, or against the baseline where there is no teacher.
    """
    if student is None or not _per_class(student):
        return None
    columns = {"teacher": _per_class(teacher), "baseline": _per_class(baseline), "student": _per_class(student)}
    present = [name for name in columns if columns[name]]
    against = present[0] if len(present) > 1 else None
    rows: list[dict[str, Any]] = []
    for name, figures in columns["student"].items():
        accuracies = {column: columns[column].get(name, {}).get("accuracy") for column in present}
        mine, theirs = accuracies["student"], accuracies[against] if against else None
        rows.append(
            {
                "name": name,
                "examples": figures.get("examples"),
                "accuracies": [accuracies[column] for column in present],
                "change": mine - theirs if mine is not None and theirs is not None else None,
                "accuracy": mine,
            }
        )
    rows.sort(key=lambda row: (row["change"] is None, row["change"] or 0.0, row["accuracy"] or 0.0))
    reach = max(0.01, *(abs(row["change"]) for row in rows if row["change"] is not None), 0.0)
    for row in rows:
        row["share"] = None if row["change"] is None else round(50 * row["change"] / reach, 2)
    return {
        "columns": present,
        "student": student.get("name"),
        "against": against,
        "rows": rows[:_CLASSES_SHOWN],
        "rest": rows[_CLASSES_SHOWN:],
    }


def _seeds(seeds: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not seeds or not (seeds.get("student") or seeds.get("baseline")):
        return None
    baseline, student = seeds.get("baseline", []), seeds.get("student", [])
    rows: list[dict[str, Any]] = []
    for index in range(max(len(baseline), len(student))):
        theirs, mine = (accuracies[index] if index < len(accuracies) else None for accuracies in (baseline, student))
        gain = mine - theirs if mine is not None and theirs is not None else None
        rows.append({"number": index, "baseline": theirs, "student": mine, "gain": gain})
    gains = [row["gain"] for row in rows if row["gain"] is not None]
    return {
        "rows": rows,
        "baseline": _spread(baseline),
        "student": _spread(student),
        "gain": _spread(gains),
        "teacher": seeds.get("teacher"),
        "closed": _closed(seeds.get("gap_closed")),
        "rmse": _rmse(seeds.get("rmse")),
    }


def _closed(spread: Mapping[str, Any] | None) -> dict[str, Any]:
    """The share of a gap that is closed, and whether its interval leaves out none."""
    closed = _take(spread or {}, "mean", "sd", "interval")
    low, high = ((end or 0.0) for end in closed["interval"] or (0.0, 0.0))
    return {**closed, "measurable": low > 0 or high < 0}


def _rmse(errors: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Errors of the probabilities over the seeds, and how much of the gap between baseline and teacher was closed."""
    if not errors:
        return None
    return {
        "rows": list(zip(errors["baseline"], errors["student"], strict=True)),
        "baseline": _spread(errors["baseline"]),
        "student": _spread(errors["student"]),
        "teacher": errors.get("teacher"),
        "member": errors.get("member"),
        "closed": _closed(errors.get("gap_closed")),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
    }


def _example(example: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """One example with its soft targets as bars; of many classes the most probable, the label and the rest."""
    soft = example.get("soft", [])
    names = task.get("classes", [])
    label = example.get("label")
    bars: list[dict[str, Any]] = [
        {"name": str(names[index]) if index < len(names) else str(index), "share": share or 0.0}
        for index, share in enumerate(soft)
    ]
    for bar in bars:
        bar["hard"] = label is not None and bar["name"] == str(label)
    rest = None
    if len(bars) > _BARS_SHOWN:
        bars.sort(key=lambda bar: -bar["share"])
        shown = bars[: _BARS_SHOWN - 2] + [bar for bar in bars[_BARS_SHOWN - 2 :] if bar["hard"]]
        rest = {
            "classes": len(bars) - len(shown),
            "share": sum(bar["share"] for bar in bars) - sum(bar["share"] for bar in shown),
        }
        bars = shown
    for bar in bars:
        bar["width"] = round(100 * bar["share"], 2)
    return {
        "image": png.data_uri(example["image"]) if example.get("image") else None,
        "stems": _stems(example.get("values", [])),
        "label": label,
        "id": example.get("id"),
        "bars": bars,
        "rest": rest,
    }


def _stems(values: Sequence[float | None]) -> list[dict[str, float]]:
    """The features of an example that is not an image, as bars up and down from zero in a box of 100 by 100."""
    known = [value or 0.0 for value in values]
    reach = max((abs(value) for value in known), default=0.0) or 1.0
    width = 100 / max(len(known), 1)
    zero = 50 if min(known, default=0.0) < 0 else 100
    stems = []
    for index, value in enumerate(known):
        height = zero * abs(value) / reach
        top = zero - height if value > 0 else zero
        stems.append(
            {
                "x": round(index * width, 2),
                "y": round(top, 2),
                "width": round(0.8 * width, 2),
                "height": round(height, 2),
            }
        )
    return stems


def _selection(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The models that a selection chose, the heaviest first, with the width of each one's bar in percent."""
    if not entry or not entry.get("chosen"):
        return None
    heaviest = max(entry["chosen"].values())
    rows = [
        {"name": name, "weight": weight, "width": 100 * weight / heaviest} for name, weight in entry["chosen"].items()
    ]
    return {"rows": rows, **_take(entry, "models", "metric", "score", "best_single", "best_single_score")}


def _synthesis(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """How rows were synthesized, and the settings that were tried, the best first."""
    if not entry:
        return None
    tried = sorted(entry.get("tried", []), key=lambda one: -one["score"])
    return {"tried": tried, **_take(entry, "method", "rows", "p", "s", "neighbors", "components", "original")}


def _against_single(entry: Mapping[str, Any] | None) -> str | None:
    """What ships against the best single model, in words."""
    if not entry:
        return None
    low, high = entry["squared_error"]["interval"]
    better = "has smaller errors than" if high < 0 else "has larger errors than" if low > 0 else "cannot be told from"
    points = 100 * entry["accuracy"]["difference"]
    return f"What ships {better} the {entry['name']}; accuracy {points:+.2f} points."


def _bias_correction(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """One number added to the logits of absent classes: per seed, the students first, accuracies before and after."""
    if not entry:
        return None
    columns = ("shift", "before", "after", "absent_before", "absent_after")
    kinds = [
        {
            "role": role,
            "rows": [_take(row, *columns) for row in entry.get(key, [])],
            "means": {column: _spread([row.get(column) for row in entry.get(key, [])])["mean"] for column in columns},
        }
        for role, key in (("student", "students"), ("baseline", "baselines"))
    ]
    names = [str(name) for name in entry.get("classes", [])]
    return {"classes": _listed(names), "kinds": [kind for kind in kinds if kind["rows"]]}


def _listed(names: Sequence[str]) -> str:
    left = len(names) - _BARS_SHOWN
    return ", ".join(names[:_BARS_SHOWN]) + (f" and {left} more" if left > 0 else "")


def _panels(panels: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """What steps show of themselves, numbers as texts."""
    return [
        {
            **_take(panel, "title", "note", "columns"),
            "rows": [
                [cell if isinstance(cell, str) else "" if cell is None else formatting.trimmed(cell, 4) for cell in row]
                for row in panel.get("rows", [])
            ],
        }
        for panel in panels or []
        if panel.get("rows")
    ]


def _steps(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What each step did to students and baselines: mean accuracy on test and its spread over the seeds."""
    if not entry:
        return None
    roles = [role for role in ("baseline", "student") if entry.get(role)]
    names = list(dict.fromkeys(name for role in roles for name in entry[role]))
    rows = [
        {"name": name, "spreads": [_spread(entry[role].get(name, {}).get("accuracy", [])) for role in roles]}
        for name in names
    ]
    return {"roles": roles, "rows": rows} if rows else None


def _targets(targets: Mapping[str, Any]) -> list[tuple[str, str]]:
    say: dict[str, tuple[str, Callable[[Any], str]]] = {
        "size_bytes": ("Size on disk", formatting.size),
        "bytes_per_example": ("Size per example", formatting.size),
        "rows": ("Examples", formatting.grouped),
        "views": ("Views of each", formatting.grouped),
        "kind": ("What is stored", str),
        "top_k": ("Classes kept of each", formatting.grouped),
        "dtype": ("Stored as", str),
        "kl_mean": ("Lost in storing, mean", _nats),
        "kl_largest": ("Lost in storing, largest", _nats),
        "top_probability": ("Largest probability, mean", formatting.percent),
        "entropy": ("Entropy, mean", _nats),
        "temperature": ("Temperature of these figures", formatting.trimmed),
        "seconds": ("Time to label", formatting.seconds),
    }
    return [(title, function(targets[key])) for key, (title, function) in say.items() if key in targets]


def _nats(value: formatting.Number) -> str:
    return f"{formatting.small(value)}\N{NO-BREAK SPACE}nats"


def _stages(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not stages:
        return None
    taken = [stage.get("seconds") or 0.0 for stage in stages]
    longest = max(taken) or 1.0
    rows = [
        {**{"name": ABSENT, "seconds": None, "reused": False}, **stage, "width": round(100 * spent / longest, 2)}
        for stage, spent in zip(stages, taken, strict=True)
    ]
    return {"rows": rows, "total": sum(taken)}


_COLUMNS = 200
"""Columns of a table that the page lists, at most."""


def _task(task: Mapping[str, Any]) -> list[str]:
    facts = [str(task["data"])] if "data" in task else []
    if task.get("classes"):
        facts.append(f"{len(task['classes'])} classes")
    if task.get("input_shape"):
        facts.append("inputs " + " \N{MULTIPLICATION SIGN} ".join(map(str, task["input_shape"])))
    facts += [
        f"{formatting.grouped(task[split])} {split}" for split in ("train", "validation", "test") if split in task
    ]
    if "source" in task:
        facts.append(f"from {task['source']}")
    return facts


def _accuracy(model: Mapping[str, Any] | None, split: str = "test") -> float | None:
    accuracy: float | None = (model or {}).get("quality" if split == "test" else "validation", {}).get("accuracy")
    return accuracy


def _examples(model: Mapping[str, Any] | None) -> int | None:
    examples: int | None = (model or {}).get("quality", {}).get("examples")
    return examples


def _per_class(model: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]]:
    per_class: Mapping[str, Mapping[str, Any]] = (model or {}).get("quality", {}).get("per_class", {})
    return per_class


def _first(models: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    return next((model for model in models if model.get("kind") == kind), None)


def _take(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Some of the facts, every name present."""
    return {name: facts.get(name) for name in names}
