"""The evidence of a finished run: plain values, read back from its folder, and as a table of its models."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attar import notebook
from attar.errors import BadInput, MissingExtra, shown
from attar.formatting import milliseconds, percent, plural, significant, size
from attar.records import read_record

if TYPE_CHECKING:
    import pandas

EVIDENCE = "evidence.json"
"""Where a run keeps it, in its folder."""

_NO_COLUMN = frozenset({"per_class"})
"""Figures of a model that are tables of their own."""

_INTERVAL = "interval"
"""What the two ends of a figure's interval are called wherever there is one."""


class EvidenceDocument(dict[str, Any]):
    """All that was measured in a run, as its ``evidence.json`` holds it."""

    @classmethod
    def read(cls, run: str | os.PathLike[str]) -> EvidenceDocument:
        """The evidence of a finished run.

        Args:
            run: Its folder.

        Raises:
            BadInput: If it is no such folder.
            CorruptFile: If the evidence was altered.
        """
        path = Path(run) / EVIDENCE
        if not os.path.lexists(path):
            raise BadInput(
                f"{shown(str(run))} is not the folder of a finished run: there is no {EVIDENCE} in it. "
                "Finish the run with attar compress."
            )
        return cls(read_record(path, "Run attar compress again: it writes it anew."))

    def __repr__(self) -> str:
        if "winner" not in self or "task" not in self:
            return f"EvidenceDocument({', '.join(map(str, self))})"
        models = plural(len(self["models"]), "model")
        return f"EvidenceDocument({self['name']}: {models}, {self.in_short()})"

    def in_short(self) -> str:
        """What ships, its size, its score on test, and what became of the budget, in a few words."""
        winner = next(one for one in self["models"] if one["name"] == self["winner"])
        outcome = self["budget"]["outcome"]
        found = [
            f"{winner['name']} {size(winner['size_bytes'])}" if winner.get("size_bytes") else winner["name"],
            f"{self['task']['metrics'][0]['title']} {self._score(winner)}",
            *([] if outcome is None else [f"budget {outcome}"]),
        ]
        return ", ".join(found)

    def _score(self, model: Mapping[str, Any]) -> str:
        """The first metric of a model on test as people read it; nothing where it was not measured."""
        metric, quality = self["task"]["metrics"][0], model.get("quality")
        if quality is None:
            return ""
        figure = quality[metric["name"]]
        return percent(figure, quality["examples"]) if metric["unit"] == "share" else significant(figure)

    def _repr_html_(self) -> str:
        """The models as a table, for notebooks; what ships stands out."""
        rows, winner = [], []
        for number, model in enumerate(self["models"]):
            latency = (model.get("latency") or {}).get("1")
            winner += [number] if model["name"] == self["winner"] else []
            rows.append(
                [
                    str(model["name"]),
                    self._score(model),
                    size(model["size_bytes"]) if model.get("size_bytes") else "",
                    milliseconds(latency["median_ms"]) if latency else "",
                    "ships" if model["name"] == self["winner"] else "refused" if model.get("refused") else "",
                ]
            )
        head = ("model", f"test {self['task']['metrics'][0]['title']}", "size", "batch 1", "")
        return notebook.table(str(self["budget"]["sentence"]), rows, head, winner)

    def to_frame(self) -> pandas.DataFrame:
        """The models as a table, a row each.

        Returns:
            Columns are the keys of a model's entry: ``name``, ``kind``, ``runtime``, ``precision``, ``size_bytes``,
            ``macs`` and so on. Figures within others are joined by an underline: ``quality_accuracy`` (on test),
            ``validation_accuracy``, ``latency_1_median_ms`` (batch 1, milliseconds); an interval has two columns,
            ``quality_interval_low`` and ``quality_interval_high``. ``ships`` is True for one row. What is not known
            is missing.

        Raises:
            MissingExtra: If pandas is not installed.

        Example:
            >>> run = EvidenceDocument(winner="small", models=[{"name": "small", "quality": {"interval": [0.8, 0.9]}}])
            >>> run.to_frame().iloc[0].to_dict()
            {'name': 'small', 'quality_interval_low': 0.8, 'quality_interval_high': 0.9, 'ships': True}
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra("A table of the evidence needs pandas. Install it with: pip install pandas.") from error
        # What is a table of figures in one entry is no column where another lacks it.
        tables = {key for model in self["models"] for key, value in model.items() if isinstance(value, Mapping)}
        rows = [
            {name: value for name, value in flat(model) if value is not None or name not in tables}
            | {"ships": model["name"] == self["winner"]}
            for model in self["models"]
        ]
        return pandas.DataFrame(rows)


def flat(figures: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Names and figures, those within others with the names of these before theirs."""
    for key, value in figures.items():
        if key in _NO_COLUMN:
            continue
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{key}_")
        elif key == _INTERVAL and value is not None:
            yield f"{before}{key}_low", value[0]
            yield f"{before}{key}_high", value[1]
        else:
            yield f"{before}{key}", value
