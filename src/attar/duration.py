"""Durations as people write them: ``20m``, ``1h 30m``, ``90 s``."""

from __future__ import annotations

import math
import re
from typing import Any

from attar.errors import shown

_SECONDS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

_ONE = re.compile(r"\s*(\d{1,9}(?:\.\d{0,6})?|\.\d{1,6})\s*([a-z]+)\s*", re.ASCII)

_LONGEST = 366 * 86400.0


def read_duration(given: Any) -> float:
    """Seconds of a duration.

    Args:
        given: A text of numbers with their units, the largest first: d, h, m or min, s.

    Raises:
        ValueError: If it is nothing of that; the sentence goes on after the name of the key.

    Example:
        >>> read_duration("20m"), read_duration("1h 30m"), read_duration("90 s")
        (1200.0, 5400.0, 90.0)
    """
    text = given if isinstance(given, str) and len(given) <= 60 else ""
    total, place, before = 0.0, 0, math.inf
    while place < len(text):
        found = _ONE.match(text, place)
        if found is None or _SECONDS.get(found[2], math.inf) >= before:
            total = 0.0
            break
        before = _SECONDS[found[2]]
        total, place = total + float(found[1]) * before, found.end()
    if not 0 < total <= _LONGEST:
        rule = "must be a time above nothing with its unit, at most a year"
        raise ValueError(f"{rule}; got {shown(given)}. Write for example '20m', '1h 30m' or '90s'")
    return total


def written_duration(seconds: float) -> str:
    """A duration as `read_duration` takes it.

    Example:
        >>> written_duration(1200.0), written_duration(5400.0), written_duration(90.5)
        ('20m', '1h 30m', '1m 30.5s')
    """
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    found = [(hours, "h"), (minutes, "m"), (float(f"{rest:.6f}"), "s")]
    return " ".join(f"{number:g}{unit}" for number, unit in found if number)
