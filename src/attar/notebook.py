"""What a notebook shows of a value: a small table, escaped, without scripts or styles of its own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(caption: str, rows: Sequence[Sequence[str]], head: Sequence[str] = (), marked: Sequence[int] = ()) -> str:
    """A table as HTML.

    Args:
        caption: What stands above it.
        rows: Its cells, as they are read; the first of a row is its name.
        head: What the columns are called; nothing for columns that need no name.
        marked: Numbers of the rows that stand out.

    Example:
        >>> table("a < b", [["size", "3 kB"]])
        '<table><caption>a &lt; b</caption><tbody><tr><th>size</th><td>3 kB</td></tr></tbody></table>'
    """
    names = "".join(f"<th>{escape(one)}</th>" for one in head)
    lines = []
    for number, (first, *rest) in enumerate(rows):
        mark = ("<strong>", "</strong>") if number in marked else ("", "")
        cells = "".join(f"<td>{mark[0]}{escape(one)}{mark[1]}</td>" for one in rest)
        lines.append(f"<tr><th>{mark[0]}{escape(first)}{mark[1]}</th>{cells}</tr>")
    above = f"<thead><tr>{names}</tr></thead>" if names else ""
    return f"<table><caption>{escape(caption)}</caption>{above}<tbody>{''.join(lines)}</tbody></table>"
