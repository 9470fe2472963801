"""The seam through which long work reports how far it is; only the command line draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Opens one bar; the function that it yields moves the bar on by some steps."""

    def __call__(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a piece of work of ``total`` steps."""
        ...


@contextmanager
def silent(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """The progress that nobody sees: the default everywhere below the command line.

    Example:
        >>> with silent("label", total=10) as advance:
        ...     advance(10)
    """
    yield lambda steps: None


@runtime_checkable
class Retitled(Protocol):
    """A bar that can be called anew, and be of more steps, while the work goes on: what a `Progress` may yield."""

    def __call__(self, steps: int) -> None:
        """Move on."""
        ...

    def retitle(self, title: str, total: int) -> None:
        """Call it so from now on; it is of so many steps."""
        ...


@runtime_checkable
class Noted(Protocol):
    """A bar beside which a short text may stand, such as a score on validation: what a `Progress` may yield."""

    def __call__(self, steps: int) -> None:
        """Move on."""
        ...

    def note(self, text: str) -> None:
        """Let this stand beside it from now on."""
        ...


def note(bar: Callable[[int], None], text: str) -> None:
    """Let a text stand beside a bar that can have one."""
    if isinstance(bar, Noted):
        bar.note(text)


class Bar:
    """A bar made of two functions: one gets the steps, the other what shall stand beside it."""

    def __init__(self, advance: Callable[[int], None], say: Callable[[str], None]) -> None:
        """Nothing is called yet."""
        self._advance, self._say = advance, say

    def __call__(self, steps: int) -> None:
        """Move on."""
        self._advance(steps)

    def note(self, text: str) -> None:
        """Let this stand beside it from now on."""
        self._say(text)


@runtime_checkable
class Staged(Protocol):
    """A `Progress` that is told which stage of the work begins."""

    def stage(self, title: str, number: int, count: int) -> None:
        """One begins, ``number`` of ``count``, counted from 1; the one before is over."""
        ...


class Stages:
    """The stages of a piece of work, in order, of which a `Progress` is told.

    Example:
        >>> stages = Stages(["train", "measure"], silent)
        >>> stages.begin("train")
    """

    def __init__(self, titles: Sequence[str] = (), progress: Progress = silent) -> None:
        """None begins yet."""
        self._titles, self._progress, self._now = list(titles), progress, -1

    def begin(self, title: str) -> None:
        """A stage begins; one that is none of these, or comes before the present one, is no news."""
        place = self._titles.index(title) if title in self._titles else -1
        if place > self._now:
            self._now = place
            if isinstance(self._progress, Staged):
                self._progress.stage(title, place + 1, len(self._titles))
