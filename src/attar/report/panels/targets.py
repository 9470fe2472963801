"""What the student was told: soft targets of some examples, how they are stored, and whom and what they are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from attar import formatting
from attar.evidence.panel import AnyCell, Block, Cell, Column, Example, Examples, Facts, Panel, Table, Text
from attar.report.panels.common import Figures, known, listed, spread
from attar.report.panels.gaze import gaze
from attar.report.panels.maps import maps

_BARS_SHOWN = 12


def examples(found: Sequence[Figures], task: Figures, temperature: float | None) -> list[Panel]:
    """Some training examples with the teacher's probabilities, or its values.

    Args:
        found: Each ``image`` or ``values``, ``label``, ``soft`` (a probability a class) or ``teacher`` (its values in
            words) or ``maps`` or ``densities``, ``id``; ``holds`` says of each class whether it holds, where several
            may.
        task: Its ``classes`` are the names.
        temperature: By which the probabilities are softened.
    """
    if not found:
        return []
    if "densities" in found[0]:
        return gaze(found)
    if "maps" in found[0]:
        return maps(found, [str(name) for name in task.get("classes", [])])
    if "teacher" in found[0]:
        examples = [replace(_example(one, []), note=f"teacher: {one['teacher']}") for one in found]
        note = "Training examples in which the teacher is farthest from the true value, which stands first."
        return [Panel("What the teacher says", [Text(note), Examples(examples)])]
    softened = ""
    if temperature is not None:
        softened = f", softened at the training temperature {formatting.significant(temperature, 2)}"
    bars = f"The bars are the teacher's probabilities for some training examples{softened}."
    drawn = [_example(one, task.get("classes", [])) for one in found]
    label = "Outlined boxes are the labels that hold." if "holds" in found[0] else "The outlined box is the label."
    return [Panel("Soft against hard targets", [Text(f"{bars} {label}"), Examples(drawn)])]


def stored(found: Figures) -> list[Panel]:
    """How the targets are stored, and what storing lost."""
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
    pairs = [(title, function(found[key])) for key, (title, function) in say.items() if key in found]
    return [Panel("Stored targets", [Facts(pairs)])] if pairs else []


def selection(found: Figures, against_single: Figures) -> list[Panel]:
    """The models that a selection chose, the heaviest first.

    Args:
        found: What the selection says of itself.
        against_single: What ships against the best single model, on test.
    """
    if not found.get("chosen"):
        return []
    heaviest = max(found["chosen"].values())
    rows: list[list[AnyCell]] = [
        [name, formatting.percent(weight), Cell(bar=weight / heaviest)] for name, weight in found["chosen"].items()
    ]
    score, single = (known(formatting.significant, found.get(key), 4) for key in ("score", "best_single_score"))
    note = (
        f"{len(rows)} of {found.get('models')} models, chosen on validation by {found.get('metric')}: {score} against "
        f"{single} of the best single one, {found.get('best_single')}."
    )
    if against_single:
        note += f" On test: {_against_single(against_single)}"
    columns = [Column(title="Model"), Column(title="Weight"), Column(ends=("", ""))]
    return [Panel("The selected ensemble", [Text(note), Table(columns, rows)])]


def synthesis(found: Figures) -> list[Panel]:
    """How rows were synthesized, and the settings that were tried, the best first."""
    if not found:
        return []
    note = f"{known(formatting.grouped, found.get('rows'))} rows by {found.get('method')}"
    if "p" in found:
        p, s = (known(formatting.significant, found.get(key), 2) for key in ("p", "s"))
        note += f", p = {p}, s = {s}, neighbors {found.get('neighbors')}"
    note += ", besides the training rows themselves." if found.get("original") else "."
    tried = sorted(found.get("tried", []), key=lambda one: -one["score"])
    if not tried:
        return [Panel("Synthetic rows", [Text(note)])]
    note += " p and s were chosen on validation by short trainings on fewer rows; a higher score is better."
    rows = [
        [*(known(formatting.significant, one.get(key), 2) for key in ("p", "s")), f"{one['score']:.5f}"]
        for one in tried
    ]
    return [Panel("Synthetic rows", [Text(note), Table(["p", "s", "Score"], rows)])]


def bias_correction(found: Figures) -> list[Panel]:
    """One number added to the logits of absent classes: per seed, the students first, accuracies before and after."""
    if not found:
        return []
    rows: list[list[AnyCell]] = []
    ruled: list[int] = []
    for role, key in (("student", "students"), ("baseline", "baselines")):
        some = found.get(key, [])
        rows += [[Cell(text=f"{role} {n}", dot=role), *_shift(one)] for n, one in enumerate(some)]
        if len(some) > 1:
            ruled.append(len(rows))
            means = {column: spread([one.get(column) for one in some])[0] for column in _SHIFTS}
            rows.append([f"Mean of the {role}s", *_shift(means)])
    heads = [Column(title=when, note=who) for who in ("all classes", "absent classes") for when in ("Before", "After")]
    names = listed([str(name) for name in found.get("classes", [])])
    absent = f"Absent: {names}. " if names else ""
    note = (
        f"{absent}One number is added to the logits of the absent classes, chosen on validation; all figures are of "
        "test."
    )
    blocks: list[Block] = [Text(note), Table([Column(title="Seed"), Column(title="Added"), *heads], rows, ruled=ruled)]
    return [Panel("Bias correction for absent classes", blocks)]


_SHIFTS = ("shift", "before", "after", "absent_before", "absent_after")


def _shift(one: Figures) -> list[str]:
    return [
        known(formatting.significant, one.get("shift")),
        *(known(formatting.percent, one.get(key), 10_000) for key in ("before", "after")),
        *(known(formatting.percent, one.get(key)) for key in ("absent_before", "absent_after")),
    ]


def _example(example: Figures, names: Sequence[Any]) -> Example:
    """One example with its soft targets as bars; of many classes the most probable, the label and the rest."""
    label = example.get("label")
    holds = {str(name) for name, one in zip(names, example.get("holds", []), strict=False) if one} or {str(label)}
    bars = [
        (str(names[index]) if index < len(names) else str(index), float(share or 0.0))
        for index, share in enumerate(example.get("soft", []))
    ]
    rest = None
    if len(bars) > _BARS_SHOWN:
        bars.sort(key=lambda bar: -bar[1])
        shown = bars[: _BARS_SHOWN - 2] + [bar for bar in bars[_BARS_SHOWN - 2 :] if bar[0] in holds]
        left = max(sum(share for _, share in bars) - sum(share for _, share in shown), 0.0)
        # What labels that may all hold share is no share of one whole.
        rest = None if "holds" in example else (f"{len(bars) - len(shown)} others", left)
        bars = shown
    return Example(
        title="" if label is None else str(label),
        note=": ".join(
            [*([f"no. {example['id']}"] if "id" in example else []), *([example["text"]] if "text" in example else [])]
        ),
        pixels=example.get("image"),
        values=[value or 0.0 for value in example.get("values", [])],
        bars=[(name, min(share, 1.0), name in holds) for name, share in bars],
        rest=rest,
    )


def _against_single(found: Figures) -> str:
    """What ships against the best single model, in words."""
    low, high = found["squared_error"]["interval"]
    better = "has smaller errors than" if high < 0 else "has larger errors than" if low > 0 else "cannot be told from"
    points = 100 * found["accuracy"]["difference"]
    return f"What ships {better} the {found['name']}; accuracy {points:+.2f} points."


def _nats(value: formatting.Number) -> str:
    return f"{formatting.small(value)}\N{NO-BREAK SPACE}nats"
