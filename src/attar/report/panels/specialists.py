"""What the page of a run shows of specialists: what they add, where they add it, what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attar import formatting
from attar.evidence.panel import AnyCell, Block, Cell, Column, Facts, Folded, Panel, Table, Text, Tone
from attar.formatting import plural
from attar.report.panels.common import Figures, known, listed


def specialists(section: Figures) -> list[Panel]:
    """What specialists add, where they add it, what they cost.

    Args:
        section: What the evidence holds of them: ``specialists`` (how many), ``overall``, ``conditional`` and
            ``by_coverage`` (each ``examples``, ``generalist``, ``with_specialists``, ``relative_gain``),
            ``difference``, ``inference``, ``validation`` (what was tried), ``each``, ``seconds_per_1000`` and more.
    """
    if not section:
        return []
    blocks: list[Block] = []
    overall, tried = section.get("overall", {}), section.get("validation", [])
    if sentence := _sentence(section.get("specialists"), overall):
        blocks.append(Text(sentence, "say"))
    difference = _difference(section.get("difference", {}), overall.get("examples"))
    inference = _inference(section.get("inference", {}))
    # The first that was tried is the generalist alone.
    chosen = "Chosen on validation." if inference and len(tried) > 2 else None
    if notes := [note for note in (difference, inference, chosen) if note]:
        blocks.append(Text(" ".join(notes)))
    blocks += _compared(section)
    if facts := _facts(section):
        blocks.append(Facts(facts))
    return [Panel("Specialists", [*blocks, *_tried(tried), *_each(section.get("each", []))])]


def _compared(section: Figures) -> list[Block]:
    rows = [
        ("All examples", "", section.get("overall")),
        ("Among the classes of specialists", "answers restricted to these", section.get("conditional")),
        *((_covered(entry), _classes(entry.get("classes")), entry) for entry in section.get("by_coverage", [])),
    ]
    heads = ("Accuracy on test", "Examples", "Generalist", "With specialists")
    columns: list[str | Column] = [*heads, Column(title="Change", note="in points"), "Relative gain"]
    cells = [[Cell(text=what, note=note), *_figures(entry)] for what, note, entry in rows if entry]
    return [Table(columns, cells)] if cells else []


def _sentence(count: int | None, overall: Mapping[str, Any]) -> str | None:
    before, after, examples = (overall.get(key) for key in ("generalist", "with_specialists", "examples"))
    if before is None or after is None:
        return None
    many = "specialists" if count is None else f"{formatting.grouped(count)} specialist{'s' if count != 1 else ''}"
    alone = formatting.percent(before, examples)
    return f"With {many} {formatting.percent(after, examples)}, the generalist alone {alone}."


def _difference(found: Mapping[str, Any], examples: int | None) -> str | None:
    if "difference" not in found:
        return None
    sentence = f"Difference on test {formatting.points(found['difference'], examples)} points"
    if "interval" in found:
        low, high = (formatting.points(bound, examples) for bound in found["interval"])
        sentence += f", 95% interval {low} to {high}"
    if "p_value" in found:
        sentence += f"; McNemar's exact test: p = {formatting.small(found['p_value'])}"
    return f"{sentence}."


def _inference(chosen: Mapping[str, Any]) -> str | None:
    """How the outputs of specialists were combined."""
    phrases = []
    if (top := chosen.get("top")) is not None:
        likeliest = "the likeliest class" if top == 1 else f"one of the {top} likeliest classes"
        phrases.append(f"those specialists are used that know {likeliest} of the generalist")
    if (correction := chosen.get("correction")) is not None:
        phrases.append(f"the correction of the dustbin class is {correction!r}".replace("'", '"'))
    text = "; ".join(phrases)
    return f"{text[:1].upper()}{text[1:]}." if text else None


def _covered(entry: Mapping[str, Any]) -> str:
    count = entry.get("specialists")
    if count is None:
        return "Classes"
    return "Classes of no specialist" if count == 0 else f"Classes of {plural(count, 'specialist')}"


def _classes(count: int | None) -> str:
    return "" if count is None else f"{formatting.grouped(count)} class{'es' if count != 1 else ''}"


def _figures(entry: Figures) -> list[AnyCell]:
    before, after, gain, count = (
        entry.get(key) for key in ("generalist", "with_specialists", "relative_gain", "examples")
    )
    change = after - before if before is not None and after is not None else None
    tone: Tone = "" if not change else "bad" if change < 0 else "good"
    return [
        known(formatting.grouped, count),
        known(formatting.percent, before, count),
        known(formatting.percent, after, count),
        Cell(text=known(formatting.points, change, count), tone=tone),
        formatting.ABSENT if gain is None else f"{formatting.points(gain, count)}%",
    ]


def _facts(section: Mapping[str, Any]) -> list[tuple[str, str]]:
    per_1000 = section.get("seconds_per_1000", {})
    threads = per_1000.get("threads")
    counted = "" if threads is None else f", {threads} thread{'s' if threads != 1 else ''}"

    def duration(key: str) -> str | None:
        return None if key not in per_1000 else formatting.milliseconds(1000 * per_1000[key]) + counted

    residual, steps = section.get("residual_largest"), section.get("steps_mean")
    facts = [
        ("KL inference, per 1,000 examples", duration("inference")),
        ("Generalist, per 1,000 examples", duration("generalist")),
        ("All together, per 1,000 examples", duration("predict")),
        ("Specialists asked per example", _mean(section.get("asked_mean"))),
        ("Steps of the KL inference per example", _mean(steps)),
        ("Largest residual of the KL inference", None if residual is None else formatting.small(residual)),
        ("Classes of one specialist or more", _grouped(section.get("classes_covered"))),
        ("Time to train the specialists", _duration(section.get("training_seconds"))),
    ]
    return [(title, value) for title, value in facts if value is not None]


def _mean(value: float | None) -> str | None:
    return None if value is None else formatting.significant(value)


def _grouped(value: int | None) -> str | None:
    return None if value is None else formatting.grouped(value)


def _duration(value: float | None) -> str | None:
    return None if value is None else formatting.seconds(value)


def _tried(entries: Sequence[Figures]) -> list[Block]:
    if not entries:
        return []
    rows = [
        [
            entry.get("correction") or "generalist alone",
            known(str, entry.get("top")),
            known(formatting.percent, entry.get("accuracy"), 10_000),
            known(formatting.significant, entry.get("log_loss"), 4),
        ]
        for entry in entries
    ]
    table = Table(["Correction", "Likeliest classes", "Accuracy", "Log loss"], rows)
    return [Folded("What was tried on validation", [table])]


def _each(entries: Sequence[Figures]) -> list[Block]:
    if not entries:
        return []
    heads = ("Specialist", "Classes", "Examples", "Alone", "Generalist", "With specialists")
    rows: list[list[AnyCell]] = []
    for number, entry in enumerate(entries):
        names = [str(name) for name in entry.get("classes", [])]
        shares = (entry.get(key) for key in ("alone", "generalist", "with_specialists", "validation"))
        rows.append(
            [
                Cell(text=str(number), note=listed(names)),
                known(formatting.grouped, len(names) or None),
                known(formatting.grouped, entry.get("examples")),
                *(known(formatting.percent, share) for share in shares),
            ]
        )
    columns: list[str | Column] = [*heads, Column(title="Own task", note="on validation")]
    note = (
        "Every answer is the likeliest of the specialist's classes; its own task is to tell these from each other and "
        "from all the rest."
    )
    return [Folded("Each specialist, on the examples of its classes", [Table(columns, rows), Text(note)])]
