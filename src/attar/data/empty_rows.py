"""Rows of a CSV file that hold nothing but what separates values, as sheets have them between their parts."""

from __future__ import annotations

import logging
import re

log = logging.getLogger(__name__)

_EMPTY = re.compile(rb"^[-=_,;|\t ]+\r?(?:\n|\Z)", re.MULTILINE)
"""A line of separators, dashes and spaces alone."""


def without_empty_rows(name: str, content: bytes) -> bytes:
    """The content of a file less its lines of separators, dashes and spaces alone; how many they are is logged.

    Args:
        name: What the file is called.
        content: In UTF-8; lines within quotes stay.

    Example:
        >>> without_empty_rows("it.csv", b'a,b\\n,\\n1,2\\n---,---\\n"x\\n--\\ny",3\\n')
        b'a,b\\n1,2\\n"x\\n--\\ny",3\\n'
    """
    kept, start, quotes, count = [], 0, 0, 0
    for found in _EMPTY.finditer(content):
        quotes += content.count(b'"', start, found.start())
        kept.append(content[start : found.start()])
        start = found.end()
        if quotes % 2:
            kept.append(found[0])
        else:
            count += 1
    if count:
        rows, hold, are = ("1 row", "holds", "is") if count == 1 else (f"{count:,} rows", "hold", "are")
        log.warning("%s of %s %s nothing but separators or dashes, and %s left out", rows, name, hold, are)
    return b"".join([*kept, content[start:]]) if count else content
