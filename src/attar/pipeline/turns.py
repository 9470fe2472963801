"""Training side by side, measuring alone: a time that is taken while others compute is a time of nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attar.training.progress import Progress

_FILE = "turns"


class Turns:
    """A lock of all processes of one run: shared by those that train, from step to step, and had alone to measure.

    Who measures waits until every other process is between two steps, where it then stays. The kernel lets go of the
    lock however its holder ends.

    Attributes:
        folder: Where the lock and what was measured are kept.
    """

    def __init__(self, folder: Path) -> None:
        """Take nothing yet.

        Args:
            folder: Of the run; made if need be.
        """
        self.folder = folder
        self._descriptor: int | None = None
        self._training = False

    def training(self, progress: Progress) -> Progress:
        """A progress whose work is training: it lets others measure after each step."""

        @contextmanager
        def shared(title: str, total: int) -> Iterator[Callable[[int], None]]:
            with progress(title, total) as advance:

                def between(steps: int) -> None:
                    self._lock(fcntl.LOCK_UN)
                    advance(steps)
                    self._lock(fcntl.LOCK_SH)

                self._training = True
                self._lock(fcntl.LOCK_SH)
                try:
                    yield between
                finally:
                    self._training = False
                    self._close()

        return shared

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While nobody else of the run trains or measures."""
        self._lock(fcntl.LOCK_EX)
        try:
            yield
        finally:
            if self._training:
                self._lock(fcntl.LOCK_SH)
            else:
                self._close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """While this process waits for another of the same training: that one may measure meanwhile."""
        if self._training:
            self._lock(fcntl.LOCK_UN)
        try:
            yield
        finally:
            if self._training:
                self._lock(fcntl.LOCK_SH)

    def _lock(self, operation: int) -> None:
        if self._descriptor is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.folder / _FILE, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(self._descriptor, operation)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
