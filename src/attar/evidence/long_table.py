"""A table of which the first rows are seen, and the others once they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from attar.evidence.panel import AnyCell, Block, Column, Folded, Table

SEEN = 20
"""Rows that are seen at once."""


def long_table(
    heads: Sequence[str | Column], rows: Sequence[Sequence[AnyCell]], one: str, many: str, *, dense: bool = False
) -> list[Block]:
    """A table, and below it another one with the rows after the twentieth, folded up.

    Args:
        heads: Of the columns, as `Table` has them.
        rows: As `Table` has them.
        one: What a row is about: ``layer``.
        many: What several are about: ``layers``.
        dense: As `Table` has it.

    Example:
        >>> blocks = long_table(["Layer"], [(str(number),) for number in range(21)], "layer", "layers")
        >>> [getattr(block, "summary", block.kind) for block in blocks]
        ['table', '1 more layer']
    """
    blocks: list[Block] = [Table(heads, rows[:SEEN], dense=dense)]
    if rest := rows[SEEN:]:
        summary = f"{len(rest)} more {one if len(rest) == 1 else many}"
        blocks.append(Folded(summary, [Table(heads, rest, dense=dense)]))
    return blocks
