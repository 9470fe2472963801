"""The time that a search may take, over all of its attempts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import copy
from pathlib import Path

from attar.errors import must
from attar.records import read_record, to_text
from attar.workspace import write_file

_KEEP = 5.0
"""Seconds from one note of the time to the next."""


class TimeLimit:
    """The time that is left.

    What an attempt that was killed had spent counts, but for what came after its last note: the last seconds of what it
    was doing when it was killed.
    """

    def __init__(
        self, seconds: float | None = None, file: Path | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin to count.

        Args:
            seconds: How long everything may take; None for as long as it takes.
            file: Where the time is kept for an attempt that goes on; None for nowhere.
            clock: Seconds that only grow.

        Raises:
            BadInput: If the seconds are below 0.
            CorruptFile: If the file is damaged.
        """
        if seconds is not None and not seconds >= 0:
            raise must("seconds", "the search", "at least 0", seconds, "Leave it out for no limit")
        self.seconds = math.inf if seconds is None else seconds
        self._file, self._clock = file, clock
        self._before = 0.0
        if file is not None and file.is_file():
            remedy = f"Delete {file} to begin the count anew."
            self._before = float(read_record(file, remedy)["seconds"])
        self._began = self._noted = clock()

    @property
    def spent(self) -> float:
        """Seconds, those of earlier attempts among them."""
        return self._before + self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds; none or fewer once the time is over."""
        return self.seconds - self.spent

    def without(self, seconds: float) -> TimeLimit:
        """The same count, over sooner: so many seconds, fewer than all of them, are left for what comes after."""
        sooner = copy(self)
        sooner.seconds = self.seconds - seconds
        return sooner

    def note(self, *, now: bool = False) -> None:
        """Keep the time that was spent, if that is some seconds ago.

        Args:
            now: However long ago it is.
        """
        if self._file is not None and (now or self._clock() - self._noted >= _KEEP):
            self._noted = self._clock()
            write_file(self._file, to_text({"seconds": self.spent}))
