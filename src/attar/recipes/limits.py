"""Limits as users write them: several in one line, ``quality_loss<=1%, bytes<=50kB``, or one for each name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attar.errors import BadInput, Words, must, shown

_LIMIT = r"[^<>=\N{LESS-THAN OR EQUAL TO}]"  # not one with the next limit in it, where the comma was forgotten
_ONE = re.compile(rf"\s*(\w+)\s*(?:<=|=|\N{{LESS-THAN OR EQUAL TO}})\s*((?!\s){_LIMIT}+?)\s*")

_EXAMPLE = 'For example "quality_loss<=1%, bytes<=50kB, prefer=bytes"'


def limits_of(given: str | Sequence[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """Limits, whichever way they are given, as in the table ``[budget]``.

    Args:
        given: ``NAME<=LIMIT`` or ``NAME=LIMIT``, several with commas between them or as several texts; or a mapping,
            which is taken as it is. None is no limit.

    Returns:
        Names and limits, which are not read yet: a unit that does not exist is found where the recipe is checked.

    Raises:
        BadInput: If one is not written so, or one thing is limited twice.

    Example:
        >>> limits_of("quality_loss<=1%, bytes<=50kB, prefer=bytes")
        {'quality_loss': '1%', 'bytes': '50kB', 'prefer': 'bytes'}
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    found: dict[str, Any] = {}
    for text in (given,) if isinstance(given, str) else given:
        if not isinstance(text, str):
            raise must("budget", "attar compress", "a text or a table of limits", text, _EXAMPLE)
        for one in text.split(","):
            written = _ONE.fullmatch(one)
            if written is None:
                rule = "limits written NAME<=LIMIT, with commas between them"
                got = text if one == text else Words(f"{shown(one.strip())} in {shown(text)}")
                raise must("budget", "attar compress", rule, got, _EXAMPLE)
            name, limit = written[1], written[2].strip("\"'")
            if name in found:
                raise BadInput(
                    f"budget of attar compress names {name} twice, as {shown(found[name])} and {shown(limit)}. Give it "
                    "once."
                )
            found[name] = limit
    return found
