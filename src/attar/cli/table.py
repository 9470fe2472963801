"""Evidence as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from attar.evidence.units import count, milliseconds, percent, size


def models_table(evidence: Mapping[str, Any]) -> Table:
    """One row per measured model: the winner marked, the refused ones named as such."""
    table = Table(
        title=f"{evidence['name']}: {evidence['task']['test']:,} test examples of {evidence['task']['data']}",
        title_justify="left",
    )
    table.add_column("model", no_wrap=True)
    for heading in ("test accuracy", "95% interval", "size", "MACs", "batch 1", "batch 64"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for model in evidence["models"]:
        quality = model.get("quality")
        latency = model.get("latency") or {}
        won = model["name"] == evidence["winner"]
        table.add_row(
            model["name"],
            "" if quality is None else percent(quality["accuracy"]),
            "" if quality is None else " to ".join(percent(end) for end in quality["interval"]),
            "" if model.get("size_bytes") is None else size(model["size_bytes"]),
            "" if model.get("macs") is None else count(model["macs"]),
            *("" if batch not in latency else milliseconds(latency[batch]["median_ms"]) for batch in ("1", "64")),
            "ships" if won else "refused" if model.get("refused") else "",
            style="bold" if won else "dim" if model.get("refused") else None,
        )
    return table


def verdict_line(evidence: Mapping[str, Any]) -> str:
    """What the comparison with the control says."""
    ruling = evidence["verdict"]
    if ruling is None:
        return "No control was trained: whether distillation helped is not known."
    low, high = (100 * end for end in ruling["interval"])
    return (
        f"Against the same network without a teacher: {ruling['sentence']} ({100 * ruling['difference']:+.2f} points, "
        f"95% interval {low:+.2f} to {high:+.2f}; McNemar's p = {ruling['p_value']:.2g}, n = {ruling['examples']:,})."
    )
