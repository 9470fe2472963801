"""Where generated parts go: a page says ``<!-- generated: NAME -->``, and what is generated takes its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from generate.public_names import public_names
from generate.recipe_keys import recipe_keys
from generate.results import claims, studies

PARTS: dict[str, Callable[[], str]] = {
    "recipe keys": recipe_keys,
    "public names": public_names,
    "claims": claims,
    "studies": studies,
}
"""Every part, by the name that pages give it."""

MARK = re.compile(r"^<!-- generated: (?P<name>[a-z ]+) -->$", re.MULTILINE)


def filled(text: str) -> str:
    """A page with its generated parts.

    Args:
        text: The page in Markdown.

    Raises:
        KeyError: If it asks for a part that does not exist.
    """
    return MARK.sub(lambda found: PARTS[found["name"]](), text)


def setup(app: Any) -> None:
    """Fill pages when they are read."""

    def read(_: Any, __: str, source: list[str]) -> None:
        source[0] = filled(source[0])

    app.connect("source-read", read)
