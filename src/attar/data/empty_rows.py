"""Rows of a CSV file that hold nothing but what separates values, as sheets have them between their parts."""

from __future__ import annotations

import logging
import re

log = logging.getLogger(__name__)

_EMPTY = re.compile(rb"^[-=_,;|\t ]+\r?(?:\n|\Z)", re.MULTILINE)
"""A line of separators, rules and spaces alone."""

_VALUE = re.compile(rb"(?<![-=_])[-=_](?![-=_])")
"""A sign that stands alone and is no rule but a value, such as the mark of a missing one."""


def without_empty_rows(name: str, content: bytes) -> bytes:
    """The content of a file less its lines of separators, rules (``---``) and spaces alone; their number is logged.

    Args:
        name: What the file is called.
        content: In UTF-8; lines within quotes stay, and those with a sign alone, which is a value.

    Example:
        >>> without_empty_rows("it.csv", b'a,b\\n,\\n1,2\\n---,---\\n-,-\\n"x\\n--\\ny",3\\n')
        b'a,b\\n1,2\\n-,-\\n"x\\n--\\ny",3\\n'
    """
    kept, start, quotes, count = [], 0, 0, 0
    for found in _EMPTY.finditer(content):
        quotes += content.count(b'"', start, found.start())
        kept.append(content[start : found.start()])
        start = found.end()
        if quotes % 2 or _VALUE.search(found[0]):
            kept.append(found[0])
        else:
            count += 1
    if count:
        rows, hold, are = ("1 row", "holds", "is") if count == 1 else (f"{count:,} rows", "hold", "are")
        log.warning("%s of %s %s nothing but separators or rules, and %s left out", rows, name, hold, are)
    return b"".join([*kept, content[start:]]) if count else content
