"""Computing side by side, measuring alone: a time that is taken while others compute is a time of nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attar.training.progress import Bar, Progress, note

_FILE, _GATE = "turns", "turns.next"


class Turns:
    """A lock of all processes of one run: shared by those that compute, and had alone to measure.

    Those that train let others measure after each step. Who measures waits until every other process is between two
    steps, or done with what it does in one piece, where it then stays: it closes a gate first, through which all must
    go who compute on, as who lets go of a shared lock and takes it again at once would win every time. The kernel lets
    go of locks however their holder ends.

    Attributes:
        folder: Where the locks and what was measured are kept.
    """

    def __init__(self, folder: Path) -> None:
        """Take nothing yet.

        Args:
            folder: Of the run; made if need be.
        """
        self.folder = folder
        self._descriptors: dict[str, int] = {}
        self._working = False

    def training(self, progress: Progress) -> Progress:
        """A progress whose work is training: it lets others measure after each step."""

        @contextmanager
        def shared(title: str, total: int) -> Iterator[Callable[[int], None]]:
            with progress(title, total) as advance:

                def between(steps: int) -> None:
                    self._lock(_FILE, fcntl.LOCK_UN)
                    advance(steps)
                    self._work_on()

                with self.working():
                    yield Bar(between, lambda text: note(advance, text))

        return shared

    @contextmanager
    def working(self) -> Iterator[None]:
        """While this process computes in one piece: nobody measures meanwhile, but itself.

        Nothing may be waited for in it that another process holds while it measures, such as a node of the run.
        """
        if self._working:
            yield
            return
        self._working = True
        self._work_on()
        try:
            yield
        finally:
            self._working = False
            self._close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While nobody else of the run computes or measures."""
        self._lock(_FILE, fcntl.LOCK_UN)  # before the gate: whoever closed it waits for this process
        self._lock(_GATE, fcntl.LOCK_EX)
        self._lock(_FILE, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if self._working:
                self._lock(_FILE, fcntl.LOCK_SH)
                self._lock(_GATE, fcntl.LOCK_UN)
            else:
                self._close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """While this process waits for another of the same training: that one may measure meanwhile."""
        if self._working:
            self._lock(_FILE, fcntl.LOCK_UN)
        try:
            yield
        finally:
            if self._working:
                self._work_on()

    def _work_on(self) -> None:
        """Go through the gate, and compute."""
        self._lock(_GATE, fcntl.LOCK_SH)
        self._lock(_GATE, fcntl.LOCK_UN)
        self._lock(_FILE, fcntl.LOCK_SH)

    def _lock(self, name: str, operation: int) -> None:
        if name not in self._descriptors:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._descriptors[name] = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(self._descriptors[name], operation)

    def _close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}
