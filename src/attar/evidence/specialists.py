"""What the page of a run shows of specialists: what they add, where they add it, what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attar import formatting

_NAMES_SHOWN = 12


def specialists(section: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Sentence, tables and times, ready to print; None where a run has no specialists.

    Args:
        section: What the evidence holds of them: ``specialists`` (how many), ``overall``, ``conditional`` and
            ``by_coverage`` (each ``examples``, ``generalist``, ``with_specialists``, ``relative_gain``),
            ``difference``, ``inference``, ``validation`` (what was tried), ``each``, ``seconds_per_1000`` and more.
            Every key may be absent.
    """
    if not section:
        return None
    rows = [
        ("All examples", None, section.get("overall")),
        ("Among the classes of specialists", "answers restricted to these", section.get("conditional")),
        *((_covered(entry), _classes(entry.get("classes")), entry) for entry in section.get("by_coverage", [])),
    ]
    return {
        "sentence": _sentence(section.get("specialists"), section.get("overall", {})),
        "difference": _difference(section.get("difference", {}), section.get("overall", {}).get("examples")),
        "inference": _inference(section.get("inference", {})),
        "rows": [{"what": what, "note": note, **_figures(entry)} for what, note, entry in rows if entry],
        "facts": _facts(section),
        "tried": _tried(section.get("validation", [])),
        # The first is the generalist alone.
        "chosen": len(section.get("validation", [])) > 2,
        "each": [_one(number, entry) for number, entry in enumerate(section.get("each", []))],
    }


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
    return "Classes of no specialist" if count == 0 else f"Classes of {count} specialist{'s' if count != 1 else ''}"


def _classes(count: int | None) -> str | None:
    return None if count is None else f"{formatting.grouped(count)} class{'es' if count != 1 else ''}"


def _figures(entry: Mapping[str, Any]) -> dict[str, Any]:
    before, after, gain = (entry.get(key) for key in ("generalist", "with_specialists", "relative_gain"))
    return {
        "examples": entry.get("examples"),
        "generalist": before,
        "with_specialists": after,
        "change": after - before if before is not None and after is not None else None,
        "relative": None if gain is None else f"{formatting.points(gain, entry.get('examples'))}%",
    }


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


def _tried(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{key: entry.get(key) for key in ("correction", "top", "accuracy", "log_loss")} for entry in entries]


def _one(number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    names = [str(name) for name in entry.get("classes", [])]
    left = len(names) - _NAMES_SHOWN
    return {
        "number": number,
        "count": len(names) or None,
        "names": ", ".join(names[:_NAMES_SHOWN]) + (f" and {left} more" if left > 0 else ""),
        **{key: entry.get(key) for key in ("share", "validation", "alone")},
        **_figures(entry),
    }
