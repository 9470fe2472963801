"""A piece of a report as data: what a step has to say of what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | float | int | None
"""What stands in a table: a text, a number, or nothing."""


@dataclass(frozen=True)
class Panel:
    """A table of a report.

    Attributes:
        title: Its heading.
        columns: Their headings; the first one names the rows.
        rows: A cell for each column.
        note: What a reader has to know to read it, as sentences.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def to_json(self) -> Mapping[str, Any]:
        """The panel as a plain document."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }
