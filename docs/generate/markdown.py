"""Markdown from plain texts: tables, code, and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from html import escape

_ROLE = re.compile(r":math:`([^`]*)`")
_SECTION = re.compile(r"^(Args|Arguments|Attributes|Returns|Raises|Example|Examples|References|Note|Yields):$")


def code(text: str) -> str:
    """Text in the letters of code."""
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{text}{ticks}"


def escaped(text: str) -> str:
    """Text of a result or a recipe, none of whose signs Markdown or a browser takes for its own.

    Example:
        >>> escaped("<b> a_1, b*")
        '&lt;b&gt; a\\\\_1, b\\\\*'
    """
    return re.sub(r"([\\`*_\[\]$])", r"\\\1", escape(text, quote=False))


def prose(text: str) -> str:
    """A docstring's text in one line, its formulas as MyST has them."""
    return _ROLE.sub(r"{math}`\1`", re.sub(r"\s+", " ", text).strip())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, with a line for each row; empty where there are none."""
    lines = [" | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in row) for row in rows]
    if not lines:
        return ""
    head = [" | ".join(columns), " | ".join("---" for _ in columns)]
    return "\n".join(f"| {line} |" for line in [*head, *lines]) + "\n"


def summary(thing: object) -> str:
    """The first paragraph of a docstring."""
    return prose((inspect.getdoc(thing) or "").partition("\n\n")[0])


def parts(thing: object) -> dict[str, list[str]]:
    """The sections of a docstring in Google's form, by their names: indented lines without their indentation."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in (inspect.getdoc(thing) or "").splitlines():
        title = _SECTION.match(line)
        if title is not None:
            current = found.setdefault(title[1], [])
        elif current is not None:
            if line and not line.startswith(" "):
                current = None
            else:
                current.append(line[4:])
    return found


def attributes(thing: object) -> dict[str, str]:
    """What a docstring says of each attribute."""
    found: dict[str, str] = {}
    name = ""
    for line in parts(thing).get("Attributes", []):
        start = re.match(r"(\w+): (.*)", line)
        if start is not None:
            name = start[1]
            found[name] = start[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {key: prose(text) for key, text in found.items()}


def references(thing: object) -> str:
    """The sources that a docstring names; empty where it names none."""
    return prose(" ".join(parts(thing).get("References", [])))
