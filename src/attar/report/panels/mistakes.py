"""What the student takes for what, and examples that it gets wrong where the teacher is right."""

from __future__ import annotations

from attar import formatting
from attar.evidence.panel import AnyCell, Cell, Column, Example, Examples, Matrix, Panel, Table, Text
from attar.report.panels.common import Figures


def confusion(found: Figures) -> list[Panel]:
    """How often each class is taken for each other one.

    Args:
        found: ``names`` and ``counts``, or, of many classes, ``pairs``.
    """
    if found.get("counts"):
        note = "Test examples by their class (down) and by the class that what ships names (across)."
        return [Panel("Confusion matrix", [Matrix(found["names"], found["counts"]), Text(note)])]
    pairs = found.get("pairs", [])
    if not pairs:
        return []
    rows: list[list[AnyCell]] = [
        [
            pair["true"],
            pair["named"],
            Cell(text=formatting.grouped(pair["count"]), value=pair["count"]),
            Cell(text=formatting.percent(pair["count"] / pair["of"], pair["of"]), value=pair["count"] / pair["of"]),
        ]
        for pair in pairs
    ]
    heads = [
        Column(title="Class"),
        Column(title="Taken for", words=True),
        Column(title="Examples"),
        Column(title="Share", note="of the class"),
    ]
    note = "The pairs of classes that what ships confuses most, on test."
    return [Panel("Most confused classes", [Table(heads, rows, sortable=True), Text(note)])]


def mistakes(found: Figures) -> list[Panel]:
    """Examples that the teacher gets right and what ships wrong.

    Args:
        found: ``lost``, ``won`` and ``examples``.
    """
    lost, won = found.get("lost"), found.get("won")
    if lost is None or won is None:
        return []
    count = formatting.plural(lost, "test example")
    words = f"The teacher alone gets {count} right, what ships alone {formatting.grouped(won)}."
    examples = [_example(one) for one in found.get("examples", [])]
    if not examples:
        return [Panel("Where the student errs", [Text(words)])]
    words += (
        " Here are those of which what ships is surest; the bars are its probabilities, the outlined box is the label."
    )
    return [Panel("Where the student errs", [Text(words), Examples(examples, color="student")])]


def _example(one: Figures) -> Example:
    facts = [(str(name), str(value)) for name, value in one.get("facts", [])]
    if more := one.get("more_facts"):
        facts.append((f"and {formatting.plural(more, 'more column')}", ""))
    note = f"taken for {one.get('named')}"
    identity = f"no. {one['id']}" if "id" in one else ""
    return Example(
        title=str(one.get("label")),
        note="\n".join(filter(None, (note, identity, one.get("text")))),
        pixels=one.get("image"),
        values=[value or 0.0 for value in one.get("values", [])],
        facts=facts,
        bars=[(str(name), min(max(share or 0.0, 0.0), 1.0), bool(is_label)) for name, share, is_label in one["bars"]],
    )
