"""The seam through which long work reports how far it is; only the command line draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
