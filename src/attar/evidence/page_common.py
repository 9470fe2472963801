"""What the pages have in common: charts with their places, dates, facts, and how a missing figure is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from attar import formatting
from attar.evidence import charts

ABSENT = "\N{EN DASH}"
"""Stands where a figure was not measured."""


class Charts:
    """The specifications of all charts of the page; a chart is known by its number."""

    def __init__(self) -> None:
        self.specs: list[dict[str, Any]] = []

    def add(self, some: Iterable[charts.Chart]) -> list[dict[str, Any]]:
        """Takes up some charts; returns what the template needs to make room for each."""
        places = []
        for chart in some:
            places.append(
                {"number": len(self.specs), "title": chart.title, "note": chart.note, "full_width": chart.full_width}
            )
            self.specs.append(chart.spec)
        return places


def shown_date(created: str | None) -> str | None:
    """A moment in ISO form, to the minute; any other text as it is."""
    if created is None:
        return None
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()


def fact_lines(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as lines of name and value; bytes with their unit, names without their underscores."""
    lines: list[tuple[str, str]] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            # The word "versions" before each version says nothing.
            lines += fact_lines(value, "" if key == "versions" else f"{prefix}{key} ")
        elif isinstance(value, list):
            lines.append((f"{prefix}{key}".replace("_", " "), ", ".join(map(str, value)) or ABSENT))
        elif key.endswith("_bytes"):
            lines.append((f"{prefix}{key.removesuffix('_bytes')}".replace("_", " "), formatting.size(value)))
        else:
            lines.append((f"{prefix}{key}".replace("_", " "), str(value)))
    return lines


def without_none(value: Any) -> Any:
    """The same document without keys whose value is None or an interval with an open end: absent and None are one."""
    if isinstance(value, Mapping):
        open_ended = value.get("interval") is not None and None in value["interval"]
        return {
            key: without_none(inner)
            for key, inner in value.items()
            if inner is not None and not (key == "interval" and open_ended)
        }
    return [without_none(inner) for inner in value] if isinstance(value, list) else value
