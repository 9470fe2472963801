"""Exit codes of what became of a budget."""

from __future__ import annotations

from collections.abc import Iterable

from attar.outcome import Outcome

DONE, NOT_MET, VALIDATION_ONLY = 0, 1, 3

CODES: dict[Outcome | None, int] = {
    "met": DONE,
    None: DONE,  # nothing that was asked is missing, though it says little
    "met on validation only": VALIDATION_ONLY,
    "not met": NOT_MET,
}


def code(outcomes: Iterable[Outcome | None]) -> int:
    """The exit code of one run or of several: that of the worst outcome.

    Example:
        >>> code(["met", "met on validation only"]), code(["met on validation only", "not met"]), code([])
        (3, 1, 0)
    """
    codes = {CODES[outcome] for outcome in outcomes}
    return next((one for one in (NOT_MET, VALIDATION_ONLY) if one in codes), DONE)
