"""Names with their titles, as lists of recipes and studies show them."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from attar.recipes.shipped import title_of

_NARROW = 30
"""Columns below which a title begins on a line of its own."""


def print_titles(ready: Mapping[str, Path]) -> None:
    """Print a name and the title of its file a line; on a terminal, titles end where it does, between words."""
    width = max(map(len, ready))
    for name, path in ready.items():
        print(titled(name, title_of(path), width, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))


def titled(name: str, title: str, width: int, columns: int | None = None) -> str:
    """One of these lines.

    Args:
        name: What it is called.
        title: What it says of itself.
        width: Columns of the longest name.
        columns: Of the terminal; None for lines as long as they come.

    Example:
        >>> print(titled("digits", "Five networks into one", 8, 45))
        digits    Five networks into one
        >>> print(titled("digits", "Five networks into one", 8, 20))
        digits
          Five networks into
          one
    """
    if columns is None:
        return f"{name:<{width}}  {title}"
    indent = width + 2 if columns - width - 2 >= _NARROW else 2
    lines = textwrap.wrap(title, max(10, columns - indent), break_long_words=False, break_on_hyphens=False) or [""]
    first = f"{name:<{width}}  {lines.pop(0)}" if indent > 2 else name
    return "\n".join([first, *(" " * indent + line for line in lines)])
